/**
 * Access lists of containers: who may read, list and write, by account, user or the page that links to an object. Pure.
 *
 * Source  "Container ACLs", OpenStack Swift, and its `common/middleware/acl.py`: of several items for referrers the later
 *         one wins; an item for a host holds for that host alone, `.domain` for all below it, `-` before it denies.
 */
import { fail } from "@hayloft/base/failures.js"
import type { AccessListParser } from "./container-changes-core.js"

interface Referrer {
  readonly host: string
  readonly isDenied: boolean
}

export interface AccessList {
  readonly referrers: readonly Referrer[]
  /** Clients that a referrer lets in may list too. */
  readonly listings: boolean
  /** `account:user`, `account`; `*` for any. */
  readonly grantees: readonly string[]
}

/** Names by which a list may call a caller. */
export interface ListedCaller {
  readonly accounts: readonly string[]
  readonly users: readonly string[]
}

const REFERRER = /^\.r(?:ef(?:err?er)?)?:(.*)$/s

const invalid = (message: string) => fail("invalidRequest", { message })

/** An item as Swift keeps it; undefined for an empty one. Throws `invalidRequest`. */
function cleanItem(item: string, kind: "read" | "write"): string | undefined {
  if (item === "") return undefined
  if (!item.startsWith(".")) return item
  const header = `X-Container-${kind === "read" ? "Read" : "Write"}`
  if (kind === "write") throw invalid(`Referrers not allowed in write ACL: ${item}`)
  if (item === ".rlistings") return item
  const [, named] = REFERRER.exec(item.replace(/\s+/g, "")) ?? []
  if (named === undefined) throw invalid(`Unknown designator ${item} in ${header}`)
  const isDenied = named.startsWith("-")
  const host = (isDenied ? named.slice(1) : named).replace(/^\*\./, ".")
  if (host === "" || host === ".") throw invalid(`No host/domain value after referrer designation in ACL: ${item}`)
  return `.r:${isDenied ? "-" : ""}${host}`
}

/** A list in the form that is stored and shown. Throws `invalidRequest`. */
const clean = (text: string, kind: "read" | "write"): string =>
  text
    .split(",")
    .map(item => cleanItem(item.trim(), kind))
    .filter(item => item !== undefined)
    .join(",")

export const accessListParser: AccessListParser = {
  read: text => clean(text, "read"),
  write: text => clean(text, "write"),
}

/** Parses a list in the form that is stored. */
export function parseAccessList(text: string): AccessList {
  const items = text.split(",").filter(item => item !== "")
  return {
    referrers: items.flatMap((item): readonly Referrer[] => {
      const [, named] = REFERRER.exec(item) ?? []
      if (named === undefined) return []
      return named.startsWith("-") ? [{ host: named.slice(1), isDenied: true }] : [{ host: named, isDenied: false }]
    }),
    listings: items.includes(".rlistings"),
    grantees: items.filter(item => !item.startsWith(".")),
  }
}

/** Returns true if the list lets everyone in, or everyone whom some page sends. */
export const isPublicList = ({ referrers }: AccessList): boolean => referrers.some(({ isDenied }) => !isDenied)

function hostOf(referrer: string): string {
  try {
    const { hostname } = new URL(referrer)
    return hostname === "" ? "unknown" : hostname
  } catch {
    return "unknown"
  }
}

const fits = (pattern: string, host: string): boolean =>
  pattern === host || (pattern.startsWith(".") && host.endsWith(pattern))

/** Returns true if the list admits a request that this page has led to. */
export function admitsReferrer({ referrers }: AccessList, referrer: string | undefined): boolean {
  const host = hostOf(referrer ?? "")
  let isAdmitted = false
  for (const { host: pattern, isDenied } of referrers) {
    if ((pattern === "*" && !isDenied) || fits(pattern, host)) isAdmitted = !isDenied
  }
  return isAdmitted
}

/**
 * How the list names a caller: the user, the account as a whole, or everybody who has signed in; undefined if it does not.
 */
export function namesCaller(
  { grantees }: AccessList,
  { accounts, users }: ListedCaller,
): "user" | "account" | "everybody" | undefined {
  let found: "account" | "everybody" | undefined
  for (const grantee of grantees) {
    const colon = grantee.indexOf(":")
    const [account, user] = colon < 0 ? [grantee, "*"] : [grantee.slice(0, colon), grantee.slice(colon + 1)]
    if (account === "*") {
      if (user === "*" || users.includes(user)) found ??= "everybody"
    } else if (accounts.includes(account)) {
      if (user !== "*" && users.includes(user)) return "user"
      if (user === "*") found = "account"
    }
  }
  return found
}
