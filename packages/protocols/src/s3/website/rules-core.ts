/**
 * Decides what a website does with a request: which object it shows, or where it redirects. Pure.
 *
 * Texts of requests and keys are byte strings (one character for each byte).
 * Source  "Configuring a webpage redirect", "Configuring an index document", Amazon S3 User Guide.
 */
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { Redirect, RoutingRule, Website } from "../settings/website.js"
import { byteStringOfText } from "@hayloft/base/ids.js"

/** A request as the rules see it. */
export interface PageRequest {
  /** The path without its first slash, decoded. */
  readonly key: string
  readonly rawQuery: string
  /** The host that the client addressed, with its port. */
  readonly host: string
  readonly protocol: "http" | "https"
}

export interface Redirection {
  readonly status: number
  /** Nothing in it can end a header line. */
  readonly location: string
}

type Pages = Extract<Website, { kind: "pages" }>

const MOVED_PERMANENTLY = 301
const FOUND = 302

/** Configured texts are Unicode. */
/** A configured part of a URL may hold a query; only what no URL may hold is escaped. */
const escapeConfigured = (text: string): string =>
  byteStringOfText(text).replace(/[^\x21-\x7e]|["<>\\^`{|}]/g, character => percentEncode(character))

/** With the request's query, unless the target has one. */
function locationOf(to: Redirect, { protocol, host, rawQuery }: PageRequest, path: string): string {
  const query = rawQuery === "" || path.includes("?") ? "" : `?${rawQuery}`
  // A listener speaks one protocol, so the other one is at its usual port.
  const sameHost = to.protocol === undefined || to.protocol === protocol ? host : host.replace(/:\d*$/, "")
  return `${to.protocol ?? protocol}://${to.hostName ?? sameHost}/${path}${query}`
}

function redirectionOf({ redirect, keyPrefix }: RoutingRule, request: PageRequest): Redirection {
  const { replaceKeyWith, replaceKeyPrefixWith, status = MOVED_PERMANENTLY } = redirect
  const rest = request.key.slice(byteStringOfText(keyPrefix ?? "").length)
  const path =
    replaceKeyWith !== undefined
      ? escapeConfigured(replaceKeyWith)
      : replaceKeyPrefixWith !== undefined
        ? escapeConfigured(replaceKeyPrefixWith) + percentEncode(rest, true)
        : percentEncode(request.key, true)
  return { status, location: locationOf(redirect, request, path) }
}

/** `errorCode`: of the answer so far; undefined before the object is looked for. */
function redirectBy(
  rules: readonly RoutingRule[],
  request: PageRequest,
  errorCode: number | undefined,
): Redirection | undefined {
  const rule = rules.find(
    one => one.errorCode === errorCode && request.key.startsWith(byteStringOfText(one.keyPrefix ?? "")),
  )
  return rule && redirectionOf(rule, request)
}

/** Returns where a request is redirected before anything is read. */
export function redirectFirst(website: Website, request: PageRequest): Redirection | undefined {
  if (website.kind === "pages") return redirectBy(website.rules, request, undefined)
  const location = locationOf(website.to, request, percentEncode(request.key, true))
  return { status: MOVED_PERMANENTLY, location }
}

/** The key of the object that a request shows: of a folder, its index document. */
export const keyOfPage = ({ indexSuffix }: Pages, { key }: PageRequest): string =>
  key === "" || key.endsWith("/") ? key + byteStringOfText(indexSuffix) : key

/** The index document of the folder that a request without a slash at its end may mean. */
export const indexOfFolder = ({ indexSuffix }: Pages, { key }: PageRequest): string | undefined =>
  key === "" || key.endsWith("/") ? undefined : `${key}/${byteStringOfText(indexSuffix)}`

/** To the folder itself, so that the links of its index document are relative to it. */
export const redirectToFolder = (request: PageRequest): Redirection => {
  const query = request.rawQuery === "" ? "" : `?${request.rawQuery}`
  // A location that begins with two slashes would name a host.
  const path = percentEncode(request.key, true).replace(/^\//, "%2F")
  return { status: FOUND, location: `/${path}/${query}` }
}

/** Returns where a request is redirected whose object could not be shown. */
export const redirectAfterError = ({ rules }: Pages, request: PageRequest, status: number): Redirection | undefined =>
  redirectBy(rules, request, status)

export const errorKeyOf = ({ errorKey }: Pages): string | undefined => errorKey && byteStringOfText(errorKey)
