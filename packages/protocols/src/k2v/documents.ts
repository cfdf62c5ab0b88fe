/**
 * JSON in requests of K2V: each member is known, and has its type. Pure.
 *
 * Refuses  `invalidRequest` with the place; `invalidKey`, `keyTooLong`.
 * Limits   `DOCUMENT_LIMITS`.
 */
import { fail } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { parseItemKey, type ItemKey } from "@hayloft/base/ids.js"
import { decodeToken, type CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import type { NewValue } from "@hayloft/features/items/index.js"

export const DOCUMENT_LIMITS = {
  bytesMax: 16 * MIB,
  insertsMax: 10_000,
  searchesMax: 1_000,
  /** The results of all searches of a request, in JSON. */
  resultsBytesMax: 64 * MIB,
} as const

const invalid = (message: string) => fail("invalidRequest", { message })

function parseDocument(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    throw fail("invalidRequest", { message: "The body is not JSON in UTF-8." }, error)
  }
}

/** Members of an object. */
class Members {
  private constructor(
    private readonly values: ReadonlyMap<string, unknown>,
    private readonly where: string,
  ) {}

  static of(value: unknown, where: string, known: readonly string[]): Members {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw invalid(`${where} must be an object.`)
    const other = Object.keys(value).find(name => !known.includes(name))
    if (other !== undefined) throw invalid(`${where} has an unknown member ${other.slice(0, 100)}.`)
    return new Members(new Map(Object.entries(value)), where)
  }

  /** Returns undefined if the value is absent or null. */
  text(name: string): string | undefined {
    const value = this.values.get(name) ?? undefined
    if (value === undefined || typeof value === "string") return value
    throw invalid(`${this.where}.${name} must be a text.`)
  }

  key(name: string): ItemKey | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : parseItemKey(text)
  }

  needed(name: string): ItemKey {
    const key = this.key(name)
    if (key === undefined) throw invalid(`${this.where}.${name} is missing.`)
    return key
  }

  partition(name: string): ItemKey {
    const key = this.needed(name)
    if (key === "") throw invalid(`${this.where}.${name} must not be empty.`)
    return key
  }

  count(name: string): number | undefined {
    const value = this.values.get(name) ?? undefined
    if (value === undefined) return undefined
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
    throw invalid(`${this.where}.${name} must be a whole number.`)
  }

  flag(name: string): boolean {
    const value = this.values.get(name) ?? false
    if (typeof value === "boolean") return value
    throw invalid(`${this.where}.${name} must be true or false.`)
  }
}

function listOf<T>(bytes: Uint8Array, max: number, read: (value: unknown, where: string) => T): readonly T[] {
  const value = parseDocument(bytes)
  if (!Array.isArray(value)) throw invalid("The body must be a list.")
  if (value.length > max) throw invalid(`The body must have at most ${max} members.`)
  return value.map((one: unknown, index) => read(one, `$[${index}]`))
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
export const NOTHING_SEEN: CausalContext = new Map()

function bytesOf(text: string, where: string): Uint8Array {
  if (text.length % 4 === 0 && BASE64.test(text)) return Buffer.from(text, "base64")
  throw fail("invalidRequest", { message: `${where}.v is not base64.`, field: "base64" })
}

export const parseInserts = (bytes: Uint8Array): readonly NewValue[] =>
  listOf(bytes, DOCUMENT_LIMITS.insertsMax, (value, where) => {
    const members = Members.of(value, where, ["pk", "sk", "ct", "v"])
    const [token, text] = [members.text("ct"), members.text("v")]
    return {
      partition: members.partition("pk"),
      sortKey: members.needed("sk"),
      seen: token === undefined ? NOTHING_SEEN : decodeToken(token),
      bytes: text === undefined ? undefined : bytesOf(text, where),
    }
  })

/** A range of items, or one of them. */
export interface Selection {
  readonly partition: ItemKey
  readonly prefix: ItemKey | undefined
  readonly start: ItemKey | undefined
  readonly end: ItemKey | undefined
  readonly singleItem: boolean
}

export interface Search extends Selection {
  readonly limit: number | undefined
  readonly reverse: boolean
  readonly conflictsOnly: boolean
  readonly tombstones: boolean
}

const SELECTED = ["partitionKey", "prefix", "start", "end", "singleItem"]

function selectionOf(members: Members, where: string): Selection {
  const singleItem = members.flag("singleItem")
  const [prefix, start, end] = [members.key("prefix"), members.key("start"), members.key("end")]
  if (singleItem && (prefix !== undefined || end !== undefined))
    throw invalid(`${where}: prefix and end must not be set if singleItem is true.`)
  if (singleItem && start === undefined) throw invalid(`${where}: start must be set if singleItem is true.`)
  checkStart(prefix, start, where)
  return { partition: members.partition("partitionKey"), prefix, start, end, singleItem }
}

/** Throws `invalidRequest` if the listing would begin outside of its prefix. */
export function checkStart(prefix: ItemKey | undefined, start: ItemKey | undefined, where: string): void {
  if (prefix === undefined || start === undefined || start.startsWith(prefix)) return
  throw invalid(`${where}: start does not begin with prefix.`)
}

export const parseSearches = (bytes: Uint8Array): readonly Search[] =>
  listOf(bytes, DOCUMENT_LIMITS.searchesMax, (value, where) => {
    const members = Members.of(value, where, [...SELECTED, "limit", "reverse", "conflictsOnly", "tombstones"])
    const selection = selectionOf(members, where)
    const [limit, reverse] = [members.count("limit"), members.flag("reverse")]
    if (selection.singleItem && (limit !== undefined || reverse))
      throw invalid(`${where}: limit and reverse must not be set if singleItem is true.`)
    return {
      ...selection,
      limit,
      reverse,
      conflictsOnly: members.flag("conflictsOnly"),
      tombstones: members.flag("tombstones"),
    }
  })

export const parseDeletions = (bytes: Uint8Array): readonly Selection[] =>
  listOf(bytes, DOCUMENT_LIMITS.searchesMax, (value, where) => selectionOf(Members.of(value, where, SELECTED), where))

export interface RangePoll {
  readonly prefix: ItemKey | undefined
  readonly start: ItemKey | undefined
  readonly end: ItemKey | undefined
  readonly timeout: number | undefined
  readonly seenMarker: string | undefined
}

export function parseRangePoll(bytes: Uint8Array): RangePoll {
  const members = Members.of(parseDocument(bytes), "$", ["prefix", "start", "end", "timeout", "seenMarker"])
  const [prefix, start, end] = [members.key("prefix"), members.key("start"), members.key("end")]
  checkStart(prefix, start, "$")
  return { prefix, start, end, timeout: members.count("timeout"), seenMarker: members.text("seenMarker") }
}
