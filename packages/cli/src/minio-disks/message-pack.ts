/**
 * MessagePack, in which MinIO writes its metadata, as plain values. Pure.
 *
 * Promises  Reads only within the given bytes; the position behind each value is known. Byte strings are views.
 * Refuses   Throws `damaged` for bytes that end early, for a kind that does not exist, and below `DEPTH_MAX`.
 * Limits    A value takes some times the memory of its bytes: callers bound those.
 * Source: MessagePack specification (msgpack.org), with the extension type 5 of tinylib/msgp for times.
 */
import { damaged } from "./failure.js"

const DEPTH_MAX = 16
const TIME_EXTENSION = 5

export type MessageMap = ReadonlyMap<string, MessageValue>
/** A whole number is a bigint where a number would not be exact. A time is a bigint of nanoseconds since 1970. */
export type MessageValue = null | boolean | number | bigint | string | Uint8Array | readonly MessageValue[] | MessageMap

export class MessageReader {
  readonly #view: DataView
  #at: number

  constructor(
    private readonly bytes: Uint8Array,
    at = 0,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = at
  }

  /** The offset of the next value. */
  get position(): number {
    return this.#at
  }

  get isAtEnd(): boolean {
    return this.#at >= this.bytes.length
  }

  value(): MessageValue {
    return this.#value(DEPTH_MAX)
  }

  map(): MessageMap {
    const value = this.value()
    if (value instanceof Map) return value
    throw damaged("a map is missing")
  }

  byteString(): Uint8Array {
    const value = this.value()
    if (value instanceof Uint8Array) return value
    throw damaged("a byte string is missing")
  }

  /** A whole number from 0 on. */
  count(): number {
    const value = this.value()
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
    throw damaged("a count is missing")
  }

  #value(depth: number): MessageValue {
    if (depth === 0) throw damaged("values are nested too deeply")
    const kind = this.#view.getUint8(this.#take(1))
    if (kind < 0x80) return kind
    if (kind < 0x90) return this.#map(kind & 0x0f, depth)
    if (kind < 0xa0) return this.#array(kind & 0x0f, depth)
    if (kind < 0xc0) return this.#text(kind & 0x1f)
    if (kind >= 0xe0) return kind - 0x100
    switch (kind) {
      case 0xc0:
        return null
      case 0xc2:
      case 0xc3:
        return kind === 0xc3
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#slice(this.#length(kind - 0xc4))
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(this.#length(kind - 0xc7))
      case 0xca:
        return this.#view.getFloat32(this.#take(4))
      case 0xcb:
        return this.#view.getFloat64(this.#take(8))
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#length(kind - 0xcc)
      case 0xcf:
        return exact(this.#view.getBigUint64(this.#take(8)))
      case 0xd0:
        return this.#view.getInt8(this.#take(1))
      case 0xd1:
        return this.#view.getInt16(this.#take(2))
      case 0xd2:
        return this.#view.getInt32(this.#take(4))
      case 0xd3:
        return exact(this.#view.getBigInt64(this.#take(8)))
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(2 ** (kind - 0xd4))
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#length(kind - 0xd9))
      case 0xdc:
      case 0xdd:
        return this.#array(this.#length(kind - 0xdb), depth)
      case 0xde:
      case 0xdf:
        return this.#map(this.#length(kind - 0xdd), depth)
      default:
        throw damaged("a value is of no kind of MessagePack")
    }
  }

  /** An unsigned number of 1, 2 or 4 bytes. */
  #length(size: number): number {
    if (size === 0) return this.#view.getUint8(this.#take(1))
    return size === 1 ? this.#view.getUint16(this.#take(2)) : this.#view.getUint32(this.#take(4))
  }

  /** Where so many bytes are, which are then behind the reader. */
  #take(lengthBytes: number): number {
    const at = this.#at
    if (lengthBytes > this.bytes.length - at) throw damaged("the metadata ends early")
    this.#at += lengthBytes
    return at
  }

  #slice(lengthBytes: number): Uint8Array {
    const at = this.#take(lengthBytes)
    return this.bytes.subarray(at, at + lengthBytes)
  }

  #text(lengthBytes: number): string {
    const { buffer, byteOffset } = this.#slice(lengthBytes)
    return Buffer.from(buffer, byteOffset, lengthBytes).toString("utf8")
  }

  #array(length: number, depth: number): readonly MessageValue[] {
    this.#expect(length)
    return Array.from({ length }, () => this.#value(depth - 1))
  }

  #map(length: number, depth: number): MessageMap {
    this.#expect(2 * length)
    const map = new Map<string, MessageValue>()
    for (let i = 0; i < length; i += 1) {
      const key = this.#value(depth - 1)
      if (typeof key !== "string") throw damaged("a key of a map is no text")
      map.set(key, this.#value(depth - 1))
    }
    return map
  }

  /** Each value has at least a byte, so that a wrong length asks for no memory. */
  #expect(values: number): void {
    if (values > this.bytes.length - this.#at) throw damaged("the metadata ends early")
  }

  #extension(lengthBytes: number): MessageValue {
    const type = this.#view.getInt8(this.#take(1))
    const at = this.#take(lengthBytes)
    if (type === TIME_EXTENSION && lengthBytes === 12)
      return this.#view.getBigInt64(at) * 1_000_000_000n + BigInt(this.#view.getInt32(at + 8))
    return this.bytes.subarray(at, at + lengthBytes)
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
