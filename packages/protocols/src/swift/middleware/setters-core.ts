/**
 * Setters of keys: who has set a key of temporary URLs or of container sync, as whom requests act that the key lets in. Pure.
 *
 * Promises  A key is shown to its setter, and to the root user of the account, who may do everything there: another caller who reads
 *           it would act as its setter.
 */
import { fail } from "@hayloft/base/failures.js"
import { sameSetter, type SwiftSetter, type SwiftSetters } from "@hayloft/engine/format/swift/swift-setter.js"
import { isSecret, type SwiftMetadata } from "../metadata-core.js"

/** Throws `accessDenied`. */
export function requireSetter(setter: SwiftSetter | undefined): SwiftSetter {
  if (setter !== undefined) return setter
  const message =
    "a key, and a container of versions, acts as who has set it, with the rights that he has then: of this user the store cannot tell them, so it sets none"
  throw fail("accessDenied", { message })
}

/** The setters of the keys in `metadata`, some of which are `stated` by `setter`. Throws `accessDenied`. */
export function changedSetters(
  former: SwiftSetters = [],
  metadata: SwiftMetadata,
  stated: SwiftMetadata,
  setter: SwiftSetter | undefined,
): SwiftSetters {
  const known = new Map(former)
  const isStated = (name: string) => stated.some(([other]) => other === name)
  return metadata.flatMap(([name]) => {
    if (!isSecret(name)) return []
    const own = isStated(name) ? requireSetter(setter) : known.get(name)
    return own === undefined ? [] : [[name, own] as const]
  })
}

/** The reader of keys. */
export interface KeyReader {
  readonly setter: SwiftSetter | undefined
  readonly isRoot: boolean
}

export const seesKey = (setter: SwiftSetter | undefined, reader: KeyReader): boolean =>
  reader.isRoot || (setter !== undefined && sameSetter(setter, reader.setter))

/** `reader`: undefined for callers who may not set keys. */
export function shownMetadata(
  metadata: SwiftMetadata,
  setters: SwiftSetters | undefined,
  reader: KeyReader | undefined,
): SwiftMetadata {
  const known = new Map(setters)
  return metadata.filter(([name]) => !isSecret(name) || (reader !== undefined && seesKey(known.get(name), reader)))
}
