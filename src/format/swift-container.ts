/**
 * What Swift's clients have set on a container, as the bucket's setting `swift` stores it: JSON, version 1.
 *
 * Refuses  Members that it does not know: a later release raises the version.
 */
import { fail } from "../base/failures.js"

export interface SwiftContainer {
  /** Names in lower case without `x-container-meta-`, in the order in which they were set; values are byte strings. */
  readonly metadata: readonly (readonly [name: string, value: string])[]
  /** Access lists as Swift shows them; "" for none. */
  readonly read: string
  readonly write: string
}

export const EMPTY_SWIFT_CONTAINER: SwiftContainer = { metadata: [], read: "", write: "" }

const VERSION = 1

export const encodeSwiftContainer = ({ metadata, read, write }: SwiftContainer): string =>
  JSON.stringify({ version: VERSION, metadata, read, write })

/** Throws `corruptRecord`. */
export function decodeSwiftContainer(document: string): SwiftContainer {
  const { version, metadata, read, write, ...others } = objectOf(document)
  if (version !== VERSION || Object.keys(others).length > 0) throw corrupt("version")
  if (!isPairs(metadata) || typeof read !== "string" || typeof write !== "string") throw corrupt("members")
  return { metadata, read, write }
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

const isPairs = (value: unknown): value is readonly (readonly [string, string])[] =>
  Array.isArray(value) && value.every(isPair)

const isPair = (pair: unknown): boolean =>
  Array.isArray(pair) && pair.length === 2 && pair.every(text => typeof text === "string")

const corrupt = (field: string) => fail("corruptRecord", { what: "swift container", field })
