/**
 * Packing: records are positional MessagePack arrays that begin with their format number. No shared
 * structures (their table would be state outside the log). Later formats append members; readers ignore
 * members that they do not know.
 *
 * `fields.ts` declares records by their fields; what packs and reads members here itself does so for its speed.
 */
import { Packr } from "msgpackr"
import { fail, type Failure } from "@hayloft/base/failures.js"

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number" })

export const packRecord = (format: number, members: readonly unknown[]): Uint8Array => packr.pack([format, ...members])

/** Packs members that begin with the format. */
export const packMembers = (members: readonly unknown[]): Uint8Array => packr.pack(members)

/** The list item that a number on disk refers to. Throws `corruptRecord`. */
export function pick<T>(list: readonly T[], index: number, what: string): T {
  const value = list[index]
  if (value === undefined) throw fail("corruptRecord", { what, index })
  return value
}

/** Reads members of a packed record by position, each with the type it must have. Throws `corruptRecord`. */
export class RecordReader {
  /** `at`: the position of the next member. */
  private constructor(
    readonly what: string,
    private readonly members: readonly unknown[],
    readonly format: number,
    private at: number,
  ) {}

  static open(what: string, bytes: Uint8Array, formatMax: number): RecordReader {
    const members = unpackMembers(what, bytes)
    const format = members[0]
    if (typeof format === "number" && format >= 1 && format <= formatMax)
      return new RecordReader(what, members, format, 1)
    throw fail("corruptRecord", { what, field: "format", at: 1 })
  }

  /** The members of an array without a format. */
  static of(what: string, members: unknown): RecordReader {
    if (!Array.isArray(members)) throw fail("corruptRecord", { what, field: "list" })
    return new RecordReader(what, members, 1, 0)
  }

  corrupt(field: string): Failure {
    return fail("corruptRecord", { what: this.what, field, at: this.at })
  }

  private next(): unknown {
    this.at += 1
    return this.members[this.at - 1]
  }

  /** It is true if no member is left. */
  get isOver(): boolean {
    return this.at >= this.members.length
  }

  /** Like `skipsAbsent`, for a member that is null and not left out. */
  skipsNull(): boolean {
    return !this.isOver && this.members[this.at] === null && this.skipsAbsent()
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

  boolean(): boolean {
    const value = this.next()
    if (typeof value !== "boolean") throw this.corrupt("boolean")
    return value
  }

  unknown(): unknown {
    return this.next()
  }

  bytes(): Uint8Array {
    const value = this.next()
    if (!(value instanceof Uint8Array)) throw this.corrupt("bytes")
    return value
  }

  /** Passes over a member that is absent, and returns true; returns false, and stays, at one that is present. */
  skipsAbsent(): boolean {
    if (this.members[this.at] !== null && this.members[this.at] !== undefined) return false
    this.at += 1
    return true
  }

  optional<T>(read: () => T): T | undefined {
    return this.skipsAbsent() ? undefined : read()
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
    return RecordReader.of(this.what, row)
  }
}

/** Throws `corruptRecord`. */
export function unpackMembers(what: string, bytes: Uint8Array): readonly unknown[] {
  try {
    const value: unknown = packr.unpack(bytes)
    if (Array.isArray(value)) return value
  } catch (error) {
    throw fail("corruptRecord", { what }, error)
  }
  throw fail("corruptRecord", { what, field: "array" })
}
