/**
 * The settings that Swift's clients have made on a container, as the bucket's setting `swift` stores them: JSON,
 * version 1, or version 2 if they have keys or a place of versions with their setters.
 *
 * Refuses  Members that it does not know: a later release raises the version.
 */
import { fail } from "@hayloft/base/failures.js"
import { decodeSwiftSetter, encodeSwiftSetter, type SwiftSetter, type SwiftSetters } from "./swift-setter.js"
import { STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"

/** The place where what is overwritten or deleted goes. */
export interface SwiftArchive {
  /** The effect of a deletion: it brings the version before back, or is a version itself. */
  readonly mode: "stack" | "history"
  /** The name of a container of the same account. */
  readonly location: string
  /** The caller that has set it: versions go there with its rights alone. It is undefined if it was not noted. */
  readonly setter?: SwiftSetter | undefined
}

export interface SwiftContainer {
  /** Names in lower case without `x-container-meta-`, in the order in which they were set; values are byte strings. */
  readonly metadata: readonly (readonly [name: string, value: string])[]
  /** Access lists as Swift shows them; "" for none. */
  readonly read: string
  readonly write: string
  readonly archive?: SwiftArchive | undefined
  /** The storage class of what Swift stores in it; absent: STANDARD. */
  readonly policy?: StorageClass | undefined
  /** ETags of its objects are in quotes; if absent, the account chooses. */
  readonly quotesEtags?: boolean | undefined
  /** The setters of keys among the metadata, by their names; absent if none was noted. */
  readonly setters?: SwiftSetters | undefined
}

export const EMPTY_SWIFT_CONTAINER: SwiftContainer = { metadata: [], read: "", write: "" }

const [VERSION, WITH_SETTERS] = [1, 2]
const ARCHIVE_TEXTS_MAX = 3

export function encodeSwiftContainer(container: SwiftContainer): string {
  const { metadata, read, write, archive, policy, quotesEtags, setters = [] } = container
  const noted = setters.map(([name, setter]) => [name, encodeSwiftSetter(setter)])
  const kept = archive && [
    archive.mode,
    archive.location,
    ...(archive.setter === undefined ? [] : [encodeSwiftSetter(archive.setter)]),
  ]
  const hasSetters = noted.length > 0 || archive?.setter !== undefined
  return JSON.stringify({
    version: hasSetters ? WITH_SETTERS : VERSION,
    metadata,
    read,
    write,
    archive: kept,
    policy,
    quotesEtags,
    ...(noted.length > 0 && { setters: noted }),
  })
}

/** Throws `corruptRecord`. */
export function decodeSwiftContainer(document: string): SwiftContainer {
  const { version, metadata, read, write, archive, policy, quotesEtags, setters, ...others } = objectOf(document)
  const kept = archive === undefined ? undefined : archiveOf(archive)
  const hasSetters = setters !== undefined || kept?.setter !== undefined
  if (version !== (hasSetters ? WITH_SETTERS : VERSION) || Object.keys(others).length > 0) throw corrupt("version")
  if (!isPairs(metadata) || typeof read !== "string" || typeof write !== "string") throw corrupt("members")
  return {
    metadata,
    read,
    write,
    ...(kept !== undefined && { archive: kept }),
    ...(policy !== undefined && { policy: policyOf(policy) }),
    ...(quotesEtags !== undefined && { quotesEtags: choiceOf(quotesEtags) }),
    ...(setters !== undefined && { setters: settersOf(setters) }),
  }
}

function settersOf(value: unknown): SwiftSetters {
  if (!isPairs(value)) throw corrupt("setters")
  return value.map(([name, setter]) => [name, decodeSwiftSetter(setter)])
}

function choiceOf(value: unknown): boolean {
  if (typeof value !== "boolean") throw corrupt("quotesEtags")
  return value
}

function policyOf(value: unknown): StorageClass {
  const policy = STORAGE_CLASSES.find(name => name === value)
  if (policy === undefined) throw corrupt("policy")
  return policy
}

function objectOf(document: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(document)
    if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value))
  } catch {
    throw corrupt("json")
  }
  throw corrupt("object")
}

function archiveOf(value: unknown): SwiftArchive {
  const texts: readonly unknown[] = Array.isArray(value) ? value : []
  const [mode, location, setter] = texts
  if ((mode !== "stack" && mode !== "history") || typeof location !== "string") throw corrupt("archive")
  if (texts.length > ARCHIVE_TEXTS_MAX) throw corrupt("archive")
  if (setter === undefined) return { mode, location }
  if (typeof setter !== "string") throw corrupt("archive")
  return { mode, location, setter: decodeSwiftSetter(setter) }
}

const isPairs = (value: unknown): value is readonly (readonly [string, string])[] =>
  Array.isArray(value) && value.every(isPair)

const isPair = (pair: unknown): pair is readonly [string, string] =>
  Array.isArray(pair) && pair.length === 2 && pair.every(text => typeof text === "string")

const corrupt = (field: string) => fail("corruptRecord", { what: "swift container", field })
