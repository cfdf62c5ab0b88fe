/**
 * How a container is synchronized, as the bucket's setting `sync` stores it: JSON, version 1. A bucket with the setting notes its
 * changes.
 *
 * Refuses  Members that it does not know: a later release raises the version.
 */
import { fail } from "../base/failures.js"

export interface SwiftSync {
  /** `//realm/cluster/account/container`; "": its changes go nowhere. */
  readonly to: string
  /** Shared with the other container; "": nothing is accepted, and nothing is sent. */
  readonly key: string
  /** Objects that were there before the container was synchronized with `to` are noted as changed. */
  readonly isFilled: boolean
}

export const NO_SYNC: SwiftSync = { to: "", key: "", isFilled: false }

const VERSION = 1

export const encodeSwiftSync = ({ to, key, isFilled }: SwiftSync): string =>
  JSON.stringify({ version: VERSION, to, key, isFilled })

/** Throws `corruptRecord`. */
export function decodeSwiftSync(document: string): SwiftSync {
  const { version, to, key, isFilled, ...others } = membersOf(document)
  const isKnown = version === VERSION && Object.keys(others).length === 0
  if (isKnown && typeof to === "string" && typeof key === "string" && typeof isFilled === "boolean")
    return { to, key, isFilled }
  throw corrupt()
}

function membersOf(document: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(document)
    if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value))
  } catch {
    throw corrupt()
  }
  throw corrupt()
}

const corrupt = () => fail("corruptRecord", { what: "swift sync" })
