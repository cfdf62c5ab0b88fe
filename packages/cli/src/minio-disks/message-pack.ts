/**
 * MessagePack, in which MinIO writes its metadata, as plain values, one after the other.
 *
 * Promises  Reads only within the given bytes; the position behind each value is known. Byte strings are views.
 * Refuses   Throws `damaged` for bytes that end early, for a kind that MinIO does not write, and below `DEPTH_MAX`.
 * Limits    A value takes some times the memory of its bytes: callers bound those.
 * Source: the extension type 5 for times is that of tinylib/msgp.
 */
import { addExtension, Unpackr } from "msgpackr"
import { damaged } from "./failure.js"

const DEPTH_MAX = 16
const TIME_EXTENSION = 5
const TIME_BYTES = 12

export type MessageMap = ReadonlyMap<string, MessageValue>
/** A whole number is a bigint where a number would not be exact. A time is a whole number of nanoseconds since 1970. */
export type MessageValue = null | boolean | number | bigint | string | Uint8Array | readonly MessageValue[] | MessageMap

addExtension({ type: TIME_EXTENSION, unpack: timeOf })
const unpackr = new Unpackr({ mapsAsObjects: false, int64AsType: "bigint", useRecords: false })

export class MessageReader {
  /** The offset of the next value. */
  position: number

  constructor(
    private readonly bytes: Uint8Array,
    at = 0,
  ) {
    this.position = at
  }

  get isAtEnd(): boolean {
    return this.position >= this.bytes.length
  }

  value(): MessageValue {
    return plainValue(this.next(), DEPTH_MAX)
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

  private next(): unknown {
    let found: unknown
    try {
      unpackr.unpackMultiple(this.bytes.subarray(this.position), (value: unknown, _start, end = 0) => {
        found = value
        this.position += end
        return false
      })
    } catch (error) {
      throw damaged(`the metadata is no MessagePack: ${error instanceof Error ? error.message : String(error)}`)
    }
    return found
  }
}

/** Checks what the library has read: it knows more kinds of values than MinIO writes. */
function plainValue(value: unknown, depth: number): MessageValue {
  if (depth === 0) throw damaged("values are nested too deeply")
  if (value === null || value instanceof Uint8Array) return value
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "string") return value
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map((each: unknown) => plainValue(each, depth - 1))
  if (!(value instanceof Map)) throw damaged("a value is of a kind that MinIO does not write")
  const entries: ReadonlyMap<unknown, unknown> = value
  const map = new Map<string, MessageValue>()
  for (const [key, each] of entries) {
    if (typeof key !== "string") throw damaged("a key of a map is no text")
    map.set(key, plainValue(each, depth - 1))
  }
  return map
}

/** Seconds and nanoseconds; bytes of another length are no time. */
function timeOf(bytes: Uint8Array): bigint | Uint8Array {
  if (bytes.length !== TIME_BYTES) return bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, TIME_BYTES)
  return view.getBigInt64(0) * 1_000_000_000n + BigInt(view.getInt32(8))
}
