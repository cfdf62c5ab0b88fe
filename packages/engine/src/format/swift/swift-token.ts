/**
 * Tokens of Swift's sign-in: they name an access key and a time, and prove by the key's secret that this store made them.
 * They are stored nowhere: a token ends with its time, or with its key. Version 1.
 *
 * `AUTH_tk`, then the record in base64url, a dot, and the HMAC-SHA-256 of the record in base64url.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { bytesOfBase64Url } from "@hayloft/base/bytes.js"
import { unlessRefused } from "@hayloft/base/failures.js"
import { record, whole, type ValueOf } from "../encoding/fields.js"
import { ACCESS_KEY_ID } from "../encoding/id-fields.js"

const SWIFT_TOKEN = record("swift token", {
  accessKeyId: ACCESS_KEY_ID,
  expiresSeconds: whole(Number.MIN_SAFE_INTEGER),
})
type SwiftToken = ValueOf<typeof SWIFT_TOKEN>

/** A token as received: `isMadeWith` tells whether it was made with the secret of its key. */
interface ClaimedSwiftToken extends SwiftToken {
  isMadeWith(secret: string): boolean
}

const PREFIX = "AUTH_tk"
const CHARACTERS_MAX = 512
/** Separates this use of a secret from signatures of requests, which never begin so. */
const PURPOSE = "hayloft swift token\n"

const macOf = (record: Uint8Array, secret: string): Buffer =>
  createHmac("sha256", secret).update(PURPOSE).update(record).digest()

export function encodeSwiftToken({ accessKeyId, expiresSeconds }: SwiftToken, secret: string): string {
  const token = SWIFT_TOKEN.encode({ accessKeyId, expiresSeconds })
  return `${PREFIX}${Buffer.from(token).toString("base64url")}.${macOf(token, secret).toString("base64url")}`
}

/** Returns undefined if the text is no such token, or not the one text of its bytes. */
export function readSwiftToken(text: string): ClaimedSwiftToken | undefined {
  const [, recordText, macText] = /^AUTH_tk([\w-]+)\.([\w-]{43})$/.exec(text) ?? []
  if (text.length > CHARACTERS_MAX || recordText === undefined || macText === undefined) return undefined
  const bytes = bytesOfBase64Url(recordText)
  const mac = bytesOfBase64Url(macText)
  if (bytes === undefined || mac === undefined) return undefined
  const token = unlessRefused(() => SWIFT_TOKEN.decode(bytes))
  return token && { ...token, isMadeWith: secret => timingSafeEqual(mac, macOf(bytes, secret)) }
}
