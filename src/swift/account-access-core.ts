/**
 * Access lists of accounts: JSON that names who may administrate an account, change what is in it, or read it. Pure.
 *
 * Source  `common/middleware/tempauth.py` (`extract_acl_and_report_errors`) and `acl.py` (`parse_acl_v2`, `format_acl_v2`),
 *         OpenStack Swift.
 */
import { fail } from "../base/failures.js"
import type { ListedCaller } from "./access-lists-core.js"

/** From the most to the least that a list gives. */
const LEVELS = ["admin", "read-write", "read-only"] as const
type AccessLevel = (typeof LEVELS)[number]

/** `account:user` or `account`, by level; absent levels name nobody. */
type AccountAccess = Readonly<Partial<Record<AccessLevel, readonly string[]>>>

const NAMES_MAX = 1000

const invalid = (reason: string) =>
  fail("invalidRequest", { message: `X-Account-Access-Control invalid: ${reason.slice(0, 200)}` })

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    throw invalid("Syntax error in JSON")
  }
  throw invalid("must be a JSON object")
}

const isLevel = (key: string): key is AccessLevel => LEVELS.some(level => level === key)
const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value)

/** "" and `{}` name nobody. Throws `invalidRequest`. */
export function parseAccountAccess(text: string): AccountAccess {
  const access: Partial<Record<AccessLevel, readonly string[]>> = {}
  let names = 0
  for (const [key, value] of Object.entries(text.trim() === "" ? {} : objectIn(text))) {
    if (!isLevel(key)) throw invalid(`Key ${JSON.stringify(key)} not recognized`)
    if (!isList(value)) throw invalid(`Value ${JSON.stringify(value)} for key ${JSON.stringify(key)} must be list`)
    const texts = value.filter(name => typeof name === "string")
    if (texts.length < value.length) throw invalid(`Elements of ${JSON.stringify(key)} list must be strings`)
    names += texts.length
    if (names > NAMES_MAX) throw invalid(`more than ${NAMES_MAX} names`)
    access[key] = texts
  }
  return access
}

/** As Swift writes it: keys in order, characters beyond ASCII as escapes; "" if nobody is named. */
export function formatAccountAccess(access: AccountAccess): string {
  const named = [...LEVELS].sort().flatMap(level => {
    const names = access[level] ?? []
    return names.length === 0 ? [] : [[level, names] as const]
  })
  if (named.length === 0) return ""
  return JSON.stringify(Object.fromEntries(named)).replace(
    /[\u007f-\uffff]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}

/** The highest level that a caller has; undefined: the list does not name it. */
export function accessLevelOf(access: AccountAccess, { accounts, users }: ListedCaller): AccessLevel | undefined {
  const isNamed = (name: string): boolean => {
    const colon = name.indexOf(":")
    if (colon < 0) return accounts.includes(name)
    return accounts.includes(name.slice(0, colon)) && users.includes(name.slice(colon + 1))
  }
  return LEVELS.find(level => access[level]?.some(isNamed) === true)
}

const READS = ["GetObject", "GetObjectVersion", "ListBucket", "ListBucketVersions"]
const WRITES = ["PutObject", "DeleteObject", "DeleteObjectVersion"]
const OF_CONTAINERS = ["PutBucketTagging", "PutBucketAcl", "PutBucketVersioning", "DeleteBucket"]

/** What a level allows in the containers of the account: actions of S3. */
export const ACTIONS_OF_LEVELS: Readonly<Record<AccessLevel, readonly string[]>> = {
  "read-only": READS,
  "read-write": [...READS, ...WRITES],
  admin: [...READS, ...WRITES, ...OF_CONTAINERS],
}
