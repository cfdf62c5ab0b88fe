/**
 * The settings that Swift's clients have made on an account (family `swiftAccounts`): its metadata, which may have keys
 * of temporary URLs.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { appended, FLAG, FLAT_PAIRS, mapped, NUMBER, optional, record, TEXT, type ValueOf } from "../encoding/fields.js"
import { decodeSwiftSetter, encodeSwiftSetter, type SwiftSetters } from "./swift-setter.js"

const SETTERS = mapped(
  FLAT_PAIRS,
  (pairs): SwiftSetters => pairs.map(([name, setter]) => [name, decodeSwiftSetter(setter)]),
  setters => setters.map(([name, setter]) => [name, encodeSwiftSetter(setter)] as const),
)

const SWIFT_ACCOUNT = record("swift account", {
  /** Names in lower case without `x-account-meta-`; values are byte strings. */
  metadata: FLAT_PAIRS,
  /** The access list as Swift shows it; "" for none. */
  access: TEXT,
  /** ETags of objects are in quotes, in containers that do not choose; if absent, they are not. */
  quotesEtags: appended(optional(FLAG)),
  /** When it was deleted; absent: it was not, or nothing is left of what it had. */
  deletedMs: appended(optional(NUMBER)),
  /** The setters of keys among the metadata, by their names; absent if none was noted. */
  setters: appended(optional(SETTERS)),
})
export type SwiftAccount = ValueOf<typeof SWIFT_ACCOUNT>
export const { decode: decodeSwiftAccount } = SWIFT_ACCOUNT

export const encodeSwiftAccount = ({ setters, ...account }: SwiftAccount): Uint8Array =>
  SWIFT_ACCOUNT.encode({ ...account, setters: setters?.length === 0 ? undefined : setters })
