/**
 * Buckets and users that a start makes, from their texts. Pure.
 *
 *   photos site:download inbox:upload shared:public private:none
 *   app:SECRET:readwrite  backup:SECRET:logs=writeonly+photos=readonly
 *
 *   backup:SECRET:arn:aws:iam::123456789012:policy/backup  other:SECRET-WITH:COLON:
 *
 * Entries are separated by spaces, lines, commas or semicolons. Each refusal names its entry, and never a secret.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseNewBucketName, type BucketName } from "@hayloft/base/ids.js"
import type { BucketGrant, ProvidedBucket, ProvidedUser, PublicAccess } from "./config.js"
import { parseRootSecret } from "./config-values.js"

const PUBLIC_ACCESS: readonly PublicAccess[] = ["none", "download", "upload", "public"]
const BUCKET_GRANTS: readonly BucketGrant["grant"][] = ["readonly", "writeonly", "readwrite"]
const GRANT_FORM = `a policy or BUCKET=${BUCKET_GRANTS.join("|")}`

const NAMES_OF_USERS = /^[\w+=.@-]{3,64}$/
/** The words behind the secret; a word has no colon unless it is an ARN. */
const SECRET_AND_WORDS = /^(.*?):((?:arn:[^+]*|[^:+]*)(?:\+(?:arn:[^+]*|[^:+]*))*)$/

const entriesOf = (text: string): readonly string[] => text.split(/[\s,;]+/).filter(entry => entry !== "")

function refuse(where: string, entry: string, reason: string): never {
  throw fail("invalidConfig", { message: `${where}: "${entry.slice(0, 80)}": ${reason}` })
}

function bucketIn(text: string, refused: (reason: string) => never): BucketName {
  try {
    return parseNewBucketName(text)
  } catch (error) {
    if (!isFailure(error, "invalidBucketName")) throw error
    return refused(error.message)
  }
}

/** Throws `invalidConfig`. */
export function parseProvidedBuckets(texts: readonly string[], where: string): readonly ProvidedBucket[] {
  const buckets = texts.flatMap(entriesOf).map(entry => {
    const [name = "", word, ...more] = entry.split(":")
    const known = word === "private" ? "none" : word
    const access = PUBLIC_ACCESS.find(each => each === known)
    if (more.length > 0 || (word !== undefined && access === undefined))
      refuse(where, entry, `expected NAME or NAME:ACCESS, with one of ${PUBLIC_ACCESS.join(", ")}`)
    return { name: bucketIn(name, reason => refuse(where, entry, reason)), access }
  })
  refuseTwice(where, buckets)
  return buckets
}

/** Throws `invalidConfig`. */
export function parseProvidedUsers(text: string, where: string): readonly ProvidedUser[] {
  const users = entriesOf(text).map((entry, at) => {
    const [, name = "", rest = ""] = /^([^:]*):(.*)$/.exec(entry) ?? []
    const shown = NAMES_OF_USERS.test(name) ? name : `entry ${at + 1}`
    const [, secret = rest, words = ""] = SECRET_AND_WORDS.exec(rest) ?? []
    if (!NAMES_OF_USERS.test(name))
      refuse(
        where,
        shown,
        "expected NAME:SECRET or NAME:SECRET:POLICY, with a name of 3 to 64 letters, digits or _ + = . @ -",
      )
    const allowed = words.split("+").filter(word => word !== "")
    return {
      name: parseAccessKeyId(name),
      secret: parseRootSecret(secret, `${where}: ${shown}`),
      policies: allowed.filter(word => !word.includes("=")),
      grants: allowed.filter(word => word.includes("=")).map(word => grantIn(word, where, shown)),
    }
  })
  refuseTwice(where, users)
  return users
}

/** The text may be the end of a secret with a colon, so no message repeats it. */
function grantIn(text: string, where: string, user: string): BucketGrant {
  const refused = (): never =>
    refuse(where, user, `expected ${GRANT_FORM}; behind a secret with a colon comes another colon`)
  const [bucket = "", word, ...more] = text.split("=")
  const grant = BUCKET_GRANTS.find(each => each === word)
  if (grant === undefined || more.length > 0) return refused()
  return { bucket: bucketIn(bucket, refused), grant }
}

function refuseTwice(where: string, entries: readonly { readonly name: string }[]): void {
  const twice = entries.find(({ name }, at) => entries.findIndex(other => other.name === name) < at)
  if (twice !== undefined) refuse(where, twice.name, "it is named twice")
}
