/** The values of settings for an LDAP directory. Pure. Every function throws `invalidConfig`. */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { normalDn } from "@hayloft/base/seams/ldap/dn-core.js"
import { problemOfFilter } from "@hayloft/base/seams/ldap/filter-core.js"

const TIMEOUT_MS_MAX = 60_000

const refuse = (where: string, message: string): Failure => fail("invalidConfig", { message: `${where}: ${message}` })

export function parseLdapServer(text: string, where: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.username === "" && url.password === "" && url.hash === "" && url.search === ""
  if (url !== undefined && isPlain && /^ldaps?:\/\/[^/]+\/?$/.test(text)) return text.replace(/\/$/, "")
  throw refuse(where, "expected ldaps://HOST[:PORT] or ldap://HOST[:PORT], without user, password and path")
}

/** A DN as it was written. */
export function parseDn(text: string, where: string): string {
  try {
    normalDn(text)
    return text
  } catch (error) {
    if (isFailure(error, "invalidArgument")) throw refuse(where, String(error.details["message"]))
    throw error
  }
}

/** DNs with `;` between them. */
export const parseDns = (text: string, where: string): readonly string[] =>
  text
    .split(";")
    .map(part => part.trim())
    .filter(part => part !== "")
    .map(part => parseDn(part, where))

/** A filter that has one of the places. */
export const parseFilter =
  (places: readonly string[]) =>
  (text: string, where: string): string => {
    const problem = problemOfFilter(text)
    if (problem !== undefined) throw refuse(where, `"${text.slice(0, 200)}" is no filter: ${problem}`)
    if (places.some(place => text.includes(place))) return text
    throw refuse(where, `"${text.slice(0, 200)}" has no ${places.join(" or ")}: it would find the same for everybody`)
  }

export function parseAttribute(text: string, where: string): string {
  if (/^[A-Za-z][A-Za-z0-9-]{0,127}$/.test(text)) return text
  throw refuse(where, "expected the name of an attribute, like uid or sAMAccountName")
}

/** An unprintable letter, or none at all, is a mistake. A password is not shown. */
export function parseBindPassword(text: string, where: string): string {
  if (!/[\0-\x1f\x7f]/.test(text) && text.length <= 1_024) return text
  throw refuse(where, "expected a password of at most 1,024 printable characters")
}

export function checkLdapTimeout(timeoutMs: number, where: string): number {
  if (timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs
  throw refuse(where, "expected a time from 1s to 60s")
}
