/**
 * Database mark, version 1: what a process has seen of the database of its store, as a small file of each of its
 * devices. A database that shows less than that was rolled back.
 *
 * Little-endian, lengths in parentheses:
 *
 *   0  magic "HLDM"      8  reconciliations (8)     24  incarnations (4)
 *   4  version (2)      16  highest (8)             28  reserved (4), zeros
 *   6  reserved (2)
 *
 *   then for each incarnation that had not ended: its number (8), lanes (8), the number of each lane (8)
 *   at the end: XXH64 of everything before (8)
 *
 * Refuses   Anything else with `corruptRecord`.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "../encoding/buffer-of.js"

export interface DatabaseMark {
  /** How many halts of the store had ended. */
  readonly reconciliations: number
  /** The highest incarnation that had begun. */
  readonly highest: number
  /** The incarnations that had not ended, with the numbers of their lanes. */
  readonly live: readonly LiveMark[]
}

interface LiveMark {
  readonly incarnation: number
  readonly numbers: readonly number[]
}

const MAGIC = 0x4d44_4c48
const VERSION = 1
const HEAD_BYTES = 32
const WORD = 8

export function encodeDatabaseMark({ reconciliations, highest, live }: DatabaseMark): Uint8Array {
  const words = live.flatMap(({ incarnation, numbers }) => [incarnation, numbers.length, ...numbers])
  const bytes = Buffer.alloc(HEAD_BYTES + (words.length + 1) * WORD)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(VERSION, 4)
  bytes.writeBigUInt64LE(BigInt(reconciliations), 8)
  bytes.writeBigUInt64LE(BigInt(highest), 16)
  bytes.writeUInt32LE(live.length, 24)
  for (const [at, word] of words.entries()) bytes.writeBigUInt64LE(BigInt(word), HEAD_BYTES + at * WORD)
  const end = bytes.length - WORD
  bytes.writeBigUInt64LE(xxh64(bytes.subarray(0, end)), end)
  return bytes
}

export function decodeDatabaseMark(encoded: Uint8Array): DatabaseMark {
  const bytes = bufferOf(encoded)
  const end = bytes.length - WORD
  if (end < HEAD_BYTES || bytes.length % WORD !== 0) throw corrupt("length")
  if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt16LE(4) !== VERSION) throw corrupt("magic")
  if (bytes.readBigUInt64LE(end) !== xxh64(bytes.subarray(0, end))) throw corrupt("checksum")
  const words = Array.from({ length: (end - HEAD_BYTES) / WORD }, (_, at) => wordAt(bytes, HEAD_BYTES + at * WORD))
  const live: LiveMark[] = []
  let at = 0
  for (let left = bytes.readUInt32LE(24); left > 0; left -= 1) {
    const [incarnation, lanes] = [words[at], words[at + 1]]
    if (incarnation === undefined || lanes === undefined || lanes > words.length - at - 2) throw corrupt("lanes")
    live.push({ incarnation, numbers: words.slice(at + 2, at + 2 + lanes) })
    at += 2 + lanes
  }
  if (at !== words.length) throw corrupt("lanes")
  return { reconciliations: wordAt(bytes, 8), highest: wordAt(bytes, 16), live }
}

function wordAt(bytes: Buffer, at: number): number {
  const word = Number(bytes.readBigUInt64LE(at))
  if (!Number.isSafeInteger(word)) throw corrupt("number")
  return word
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "database mark", field })
