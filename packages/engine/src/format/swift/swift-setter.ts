/**
 * Says who has set a key that lets requests in without a token: such requests act as the setter. A text beside the key: `key ID` for the
 * holder of an access key of the store, `served ID` for one beside whose token a service's was sent, `root ID` for an account's root
 * user whom Keystone has named.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, type AccessKeyId, type AccountId } from "@hayloft/base/ids.js"

export type SwiftSetter =
  | { readonly kind: "key" | "served"; readonly id: AccessKeyId }
  | { readonly kind: "root"; readonly id: AccountId }

/** By the name of what was set. */
export type SwiftSetters = readonly (readonly [name: string, setter: SwiftSetter])[]

export const encodeSwiftSetter = ({ kind, id }: SwiftSetter): string => `${kind} ${id}`

/** Throws `corruptRecord`. */
export function decodeSwiftSetter(text: string): SwiftSetter {
  const [, kind, id = ""] = /^(key|served|root) (\S+)$/.exec(text) ?? []
  const setter = unlessRefused((): SwiftSetter | undefined =>
    kind === "key" || kind === "served"
      ? { kind, id: parseAccessKeyId(id) }
      : kind === "root"
        ? { kind, id: parseAccountId(id) }
        : undefined,
  )
  if (setter === undefined) throw fail("corruptRecord", { what: "swift setter" })
  return setter
}

export const sameSetter = (one: SwiftSetter, other: SwiftSetter | undefined): boolean =>
  other !== undefined && encodeSwiftSetter(one) === encodeSwiftSetter(other)
