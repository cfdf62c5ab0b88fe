/**
 * How a container is synchronized, as the bucket's setting `sync` stores it: JSON, version 1, or version 2 with a setter. A bucket with the setting notes its
 * changes.
 *
 * Refuses  Members that it does not know: a later release raises the version.
 */
import { fail } from "@hayloft/base/failures.js"
import { decodeSwiftSetter, encodeSwiftSetter, type SwiftSetter } from "./swift-setter.js"

export interface SwiftSync {
  /** `//realm/cluster/account/container`; "": its changes go nowhere. */
  readonly to: string
  /** Shared with the other container; "": nothing is accepted, and nothing is sent. */
  readonly key: string
  /** Objects that were there before the container was synchronized with `to` are noted as changed. */
  readonly isFilled: boolean
  /** The setter of the key and of `to`; absent if none was noted. */
  readonly setter?: SwiftSetter | undefined
}

export const NO_SYNC: SwiftSync = { to: "", key: "", isFilled: false }

const [VERSION, WITH_SETTER] = [1, 2]

export const encodeSwiftSync = ({ to, key, isFilled, setter }: SwiftSync): string =>
  JSON.stringify({
    version: setter === undefined ? VERSION : WITH_SETTER,
    to,
    key,
    isFilled,
    ...(setter && { setter: encodeSwiftSetter(setter) }),
  })

/** Throws `corruptRecord`. */
export function decodeSwiftSync(document: string): SwiftSync {
  const { version, to, key, isFilled, setter, ...others } = membersOf(document)
  const isKnown = version === (setter === undefined ? VERSION : WITH_SETTER) && Object.keys(others).length === 0
  if (!isKnown || typeof to !== "string" || typeof key !== "string" || typeof isFilled !== "boolean") throw corrupt()
  if (setter === undefined) return { to, key, isFilled }
  if (typeof setter !== "string") throw corrupt()
  return { to, key, isFilled, setter: decodeSwiftSetter(setter) }
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
