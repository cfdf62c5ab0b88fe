/**
 * The checks of the admin port on requests by browsers, which send a cookie with the requests of any page. Pure.
 *
 * Promises  A request with a cookie counts only if the page that made it is one of this port itself: by `Sec-Fetch-Site`
 *           and `Origin`, which pages cannot forge, and for everything but GET and HEAD also by a header whose value only
 *           pages of this port can read. The Host header must name this port, so that no other site can make itself the
 *           same origin by its DNS (rebinding).
 */
import { equalInConstantTime } from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { isLoopbackHost } from "@hayloft/protocols/http/index.js"

export const CSRF_HEADER = "x-hayloft-csrf"

interface HostRules {
  /** The port listens on loopback only. */
  readonly onLoopback: boolean
  /** Names by which browsers reach the port (`--admin-host`), in lower case. */
  readonly hosts: readonly string[]
}

const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/i

/** A name that only somebody else's DNS leads here is none of this port; an address is resolved by no DNS. */
export function isOwnHost(host: string | undefined, { onLoopback, hosts }: HostRules): boolean {
  if (isLoopbackHost(host)) return true
  const name = (host ?? "").toLowerCase().replace(/:\d{1,5}$/, "")
  return hosts.includes(name.replace(/\.$/, "")) || (!onLoopback && ADDRESS.test(name))
}

/** The parts of a request that are looked at. */
interface BrowserRequest {
  readonly method: string
  readonly isEncrypted: boolean
  /** By lower-case name. */
  readonly header: (name: string) => string | undefined
}

const isRead = (method: string): boolean => method === "GET" || method === "HEAD"

const foreign = (message: string): Failure => fail("accessForbidden", { message })

/** Throws `accessForbidden` if a page of another origin made the request. */
export function checkOrigin({ method, isEncrypted, header }: BrowserRequest): void {
  const site = header("sec-fetch-site")
  // "none": the address was typed, or is a bookmark. That begins no change.
  if (site !== undefined && site !== "same-origin" && !(site === "none" && isRead(method)))
    throw foreign("a page of another origin made this request: the console's session is for its own pages only")
  const origin = header("origin")
  if (origin === undefined) return
  const host = (header("host") ?? "").toLowerCase()
  // In front of a port without TLS there may be a proxy that has it.
  const own = [`https://${host}`, ...(isEncrypted ? [] : [`http://${host}`])]
  if (!own.includes(origin.toLowerCase()))
    throw foreign("the Origin of the request is not this port: the console's session is for its own pages only")
}

/** Throws `accessForbidden`. */
export function checkCsrf({ method, header }: BrowserRequest, csrf: string): void {
  if (isRead(method) || equalInConstantTime(header(CSRF_HEADER) ?? "", csrf)) return
  throw foreign(
    `the header ${CSRF_HEADER} is missing or wrong: with a cookie, every change needs the csrf of GET /v1/session`,
  )
}

/** Returns true if the browser reaches the port by TLS: its own, or that of a proxy in front of it. */
export const isBehindTls = ({ isEncrypted, header }: BrowserRequest): boolean =>
  isEncrypted || (header("origin") ?? "").toLowerCase().startsWith("https://")

const PREFIX = "__Host-"
const SESSION = "hayloft-session"
const SIGN_IN = "hayloft-sign-in"

type CookieName = typeof SESSION | typeof SIGN_IN
export const SESSION_COOKIE: CookieName = SESSION
/** While a browser is with the provider of OpenID Connect. */
export const SIGN_IN_COOKIE: CookieName = SIGN_IN

/** `value` "" removes it. */
export function cookieLine(name: CookieName, value: string, isSecure: boolean, maxAgeSeconds?: number): string {
  // The provider sends the browser back from another site: only then is a cookie sent that is not strict.
  const sameSite = name === SIGN_IN ? "Lax" : "Strict"
  const age = value === "" ? 0 : maxAgeSeconds
  return [
    `${isSecure ? PREFIX : ""}${name}=${value}`,
    "Path=/",
    "HttpOnly",
    `SameSite=${sameSite}`,
    ...(isSecure ? ["Secure"] : []),
    ...(age === undefined ? [] : [`Max-Age=${age}`]),
  ].join("; ")
}

interface FoundCookie {
  readonly value: string
  /** It has the prefix with which browsers keep it from other hosts and from connections without TLS. */
  readonly isSecure: boolean
}

/** The cookie of a request; undefined if it has none, or several, of which one would be somebody else's. */
export function findCookie(
  header: string | undefined,
  name: CookieName,
  isEncrypted: boolean,
): FoundCookie | undefined {
  const found = (header ?? "").split(";").flatMap(pair => {
    const [cookie = "", ...value] = pair.trim().split("=")
    const isSecure = cookie === `${PREFIX}${name}`
    return isSecure || (cookie === name && !isEncrypted) ? [{ value: value.join("="), isSecure }] : []
  })
  const secure = found.filter(one => one.isSecure)
  // A page without TLS can set the cookie without the prefix, but not the one with it.
  const [only, ...others] = secure.length > 0 ? secure : found
  return others.length === 0 ? only : undefined
}
