/**
 * What Swift's clients have set on a container, as the bucket's setting `swift` stores it: JSON, version 1.
 *
 * Refuses  Members that it does not know: a later release raises the version.
 */
import { fail } from "../base/failures.js"
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
}

export const EMPTY_SWIFT_CONTAINER: SwiftContainer = { metadata: [], read: "", write: "" }

const VERSION = 1

export const encodeSwiftContainer = ({ metadata, read, write, archive, policy, quotesEtags }: SwiftContainer): string =>
  JSON.stringify({
    ...{ version: VERSION, metadata, read, write },
    ...{ archive: archive && [archive.mode, archive.location], policy, quotesEtags },
  })

/** Throws `corruptRecord`. */
export function decodeSwiftContainer(document: string): SwiftContainer {
  const { version, metadata, read, write, archive, policy, quotesEtags, ...others } = objectOf(document)
  if (version !== VERSION || Object.keys(others).length > 0) throw corrupt("version")
  if (!isPairs(metadata) || typeof read !== "string" || typeof write !== "string") throw corrupt("members")
  return {
    ...{ metadata, read, write },
    ...(archive !== undefined && { archive: archiveOf(archive) }),
    ...(policy !== undefined && { policy: policyOf(policy) }),
    ...(quotesEtags !== undefined && { quotesEtags: choiceOf(quotesEtags) }),
  }
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
