/**
 * The settings that Swift's clients have made on an account (family `swiftAccounts`): its metadata, which may have keys
 * of temporary URLs.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { packRecord, RecordReader } from "./pack.js"
import { decodeSwiftSetter, encodeSwiftSetter, type SwiftSetters } from "./swift-setter.js"

export interface SwiftAccount {
  /** Names in lower case without `x-account-meta-`; values are byte strings. */
  readonly metadata: readonly (readonly [name: string, value: string])[]
  /** The access list as Swift shows it; "" for none. */
  readonly access: string
  /** ETags of objects are in quotes, in containers that do not choose; if absent, they are not. */
  readonly quotesEtags?: boolean | undefined
  /** When it was deleted; absent: it was not, or nothing is left of what it had. */
  readonly deletedMs?: number | undefined
  /** The setters of keys among the metadata, by their names; absent if none was noted. */
  readonly setters?: SwiftSetters | undefined
}

export function encodeSwiftAccount({
  metadata,
  access,
  quotesEtags,
  deletedMs,
  setters = [],
}: SwiftAccount): Uint8Array {
  const noted = setters.flatMap(([name, setter]) => [name, encodeSwiftSetter(setter)])
  const appended = [
    quotesEtags === undefined ? null : quotesEtags ? 1 : 0,
    deletedMs ?? null,
    noted.length === 0 ? null : noted,
  ]
  const last = appended.findLastIndex(member => member !== null)
  return packRecord(1, [metadata.flat(), access, ...appended.slice(0, last + 1)])
}

export function decodeSwiftAccount(bytes: Uint8Array): SwiftAccount {
  const row = RecordReader.open("swift account", bytes, 1)
  const metadata = pairsIn(row.texts(), "metadata")
  const access = row.text()
  const quotes = row.optional(() => row.number())
  const deletedMs = row.optional(() => row.number())
  const setters = row.optional(() => pairsIn(row.texts(), "setters"))
  return {
    ...{ metadata, access },
    ...(quotes !== undefined && { quotesEtags: quotes === 1 }),
    ...(deletedMs !== undefined && { deletedMs }),
    ...(setters && { setters: setters.map(([name, setter]) => [name, decodeSwiftSetter(setter)] as const) }),
  }
}

/** Throws `corruptRecord`. */
function pairsIn(texts: readonly string[], field: string): readonly (readonly [name: string, value: string])[] {
  if (texts.length % 2 !== 0) throw fail("corruptRecord", { what: "swift account", field })
  return texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? ""] as const] : []))
}
