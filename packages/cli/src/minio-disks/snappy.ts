/**
 * The framing formats of Snappy and S2, in which MinIO compresses objects.
 *
 * A stream is chunks: a byte of kind, three of length. Data chunks have the masked CRC-32C of their plain bytes. Others may be
 * padding, an index, or the beginning of a further stream.
 *
 * Promises  Plain bytes come only after their checksum has matched. Copies reach only within their block.
 * Refuses   Throws `damaged` for anything else.
 * Limits    One chunk and its plain bytes in memory, at most `BLOCK_BYTES_MAX`.
 * Sources: google/snappy, format_description.txt and framing_format.txt; klauspost/compress/s2, README "Format extensions".
 */
import { Crc } from "@hayloft/base/simd/crc.js"
import { damaged } from "./failure.js"

const CHUNK_HEADER_BYTES = 4
const BLOCK_BYTES_MAX = 4 * 1024 * 1024
/** A block that does not become shorter is a little longer. */
const CHUNK_BYTES_MAX = BLOCK_BYTES_MAX + 1024 * 1024
const [COMPRESSED, PLAIN, FIRST_SKIPPED, STREAM_BEGIN] = [0x00, 0x01, 0x80, 0xff]
const CRC_BYTES = 4
const BEGINNINGS = ["sNaPpY", "S2sTwO"]

/** The plain bytes of one or more streams. */
export async function* decompressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let pending: Buffer = Buffer.alloc(0)
  let isFirst = true
  for await (const bytes of source) {
    pending = pending.length === 0 ? Buffer.from(bytes) : Buffer.concat([pending, bytes])
    let at = 0
    for (;;) {
      if (pending.length - at < CHUNK_HEADER_BYTES) break
      const kind = pending.readUInt8(at)
      const lengthBytes = pending.readUIntLE(at + 1, 3)
      if (isFirst && kind !== STREAM_BEGIN) throw damaged("compressed bytes have no beginning")
      if (kind < FIRST_SKIPPED && lengthBytes > CHUNK_BYTES_MAX) throw damaged("a compressed block is too long")
      const end = at + CHUNK_HEADER_BYTES + lengthBytes
      if (pending.length < end) break
      const plain = plainOf(kind, pending.subarray(at + CHUNK_HEADER_BYTES, end))
      if (plain !== undefined) yield plain
      at = end
      isFirst = false
    }
    pending = pending.subarray(at)
  }
  if (pending.length > 0) throw damaged("compressed bytes end early")
}

function plainOf(kind: number, chunk: Buffer): Uint8Array | undefined {
  if (kind === STREAM_BEGIN) {
    if (!BEGINNINGS.includes(chunk.toString("latin1"))) throw damaged("compressed bytes have another beginning")
    return undefined
  }
  if (kind >= FIRST_SKIPPED) return undefined
  if (kind !== COMPRESSED && kind !== PLAIN) throw damaged("compressed bytes have an unknown chunk")
  if (chunk.length < CRC_BYTES) throw damaged("a compressed block ends early")
  const body = chunk.subarray(CRC_BYTES)
  const plain = kind === PLAIN ? body : decodeBlock(body)
  const crc = new Crc("CRC32C")
  crc.update(plain)
  if (maskedOf(crc.digest()) !== chunk.readUInt32LE(0)) throw damaged("the checksum of a compressed block is wrong")
  return plain
}

function maskedOf(digest: Uint8Array): number {
  const crc = Buffer.from(digest).readUInt32BE(0)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** A block of Snappy, with the repeated offsets of S2. */
export function decodeBlock(block: Uint8Array): Uint8Array {
  return new BlockDecoder(block).plain()
}

class BlockDecoder {
  #at = 0
  #offset = 0
  #filled = 0
  readonly #target: Buffer

  constructor(private readonly block: Uint8Array) {
    const lengthBytes = this.#plainBytes()
    if (lengthBytes > BLOCK_BYTES_MAX) throw damaged("a compressed block is too long")
    this.#target = Buffer.allocUnsafe(lengthBytes)
  }

  plain(): Uint8Array {
    while (this.#at < this.block.length) {
      const tag = this.#byte()
      const high = tag >> 2
      switch (tag & 3) {
        case 0:
          this.#literal(high < 60 ? high : this.#number(high - 59))
          break
        case 1:
          this.#nearCopy(tag)
          break
        case 2:
          this.#copy(this.#number(2), high + 1)
          break
        default:
          this.#copy(this.#number(4), high + 1)
      }
    }
    if (this.#filled !== this.#target.length) throw damaged("a compressed block ends early")
    return this.#target
  }

  /** A variable-length number of at most five bytes. */
  #plainBytes(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    throw damaged("a compressed block has no length")
  }

  #byte(): number {
    const byte = this.block[this.#at]
    if (byte === undefined) throw damaged("a compressed block ends early")
    this.#at += 1
    return byte
  }

  #number(bytes: number): number {
    let value = 0
    for (let i = 0; i < bytes; i += 1) value += this.#byte() * 256 ** i
    return value
  }

  /** `length`: one less than that of the literal. */
  #literal(length: number): void {
    const end = this.#at + length + 1
    if (end > this.block.length || this.#filled + length + 1 > this.#target.length)
      throw damaged("a compressed block has a wrong literal")
    this.#target.set(this.block.subarray(this.#at, end), this.#filled)
    this.#at = end
    this.#filled += length + 1
  }

  /** An offset of 11 bits. Zero repeats the last offset, with longer lengths. */
  #nearCopy(tag: number): void {
    const offset = ((tag & 0xe0) << 3) | this.#byte()
    const length = (tag >> 2) & 7
    if (offset !== 0) return this.#copy(offset, length + 4)
    if (length < 5) return this.#copy(this.#offset, length + 4)
    const base = [8, 260, 65_540][length - 5] ?? 0
    return this.#copy(this.#offset, base + this.#number(length - 4))
  }

  #copy(offset: number, length: number): void {
    const target = this.#target
    const from = this.#filled - offset
    if (offset === 0 || from < 0 || length > target.length - this.#filled)
      throw damaged("a compressed block has a wrong copy")
    this.#offset = offset
    if (offset >= length) target.copyWithin(this.#filled, from, from + length)
    else for (let i = 0; i < length; i += 1) target[this.#filled + i] = target[from + i] ?? 0
    this.#filled += length
  }
}
