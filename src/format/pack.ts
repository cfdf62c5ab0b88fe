/**
 * Packing: records are positional MessagePack arrays that begin with their format number. No shared
 * structures (their table would be state outside the log). Later formats append members; readers ignore
 * members that they do not know.
 */
import { Packr } from "msgpackr"
import { fail } from "../base/failures.js"

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number" })

export const packRecord = (format: number, members: readonly unknown[]): Uint8Array => packr.pack([format, ...members])

/** The list item that a number on disk refers to. Throws `corruptRecord`. */
export function pick<T>(list: readonly T[], index: number, what: string): T {
  const value = list[index]
  if (value === undefined) throw fail("corruptRecord", { what, index })
  return value
}

/** Reads members of a packed record by position, each with the type it must have. Throws `corruptRecord`. */
export class RecordReader {
  readonly format: number
  private at = 1

  private constructor(
    private readonly what: string,
    private readonly members: readonly unknown[],
    formatMax: number,
  ) {
    const format = members[0]
    if (typeof format !== "number" || format < 1 || format > formatMax) throw this.corrupt("format")
    this.format = format
  }

  static open(what: string, bytes: Uint8Array, formatMax: number): RecordReader {
    try {
      const value: unknown = packr.unpack(bytes)
      if (Array.isArray(value)) return new RecordReader(what, value, formatMax)
    } catch (error) {
      throw fail("corruptRecord", { what }, error)
    }
    throw fail("corruptRecord", { what, field: "array" })
  }

  private corrupt(field: string) {
    return fail("corruptRecord", { what: this.what, field, at: this.at })
  }

  private next(): unknown {
    this.at += 1
    return this.members[this.at - 1]
  }

  number(): number {
    const value = this.next()
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.corrupt("number")
    return value
  }

  text(): string {
    const value = this.next()
    if (typeof value !== "string") throw this.corrupt("text")
    return value
  }

  bytes(): Uint8Array {
    const value = this.next()
    if (!(value instanceof Uint8Array)) throw this.corrupt("bytes")
    return value
  }

  /** A list of texts. */
  texts(): readonly string[] {
    const value = this.next()
    if (!Array.isArray(value)) throw this.corrupt("list")
    return value.map((text: unknown) => {
      if (typeof text !== "string") throw this.corrupt("text")
      return text
    })
  }

  optional<T>(read: () => T): T | undefined {
    if (this.members[this.at] !== null && this.members[this.at] !== undefined) return read()
    this.at += 1
    return undefined
  }

  /** A nested array, read by position. */
  row(): RecordReader {
    return this.nested(this.next())
  }

  /** A list whose items are lists themselves, each read by position. */
  rows<T>(read: (row: RecordReader) => T): readonly T[] {
    const value = this.next()
    if (!Array.isArray(value)) throw this.corrupt("list")
    return value.map((row: unknown) => read(this.nested(row)))
  }

  /** The members that are left, each read by the function. */
  all<T>(read: (row: RecordReader) => T): readonly T[] {
    const values: T[] = []
    while (this.at < this.members.length) values.push(read(this))
    return values
  }

  private nested(row: unknown): RecordReader {
    if (!Array.isArray(row)) throw this.corrupt("list")
    return new RecordReader(this.what, [1, ...Array.from<unknown>(row)], 1)
  }
}
