/**
 * Access lists of accounts: JSON that names who may administrate an account, change what is in it, or read it. Pure.
 *
 * Source  `common/middleware/tempauth.py` (`extract_acl_and_report_errors`) and `acl.py` (`parse_acl_v2`, `format_acl_v2`),
 *         OpenStack Swift.
 */
import type { AclMatch } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { ListedCaller } from "./access-lists-core.js"

/** From the most to the least that a list gives. */
const LEVELS = ["admin", "read-write", "read-only"] as const
type AccessLevel = (typeof LEVELS)[number]

/** `account:user` or `account`, by level; absent levels name nobody. */
type AccountAccess = Readonly<Partial<Record<AccessLevel, readonly string[]>>>

const NAMES_MAX = 1000
/** Characters of the header, as Swift's `max_header_size`. */
const ACCESS_CHARACTERS_MAX = 8192

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
  if (text.length > ACCESS_CHARACTERS_MAX) throw invalid(`longer than ${ACCESS_CHARACTERS_MAX} characters`)
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

/** Writes the list in Swift's form: keys in order, characters beyond ASCII as escapes; "" if nobody is named. */
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

const READS = ["ListAllMyBuckets", "GetObject", "GetObjectVersion", "ListBucket", "ListBucketVersions"]
const WRITES = ["PutObject", "DeleteObject", "DeleteObjectVersion"]
const OF_CONTAINERS = ["CreateBucket", "PutBucketTagging", "PutBucketVersioning", "DeleteBucket"]
const READ_WRITE = [...READS, ...WRITES, ...OF_CONTAINERS]

/** The actions of S3 that a level allows in the account and its containers. */
const ACTIONS_OF_LEVELS: Readonly<Record<AccessLevel, readonly string[]>> = {
  "read-only": READS,
  "read-write": READ_WRITE,
  admin: [...READ_WRITE, "PutBucketAcl"],
}

function matchOfName(name: string, { accounts, users }: ListedCaller): AclMatch | undefined {
  const colon = name.indexOf(":")
  if (colon < 0) return accounts.includes(name) ? "account" : undefined
  const isNamed = accounts.includes(name.slice(0, colon)) && users.includes(name.slice(colon + 1))
  return isNamed ? "caller" : undefined
}

/** How the levels name a caller: the user itself, else its account as a whole; undefined: they do not. */
function matchAt(access: AccountAccess, caller: ListedCaller, levels: readonly AccessLevel[]): AclMatch | undefined {
  const found = levels.flatMap(level => access[level] ?? []).map(name => matchOfName(name, caller))
  return found.find(match => match === "caller") ?? found.find(match => match !== undefined)
}

/** By a level that allows the action (of S3, without its service). */
export const matchOfAction = (access: AccountAccess, caller: ListedCaller, action: string): AclMatch | undefined =>
  matchAt(
    access,
    caller,
    LEVELS.filter(level => ACTIONS_OF_LEVELS[level].includes(action)),
  )

/** Matches the caller by the level that lets it change the account itself, and see its keys and lists. */
export const matchOfOwner = (access: AccountAccess, caller: ListedCaller): AclMatch | undefined =>
  matchAt(access, caller, ["admin"])
