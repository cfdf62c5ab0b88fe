/**
 * Declared records: a record is declared once, by its name and its fields in their order on disk; how it is encoded and
 * decoded, and its type, follow from the declaration.
 *
 * A record is a packed record (`pack.ts`): an array of the format number and the members, which are arrays themselves
 * where fields are nested (`row`). A field writes and reads one member, or several (`group`, `union`, `rest`). A field that
 * may be absent is one of
 *
 *   optional    null on disk; the value of the property is undefined
 *   absent      null on disk; the value has no such property
 *   appended    as `absent`, and nothing is written behind the last field that is present: a later release added it
 *   since       as `appended`, and a record that has it has a later format, which earlier releases refuse
 *
 * Promises   Decoding returns what was encoded.
 * Refuses    With `corruptRecord`: members of another type, what the parser of a field refuses, and a format that is not the
 *            one of the fields that are present. Members behind the declared ones are ignored: a later release has appended
 *            them.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { packMembers, RecordReader } from "./pack.js"

export interface RecordField<T> {
  /** Appends the member, or the members, of a value. */
  write(members: unknown[], value: T): void
  read(row: RecordReader): T
  /** The member is the value itself. */
  readonly isPlain?: boolean | undefined
  /** The formats of records that consist of this field; without them there is format 1. */
  readonly formats?: { readonly max: number; of(value: T): number } | undefined
}

/** The value has the property only if the field is present. */
interface AbsentField<T> extends RecordField<T | undefined> {
  /** The field of a value that is present. */
  readonly present: RecordField<T>
}

/** Fields behind the last one that is present are not written. */
interface AppendedField {
  isPresent(value: unknown): boolean
  /** The format of records that have the field. */
  readonly format: number
}

/** A field whose value has properties of the record itself, under whatever name it is declared. */
interface FlatField<T> extends RecordField<T> {
  readonly isFlat: true
}

type Fields = Readonly<Record<string, RecordField<unknown>>>

type AbsentNames<F> = { [K in keyof F]: F[K] extends { present: unknown } ? K : never }[keyof F]
type FlatNames<F> = { [K in keyof F]: F[K] extends { isFlat: true } ? K : never }[keyof F]
type PresentOf<F> = F extends { present: RecordField<infer T> } ? T : never
type FlatOf<F> = { [K in keyof F]: F[K] extends FlatField<infer T> ? (value: T) => void : never }[keyof F]
type AllOf<F> = [F] extends [never] ? unknown : [F] extends [(value: infer T) => void] ? T : never
type Plain<T> = { [K in keyof T]: T[K] }

/** The type of the values of a field, or of a record. */
export type ValueOf<F> = F extends RecordField<infer T> ? T : F extends RecordType<infer T> ? T : never

/** The type of the values of these fields. */
export type RowOf<F> = Plain<
  { readonly [K in keyof F as Exclude<K, AbsentNames<F> | FlatNames<F>>]: ValueOf<F[K]> } & {
    readonly [K in keyof F as Extract<K, AbsentNames<F>>]?: PresentOf<F[K]>
  } & AllOf<FlatOf<F>>
>

interface RecordType<T> {
  readonly encode: (value: T) => Uint8Array
  readonly decode: (bytes: Uint8Array) => T
}

interface RecordOptions<T> {
  /** Throws if the fields do not fit together. */
  check?(value: T): void
}

/** Declares a record with these fields. */
export const record = <F extends Fields>(
  what: string,
  fields: F,
  options?: RecordOptions<RowOf<F>>,
): RecordType<RowOf<F>> => recordOf(what, group(fields), options)

/** Declares a record with the members of one field. */
export function recordOf<T>(what: string, field: RecordField<T>, options: RecordOptions<T> = {}): RecordType<T> {
  const { formats } = field
  const read = (bytes: Uint8Array): T => {
    const reader = RecordReader.open(what, bytes, formats?.max ?? 1)
    const value = field.read(reader)
    if (formats !== undefined && formats.of(value) !== reader.format) throw reader.corrupt("format")
    options.check?.(value)
    return value
  }
  return {
    encode: value => {
      const members: unknown[] = [formats?.of(value) ?? 1]
      field.write(members, value)
      return packMembers(members)
    },
    // Parsers refuse what a client has sent: a record that is malformed is no fault of a client.
    decode: bytes => corruptIfRefused(what, () => read(bytes)),
  }
}

/** The fields of a record in each of its formats: 1, 2 … */
export const byFormat = <T>(fields: readonly RecordField<T>[], of: (value: T) => number): RecordField<T> => ({
  write: (members, value) => must(fields[of(value) - 1], "a record has one of its formats").write(members, value),
  read: reader => must(fields[reader.format - 1], "a record has one of its formats").read(reader),
  formats: { max: fields.length, of },
})

/** Whatever is refused is refused as a corrupt record. */
export function corruptIfRefused<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw isFailure(error, "corruptRecord") ? error : fail("corruptRecord", { what }, error)
  }
}

const isField = (content: RecordField<unknown> | Fields): content is RecordField<unknown> =>
  typeof content.read === "function"
const isAppended = (field: RecordField<unknown>): field is RecordField<unknown> & AppendedField => "isPresent" in field

/** Callers pass only values of the declared types. */
const parseProperties = (value: unknown): Readonly<Record<string, unknown>> =>
  value as Readonly<Record<string, unknown>>

/** A field of a group, under its name. */
interface Slot {
  readonly name: string
  readonly field: RecordField<unknown>
  readonly isFlat: boolean
  readonly mayBeAbsent: boolean
  readonly isPlain: boolean
}

/** Fields one after another, as properties of one value. */
class Group implements RecordField<unknown> {
  private readonly fixed: readonly Slot[]
  private readonly appended: readonly (Slot & { readonly field: RecordField<unknown> & AppendedField })[]
  private readonly slots: readonly Slot[]
  /** The properties of every value: copies of it have the same shape, and are made faster than objects that grow. */
  private readonly shape: Readonly<Record<string, unknown>>

  constructor(fields: Fields) {
    this.slots = Object.entries(fields).map(([name, field]) => ({
      name,
      field,
      isFlat: "isFlat" in field,
      mayBeAbsent: "present" in field,
      isPlain: field.isPlain === true,
    }))
    const first = this.slots.findIndex(({ field }) => isAppended(field))
    this.fixed = first === -1 ? this.slots : this.slots.slice(0, first)
    const always = this.slots.filter(({ isFlat, mayBeAbsent }) => !isFlat && !mayBeAbsent)
    this.shape = Object.fromEntries(always.map(({ name }) => [name, undefined]))
    this.appended = this.slots.slice(this.fixed.length).map(slot => ({ ...slot, field: appendedOf(slot) }))
  }

  /** The format of a value is the latest of its fields. */
  get formats(): RecordField<unknown>["formats"] {
    const max = this.appended.reduce((latest, { field }) => Math.max(latest, field.format), 1)
    return max === 1 ? undefined : { max, of: value => this.formatOf(parseProperties(value)) }
  }

  private formatOf(properties: Readonly<Record<string, unknown>>): number {
    let latest = 1
    for (const { name, field } of this.appended) {
      if (field.format > latest && field.isPresent(properties[name])) latest = field.format
    }
    return latest
  }

  write(members: unknown[], value: unknown): void {
    const properties = parseProperties(value)
    for (const { name, field, isFlat, isPlain } of this.fixed) {
      if (isPlain) members.push(properties[name])
      else field.write(members, isFlat ? value : properties[name])
    }
    if (this.appended.length === 0) return
    let end = members.length
    for (const { name, field } of this.appended) {
      field.write(members, properties[name])
      if (field.isPresent(properties[name])) end = members.length
    }
    members.length = end
  }

  read(row: RecordReader): unknown {
    const value = { ...this.shape }
    for (const { name, field, isFlat, mayBeAbsent } of this.slots) {
      const property = field.read(row)
      if (isFlat) Object.assign(value, property)
      else if (property !== undefined || !mayBeAbsent) value[name] = property
    }
    return value
  }
}

function appendedOf({ name, field }: Slot): RecordField<unknown> & AppendedField {
  assert(isAppended(field), `only appended fields follow an appended one, not ${name}`)
  return field
}

/** Fields one after another in the array that they are in. */
export function group<F extends Fields>(fields: F): RecordField<RowOf<F>>
export function group(fields: Fields): RecordField<unknown> {
  return new Group(fields)
}

/** A nested array of these fields, or of the members of one field. */
export function row<T>(content: RecordField<T>): RecordField<T>
export function row<F extends Fields>(fields: F): RecordField<RowOf<F>>
export function row(content: RecordField<unknown> | Fields): RecordField<unknown> {
  const field = isField(content) ? content : new Group(content)
  assert(field.formats === undefined, "only a record has a format: a row in it has no field since a later one")
  return {
    write: (members, value) => {
      const nested: unknown[] = []
      field.write(nested, value)
      members.push(nested)
    },
    read: reader => field.read(reader.row()),
  }
}

/** The properties of the field's value are properties of the record. */
export const flat = <T extends object>(field: RecordField<T>): FlatField<T> => ({
  write: (members, value) => field.write(members, value),
  read: reader => field.read(reader),
  isFlat: true,
})

// Members

const member = <T>(read: (row: RecordReader) => T): RecordField<T> => ({
  write: (members, value) => {
    members.push(value)
  },
  read,
  isPlain: true,
})

export const TEXT = member(reader => reader.text())
export const BYTES = member(reader => reader.bytes())
/** A nested array that functions pack and read by hand. */
export const packed = <T>(pack: (value: T) => readonly unknown[], read: (row: RecordReader) => T): RecordField<T> => ({
  write: (members, value) => {
    members.push(pack(value))
  },
  read: reader => read(reader.row()),
})
/** Bytes in memory of their own: the value may outlive what it was decoded from. */
export const OWN_BYTES: RecordField<Uint8Array> = member(reader => Uint8Array.from(reader.bytes()))
/** Any finite number. */
export const NUMBER = member(reader => reader.number())

export const BOOLEAN = member(reader => reader.boolean())
/** Anything, as MessagePack has it. */
export const UNKNOWN = member(reader => reader.unknown())

export const whole = (min = 0, max: number = Number.MAX_SAFE_INTEGER): RecordField<number> =>
  member(reader => {
    const value = reader.number()
    if (!Number.isSafeInteger(value) || value < min || value > max) throw reader.corrupt("number")
    return value
  })

/** So many bytes, in memory of their own. */
export const bytesOfLength = (length: number): RecordField<Uint8Array> =>
  member(reader => {
    const bytes = reader.bytes()
    if (bytes.length !== length) throw reader.corrupt("bytes")
    return Uint8Array.from(bytes)
  })

/** A field whose value has another form in the program. */
export const mapped = <Stored, T>(
  field: RecordField<Stored>,
  parse: (stored: Stored) => T,
  store: (value: T) => Stored,
): RecordField<T> => ({
  write: (members, value) => field.write(members, store(value)),
  read: reader => parse(field.read(reader)),
  formats: field.formats && { max: field.formats.max, of: value => field.formats?.of(store(value)) ?? 1 },
})

/** A field whose values the parser accepts, and names. */
export const parsed = <Stored, T extends Stored>(
  field: RecordField<Stored>,
  parse: (stored: Stored) => T,
): RecordField<T> => ({
  write: (members, value) => field.write(members, value),
  read: reader => parse(field.read(reader)),
  isPlain: field.isPlain,
})

/** 0 or 1. */
export const FLAG: RecordField<boolean> = {
  write: (members, value) => {
    members.push(value ? 1 : 0)
  },
  read: reader => {
    const value = reader.number()
    if (value !== 0 && value !== 1) throw reader.corrupt("flag")
    return value === 1
  },
}

/** A property that is true where it is present: 1. */
export const TRUE: RecordField<true> = {
  write: members => {
    members.push(1)
  },
  read: reader => {
    if (reader.number() !== 1) throw reader.corrupt("true")
    return true
  },
}

/** One of a list, by its number there: the list is append only. */
export const oneOf = <const T extends string>(list: readonly T[]): RecordField<T> => ({
  write: (members, value) => {
    members.push(list.indexOf(value))
  },
  read: reader => {
    const value = list[reader.number()]
    if (value === undefined) throw reader.corrupt(`one of ${list.join(", ")}`)
    return value
  },
})

/** Flags as bits of one number, the first as 1. */
export function flags<const Name extends string>(
  ...names: readonly Name[]
): RecordField<Readonly<Record<Name, boolean>>>
export function flags(...names: readonly string[]): RecordField<Readonly<Record<string, boolean>>> {
  return mapped(
    NUMBER,
    bits => Object.fromEntries(names.map((name, bit) => [name, Math.floor(bits / 2 ** bit) % 2 === 1])),
    value => names.reduce((bits, name, bit) => bits + (value[name] === true ? 2 ** bit : 0), 0),
  )
}

/** A member that is always null. */
export const NOTHING: RecordField<object> = {
  write: members => {
    members.push(null)
  },
  read: reader => {
    if (!reader.skipsAbsent()) throw reader.corrupt("null")
    return {}
  },
}

/** Nothing may follow. */
export const END: RecordField<object> = {
  write: () => undefined,
  read: reader => {
    if (!reader.isOver) throw reader.corrupt("end")
    return {}
  },
}

// Lists

/** The members that are left. */
export const rest = <T>(field: RecordField<T>, max = Infinity): RecordField<readonly T[]> => ({
  write: (members, values) => {
    for (const value of values) field.write(members, value)
  },
  read: reader => {
    const values = reader.all(left => field.read(left))
    if (values.length > max) throw reader.corrupt("length of a list")
    return values
  },
})

export const listOf = <T>(field: RecordField<T>, max = Infinity): RecordField<readonly T[]> => row(rest(field, max))

/** A list of rows with these fields. */
export const rowsOf = <F extends Fields>(fields: F): RecordField<readonly RowOf<F>[]> => listOf(row(fields))

/** Two members of a nested array. */
export const pairOf = <A, B>(first: RecordField<A>, second: RecordField<B>): RecordField<readonly [A, B]> =>
  row({
    write: (members, [a, b]) => {
      first.write(members, a)
      second.write(members, b)
    },
    read: (reader): readonly [A, B] => [first.read(reader), second.read(reader)],
  })

/** Names and values. */
export const PAIRS = listOf(pairOf(TEXT, TEXT))

/** Names and values in one list, one after another. */
export const FLAT_PAIRS: RecordField<readonly (readonly [name: string, value: string])[]> = row({
  write: (members, pairs) => {
    for (const pair of pairs) members.push(...pair)
  },
  read: reader => {
    const texts = reader.all(left => left.text())
    if (texts.length % 2 !== 0) throw reader.corrupt("pairs")
    return texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? ""] as const] : []))
  },
})

export const mapOf = <K, V>(key: RecordField<K>, value: RecordField<V>): RecordField<ReadonlyMap<K, V>> =>
  mapped(
    listOf(pairOf(key, value)),
    pairs => new Map(pairs),
    map => [...map],
  )

// Absence

export const optional = <T>(field: RecordField<T>): RecordField<T | undefined> => ({
  write: (members, value) => {
    if (value === undefined) members.push(null)
    else field.write(members, value)
  },
  read: reader => (reader.skipsAbsent() ? undefined : field.read(reader)),
})

export const absent = <T>(field: RecordField<T>): AbsentField<T> => ({ ...optional(field), present: field })

/** Like `absent`, but the member must not be left out. */
export const nullable = <T>(field: RecordField<T>): AbsentField<T> => ({
  ...absent(field),
  read: reader => (reader.skipsNull() ? undefined : field.read(reader)),
})

/** The last members of a row; none is written if the value is undefined. */
export const tail = <T>(field: RecordField<T>): RecordField<T | undefined> => ({
  write: (members, value) => {
    if (value !== undefined) field.write(members, value)
  },
  read: reader => (reader.skipsAbsent() ? undefined : field.read(reader)),
})

/** `format`: the format of records that have it. `width`: the number of its members. */
export const since = <T>(format: number, field: RecordField<T>, width = 1): AbsentField<T> & AppendedField => ({
  write: (members, value) => {
    if (value !== undefined) field.write(members, value)
    else for (let i = 0; i < width; i += 1) members.push(null)
  },
  read: reader => {
    if (!reader.skipsAbsent()) return field.read(reader)
    for (let i = 1; i < width; i += 1) if (!reader.skipsAbsent()) throw reader.corrupt("absent")
    return undefined
  },
  present: field,
  format,
  isPresent: (value: unknown) => value !== undefined,
})

export const appended = <T>(field: RecordField<T>): AbsentField<T> & AppendedField => since(1, field)

/** The members that are left behind appended ones. */
export const appendedRest = <T>(field: RecordField<T>): RecordField<readonly T[]> & AppendedField => ({
  ...rest(field),
  format: 1,
  isPresent: (values: unknown) => Array.isArray(values) && values.length > 0,
})

/** An appended list that is empty where it is absent. */
export const appendedList = <T>(field: RecordField<T>): RecordField<readonly T[]> & AppendedField => {
  const present = listOf(field)
  return {
    write: (members, values) => present.write(members, values),
    read: reader => (reader.skipsAbsent() ? [] : present.read(reader)),
    format: 1,
    isPresent: (values: unknown) => Array.isArray(values) && values.length > 0,
  }
}

/** An appended number that is 0 where it is absent. */
export const APPENDED_NUMBER: RecordField<number> & AppendedField = {
  ...mapped(
    optional(NUMBER),
    number => number ?? 0,
    number => number,
  ),
  format: 1,
  isPresent: (number: unknown) => Number(number) > 0,
}

/** An appended map that may be absent, or empty in front of other fields. */
export const appendedMap = <K, V>(
  key: RecordField<K>,
  value: RecordField<V>,
): AbsentField<ReadonlyMap<K, V>> & AppendedField => {
  const present = mapOf(key, value)
  return {
    write: (members, map = new Map()) => present.write(members, map),
    read: reader => (reader.skipsAbsent() ? undefined : present.read(reader)),
    present,
    format: 1,
    isPresent: (map: unknown) => map instanceof Map && map.size > 0,
  }
}

const positive = (number: number): number | undefined => (number > 0 ? number : undefined)

/** A number that is absent where it is 0. */
export const COUNT: AbsentField<number> = {
  write: (members, count) => {
    members.push(count ?? 0)
  },
  read: reader => positive(reader.skipsAbsent() ? 0 : reader.number()),
  present: NUMBER,
}

export const APPENDED_COUNT: AbsentField<number> & AppendedField = {
  ...COUNT,
  format: 1,
  isPresent: (count: unknown) => Number(count) > 0,
}

/** 1, or 0 where it is absent. */
export const MARK: AbsentField<true> = {
  write: (members, value) => FLAG.write(members, value === true),
  read: reader => (FLAG.read(reader) ? true : undefined),
  present: TRUE,
}

/** The member of a value in a record that is packed by hand; undefined if there is no value. */
export function memberOf<T>(field: RecordField<T>, value: T | undefined): unknown {
  if (value === undefined) return undefined
  const members: unknown[] = []
  field.write(members, value)
  return members[0]
}

// Alternatives

type Variants = Readonly<Record<string, Fields>>
type Alternative<V> = { [Kind in keyof V]: Plain<{ readonly kind: Kind } & RowOf<V[Kind]>> }[keyof V]

/** One of several groups of fields, each behind its `kind`, as the number of its place here: append only. */
export function union<V extends Variants>(variants: V): RecordField<Alternative<V>>
export function union(variants: Variants): RecordField<{ readonly kind: string }> {
  return unionBy(oneOf(Object.keys(variants)), variants)
}

/** The same with the kinds as texts. */
export function textUnion<V extends Variants>(variants: V): RecordField<Alternative<V>>
export function textUnion(variants: Variants): RecordField<{ readonly kind: string }> {
  return unionBy(TEXT, variants)
}

function unionBy(kindField: RecordField<string>, variants: Variants): RecordField<{ readonly kind: string }> {
  const groups = new Map(Object.entries(variants).map(([kind, fields]) => [kind, new Group(fields)]))
  assert(
    [...groups.values()].every(({ formats }) => formats === undefined),
    "alternatives have no format of their own",
  )
  return {
    write: (members, value) => {
      kindField.write(members, value.kind)
      groups.get(value.kind)?.write(members, value)
    },
    read: reader => {
      const kind = kindField.read(reader)
      const fields = groups.get(kind)
      if (fields === undefined) throw reader.corrupt("kind")
      return { kind, ...parseProperties(fields.read(reader)) }
    },
  }
}
