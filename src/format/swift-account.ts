/**
 * What Swift's clients have set on an account (family `swiftAccounts`): its metadata, which may have keys of temporary URLs.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { packRecord, RecordReader } from "./pack.js"

export interface SwiftAccount {
  /** Names in lower case without `x-account-meta-`; values are byte strings. */
  readonly metadata: readonly (readonly [name: string, value: string])[]
  /** The access list as Swift shows it; "" for none. */
  readonly access: string
}

export const encodeSwiftAccount = ({ metadata, access }: SwiftAccount): Uint8Array =>
  packRecord(1, [metadata.flat(), access])

export function decodeSwiftAccount(bytes: Uint8Array): SwiftAccount {
  const row = RecordReader.open("swift account", bytes, 1)
  const texts = row.texts()
  if (texts.length % 2 !== 0) throw fail("corruptRecord", { what: "swift account", field: "metadata" })
  const metadata = texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? ""] as const] : []))
  return { metadata, access: row.text() }
}
