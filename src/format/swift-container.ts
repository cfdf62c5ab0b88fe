/**
 * What Swift's clients have set on a container, as the bucket's setting `swift` stores it: JSON, version 1, or version 2 if it has keys
 * with their setters.
 *
 * Refuses  Members that it does not know: a later release raises the version.
 */
import { fail } from "../base/failures.js"
import { decodeSwiftSetter, encodeSwiftSetter, type SwiftSetters } from "./swift-setter.js"
import { STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"

/** Where what is overwritten or deleted goes. */
export interface SwiftArchive {
  /** Whether a deletion brings the version before back, or is a version itself. */
  readonly mode: "stack" | "history"
  /** The name of a container of the same account. */
  readonly location: string
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
  /** Whether ETags of its objects are in quotes; absent: as the account chooses. */
  readonly quotesEtags?: boolean | undefined
  /** Of keys among the metadata, by their names; absent: none was noted. */
  readonly setters?: SwiftSetters | undefined
}

export const EMPTY_SWIFT_CONTAINER: SwiftContainer = { metadata: [], read: "", write: "" }

const [VERSION, WITH_SETTERS] = [1, 2]

export function encodeSwiftContainer(container: SwiftContainer): string {
  const { metadata, read, write, archive, policy, quotesEtags, setters = [] } = container
  const noted = setters.map(([name, setter]) => [name, encodeSwiftSetter(setter)])
  return JSON.stringify({
    ...{ version: noted.length === 0 ? VERSION : WITH_SETTERS, metadata, read, write },
    ...{ archive: archive && [archive.mode, archive.location], policy, quotesEtags },
    ...(noted.length > 0 && { setters: noted }),
  })
}

/** Throws `corruptRecord`. */
export function decodeSwiftContainer(document: string): SwiftContainer {
  const { version, metadata, read, write, archive, policy, quotesEtags, setters, ...others } = objectOf(document)
  if (version !== (setters === undefined ? VERSION : WITH_SETTERS) || Object.keys(others).length > 0)
    throw corrupt("version")
  if (!isPairs(metadata) || typeof read !== "string" || typeof write !== "string") throw corrupt("members")
  return {
    ...{ metadata, read, write },
    ...(archive !== undefined && { archive: archiveOf(archive) }),
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
  if (!isPair(value)) throw corrupt("archive")
  const [mode, location] = value
  if (mode !== "stack" && mode !== "history") throw corrupt("archive")
  return { mode, location }
}

const isPairs = (value: unknown): value is readonly (readonly [string, string])[] =>
  Array.isArray(value) && value.every(isPair)

const isPair = (pair: unknown): pair is readonly [string, string] =>
  Array.isArray(pair) && pair.length === 2 && pair.every(text => typeof text === "string")

const corrupt = (field: string) => fail("corruptRecord", { what: "swift container", field })
