/**
 * Evaluates the CORS rules of a bucket for one request. Pure.
 *
 * The first rule applies that allows the origin, the method and, in a preflight, every requested header.
 * A request that no rule allows is still served, without the headers that let a page read the answer: only
 * preflights are refused.
 * Limits  `REQUESTED_HEADERS_MAX`: preflights are unsigned, and each header is compared with each pattern.
 */
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { CorsRule } from "./settings/cors.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const REQUESTED_HEADERS_MAX = 100
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
/** The origin is returned in a header. */
const ORIGIN = /^[\x21-\x7e]+$/

export interface CorsRequest {
  readonly origin: string
  /** The method of the announced request in a preflight, else of the request itself. */
  readonly method: string
  /** In lower case. */
  readonly requestedHeaders: readonly string[]
}

const requestedHeadersOf = (headers: Headers): readonly string[] =>
  (headers.get("access-control-request-headers") ?? "")
    .split(",")
    .map(name => name.trim())
    .filter(name => name !== "")

/** @returns the first text in `Access-Control-Request-Headers` that is no name of a header. */
export const invalidRequestedHeader = (headers: Headers): string | undefined =>
  requestedHeadersOf(headers).find(name => !HEADER_NAME.test(name.toLowerCase()))

/** @returns undefined if the request is not a cross-origin request. */
export function corsRequestOf(method: string, headers: Headers): CorsRequest | undefined {
  const origin = headers.get("origin")
  if (origin === undefined || origin === "") return undefined
  const requestedHeaders = requestedHeadersOf(headers).map(name => name.toLowerCase())
  return { origin, method: headers.get("access-control-request-method") ?? method, requestedHeaders }
}

/** A pattern contains at most one `*`, which matches any text, including none. */
function fits(pattern: string, text: string): boolean {
  const star = pattern.indexOf("*")
  if (star < 0) return pattern === text
  const behind = pattern.slice(star + 1)
  return text.length >= pattern.length - 1 && text.startsWith(pattern.slice(0, star)) && text.endsWith(behind)
}

function allows(rule: CorsRule, { origin, method, requestedHeaders }: CorsRequest): boolean {
  return (
    rule.allowedMethods.includes(method) &&
    rule.allowedOrigins.some(pattern => fits(pattern, origin)) &&
    requestedHeaders.every(name => rule.allowedHeaders.some(pattern => fits(pattern.toLowerCase(), name)))
  )
}

/** @returns undefined if no rule allows the request. */
export function allowingRule(rules: readonly CorsRule[], request: CorsRequest): CorsRule | undefined {
  const { origin, requestedHeaders } = request
  if (!ORIGIN.test(origin) || requestedHeaders.length > REQUESTED_HEADERS_MAX) return undefined
  if (!requestedHeaders.every(name => HEADER_NAME.test(name))) return undefined
  return rules.find(rule => allows(rule, request))
}

const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]
/** Headers of answers that pages need for uploads in parts, ranges and versions. */
const EXPOSED = ["ETag", "Content-Range", "Accept-Ranges", "Last-Modified", "x-amz-version-id", "x-amz-request-id"]

/** The rule of buckets without rules: pages of these origins may send every request. Returns undefined if there are none. */
export function rulesOfOrigins(origins: readonly string[]): readonly CorsRule[] | undefined {
  if (origins.length === 0) return undefined
  // Browsers take "*" for every header if the answer is for every origin.
  const exposeHeaders = origins.includes("*") ? EXPOSED.concat("*") : EXPOSED
  const rest = { id: undefined, allowedHeaders: ["*"], maxAgeSeconds: undefined }
  return [{ ...rest, allowedOrigins: origins, allowedMethods: METHODS, exposeHeaders }]
}

/** Sent if the bucket has rules, even if none applies: a cache must not give one page's answer to another. */
export const VARY: HeaderField = ["Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"]

/** The headers of an answer whose request a rule allows. */
export function allowedFields(rule: CorsRule, { origin, requestedHeaders }: CorsRequest): readonly HeaderField[] {
  const isForAll = rule.allowedOrigins.includes("*")
  const fields: HeaderField[] = [
    ["Access-Control-Allow-Origin", isForAll ? "*" : origin],
    ["Access-Control-Allow-Methods", rule.allowedMethods.join(", ")],
  ]
  // Browsers reject credentials together with "*".
  if (!isForAll) fields.push(["Access-Control-Allow-Credentials", "true"])
  if (requestedHeaders.length > 0) fields.push(["Access-Control-Allow-Headers", requestedHeaders.join(", ")])
  if (rule.exposeHeaders.length > 0) fields.push(["Access-Control-Expose-Headers", rule.exposeHeaders.join(", ")])
  if (rule.maxAgeSeconds !== undefined) fields.push(["Access-Control-Max-Age", String(rule.maxAgeSeconds)])
  return [...fields, VARY]
}
