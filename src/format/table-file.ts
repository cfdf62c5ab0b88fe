/**
 * Table files, version 1: an immutable file of rows in key order.
 *
 * A file is a sequence of partitions of about 1 MiB, a footer and a tail. A partition is its data blocks,
 * one behind the other, and then its directory block (`table-block`). The footer is a positional MessagePack
 * array; the tail is its length (4), zero (4), its XXH64 seeded like a block at its offset (8), and the magic
 * "HLTABLE1" (8). The manifest repeats the footer's hash, so an older or foreign file of the same number is refused.
 * Refuses   Anything malformed with `corruptRow`.
 */
import { hexOf } from "../base/bytes.js"
import { fail, isFailure, type Failure } from "../base/failures.js"
import { xxh64Into } from "../base/xxh64.js"
import { packRecord, RecordReader } from "./pack.js"
import { RowSum } from "./row-sum.js"
import { blockSeed } from "./table-block.js"

const FORMAT = 1
const MAGIC = Buffer.from("HLTABLE1", "latin1")
export const TAIL_BYTES = 24

/** A partition: its data lies between the end of the one before and its directory. */
export interface Partition {
  readonly lastKey: Buffer
  readonly directoryAt: number
  readonly directoryBytes: number
}

/** Rows of one family: deleted ones included. */
export interface FamilyTotal {
  readonly family: number
  readonly rows: number
  readonly sum: RowSum
}

export interface Footer {
  /** Tombstones included. */
  readonly rows: number
  readonly tombstones: number
  /** Rows of which an older version seems to lie in an older table. */
  readonly replacing: number
  readonly firstKey: Buffer
  readonly lastKey: Buffer
  readonly totals: readonly FamilyTotal[]
  readonly partitions: readonly Partition[]
}

/** Footer and tail of a file whose footer begins at the offset; `hash` names them in the manifest. */
export function encodeFooter(footer: Footer, seed: bigint, offsetBytes: number): { bytes: Buffer; hash: string } {
  const packed = packRecord(FORMAT, [
    footer.rows,
    footer.tombstones,
    footer.replacing,
    footer.firstKey,
    footer.lastKey,
    footer.totals.map(({ family, rows, sum }) => [family, rows, ...sum.halves]),
    footer.partitions.map(({ lastKey, directoryAt, directoryBytes }) => [lastKey, directoryAt, directoryBytes]),
  ])
  const bytes = Buffer.alloc(packed.length + TAIL_BYTES)
  bytes.set(packed, 0)
  bytes.writeUInt32LE(packed.length, packed.length)
  xxh64Into(packed, blockSeed(seed, offsetBytes), bytes, packed.length + 8)
  bytes.set(MAGIC, packed.length + 16)
  return { bytes, hash: hexOf(bytes.subarray(packed.length + 8, packed.length + 16)) }
}

/** How long the footer is that ends with this tail. Throws `corruptRow`. */
export function footerBytesOf(tail: Buffer, path: string): number {
  const isTail = tail.length === TAIL_BYTES && tail.subarray(16).equals(MAGIC) && tail.readUInt32LE(4) === 0
  if (!isTail) throw corrupt(path, "the file has no tail")
  return tail.readUInt32LE(0)
}

/** Reads footer and tail that begin at the offset of a file. Throws `corruptRow`. */
export function decodeFooter(
  bytes: Buffer,
  seed: bigint,
  offsetBytes: number,
  path: string,
): { footer: Footer; hash: string } {
  const packed = bytes.subarray(0, bytes.length - TAIL_BYTES)
  const stored = bytes.subarray(packed.length + 8, packed.length + 16)
  const computed = Buffer.alloc(8)
  xxh64Into(packed, blockSeed(seed, offsetBytes), computed, 0)
  if (!computed.equals(stored)) throw corrupt(path, "the footer fails its checksum")
  try {
    const record = RecordReader.open("table footer", packed, FORMAT)
    const footer: Footer = {
      rows: record.number(),
      tombstones: record.number(),
      replacing: record.number(),
      firstKey: Buffer.from(record.bytes()),
      lastKey: Buffer.from(record.bytes()),
      totals: record.rows(row => ({
        family: row.number(),
        rows: row.number(),
        sum: new RowSum(row.number(), row.number()),
      })),
      partitions: record.rows(row => ({
        lastKey: Buffer.from(row.bytes()),
        directoryAt: row.number(),
        directoryBytes: row.number(),
      })),
    }
    return { footer, hash: hexOf(stored) }
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
    throw corrupt(path, error.message)
  }
}

const corrupt = (path: string, reason: string): Failure => fail("corruptRow", { path, reason })
