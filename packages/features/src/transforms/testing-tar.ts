/**
 * Tar archives for tests: headers made field by field, archives of which most bytes are imagined, and readers that count.
 */
import { assert } from "@hayloft/base/assert.js"
import { TarIndex } from "@hayloft/engine/format/objects/tar-index.js"
import type { ByteRange } from "@hayloft/objects/contract.js"
import { buildTarIndex, type ReadRange } from "./tar-index-builder.js"

const BLOCK_BYTES = 512
const PIECE_BYTES = 100_000

interface HeaderFields {
  readonly name: string
  readonly type?: string
  readonly size?: number | string
  readonly modified?: number | string
  readonly linkTarget?: string
  /** Ustar by default. */
  readonly magic?: string
  readonly prefix?: string
}

const octal = (value: number | string, widthBytes: number): string =>
  typeof value === "string" ? value : `${value.toString(8).padStart(widthBytes - 1, "0")}\0`

/** Writes the checksum that the other bytes of a header have. */
export function sealHeader(header: Uint8Array): Uint8Array {
  header.set(Buffer.from(" ".repeat(8)), 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.set(Buffer.from(`${octal(sum, 7)} `), 148)
  return header
}

export function tarHeader(fields: HeaderFields): Uint8Array {
  const { name, type = "0", size = 0, modified = 0, linkTarget = "", magic = "ustar\x0000", prefix = "" } = fields
  const header = Buffer.alloc(BLOCK_BYTES)
  header.write(name, 0)
  header.write(`${octal(0o644, 8)}${octal(0, 8)}${octal(0, 8)}`, 100)
  header.write(octal(size, 12), 124, "latin1")
  header.write(octal(modified, 12), 136, "latin1")
  header.write(type, 156)
  header.write(linkTarget, 157)
  header.write(magic, 257)
  header.write(prefix, 345)
  return sealHeader(header)
}

/** The bytes, and what fills up the last block. */
export const padded = (bytes: Uint8Array): Uint8Array =>
  Buffer.concat([bytes], Math.ceil(bytes.length / BLOCK_BYTES) * BLOCK_BYTES)

/** A header of this type with data. */
export const extended = (type: string, data: Uint8Array): Uint8Array =>
  Buffer.concat([tarHeader({ name: "extended", type, size: data.length }), padded(data)])

function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + 1
  while (length !== rest + String(length).length) length += 1
  return `${length} ${key}=${value}\n`
}

export const pax = (records: Readonly<Record<string, string>>, type = "x"): Uint8Array =>
  extended(
    type,
    Buffer.from(
      Object.entries(records)
        .map(each => paxRecord(...each))
        .join(""),
    ),
  )

export const fileOf = (name: string, content: string): Uint8Array =>
  Buffer.concat([tarHeader({ name, size: Buffer.byteLength(content) }), padded(Buffer.from(content))])

export const END = Buffer.alloc(2 * BLOCK_BYTES)

export class CountingReader {
  reads = 0
  bytes = 0

  constructor(private readonly write: (target: Buffer, first: number) => void) {}

  /** Yields several pieces, in memory that it uses again. */
  readonly read: ReadRange = range => this.pieces(range)

  private async *pieces({ first, lengthBytes }: ByteRange): AsyncGenerator<Uint8Array> {
    this.reads += 1
    this.bytes += lengthBytes
    const memory = Buffer.alloc(Math.min(PIECE_BYTES, lengthBytes))
    for (let at = 0; at < lengthBytes; at += memory.length) {
      const piece = memory.subarray(0, Math.min(memory.length, lengthBytes - at))
      piece.fill(0)
      this.write(piece, first + at)
      yield await Promise.resolve(piece)
    }
  }
}

/** A reader of these bytes. */
export const readerOf = (bytes: Uint8Array): CountingReader =>
  new CountingReader((target, first) => target.set(bytes.subarray(first, first + target.length)))

/** Bytes at some offsets; all others are zeros. */
export const readerOfParts = (parts: ReadonlyMap<number, Uint8Array>): CountingReader =>
  new CountingReader((target, first) => {
    for (const [offset, bytes] of parts) {
      const from = Math.max(0, first - offset)
      const at = Math.max(0, offset - first)
      if (from < bytes.length && at < target.length) {
        target.set(bytes.subarray(from, from + target.length - at), at)
      }
    }
  })

export const noPause = (): Promise<void> => Promise.resolve()

export async function indexOfReader(reader: CountingReader, sizeBytes: number): Promise<TarIndex> {
  const index = TarIndex.open(await buildTarIndex(reader.read, sizeBytes, new AbortController().signal, noPause))
  assert(index.archiveBytes === sizeBytes, "the index knows the size of the archive")
  return index
}

export const indexOfBytes = (bytes: Uint8Array): Promise<TarIndex> => indexOfReader(readerOf(bytes), bytes.length)
