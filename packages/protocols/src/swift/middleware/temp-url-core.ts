/**
 * Temporary URLs: a signature in the query that admits a request without signing in. Pure.
 *
 * Promises  A URL admits the method, the path or prefix, the addresses and the time that were signed, and nothing else: a
 *           request that asks for more than an object as it is, or that would store a pointer to other objects, is refused.
 * Refuses   Any URL that is not valid, with `signatureMismatch` and one message, whatever is wrong with it.
 * Source    `common/middleware/tempurl.py`, OpenStack Swift.
 */
import { isWithin, parseIpAddress, parseIpRange } from "@hayloft/access/index.js"
import { parseIsoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { parseQuery, percentEncode } from "@hayloft/base/http/uri.js"
import type { UserMetadata } from "@hayloft/objects/contract.js"
import { readUrlSignature, signerOf, type UrlKey, type UrlSignature } from "./url-signatures-core.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

export interface TempUrl {
  readonly signature: UrlSignature
  /** Unix time, in seconds. */
  readonly expires: number
  /** A byte string, within the container; undefined: the URL is for one object. */
  readonly prefix: string | undefined
  /** The range of client addresses, in the text that was signed. */
  readonly ipRange: string | undefined
  /** A byte string, for the name under which browsers save; undefined: none given. */
  readonly filename: string | undefined
  readonly isInline: boolean
}

/** The request that such a URL is to admit. Names are byte strings. */
interface TempUrlRequest {
  readonly method: string
  readonly account: string
  readonly container: string | undefined
  readonly object: string | undefined
  readonly clientAddress: string
  readonly nowMs: number
}

interface Admission {
  readonly signer: UrlKey
  /** The URL is for the container itself: only a page of a website may answer it. */
  readonly mustBePage: boolean
}

const METHODS: readonly string[] = ["GET", "HEAD", "PUT", "POST", "DELETE"]
/** HEAD is admitted by a URL for one of these, too. */
const WITH_HEAD: readonly string[] = ["HEAD", "GET", "POST", "PUT"]
const EXPIRES_AS_DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/

const invalid = () => fail("signatureMismatch", { message: "Temp URL invalid" })

/** Unix time in seconds; 0 for a text that is none. */
function expiresOf(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text)
  return EXPIRES_AS_DATE.test(text) ? Math.floor((parseIsoDate(text) ?? 0) / 1000) : 0
}

/** These would make of the request another one than was signed. */
const OTHER_REQUESTS: readonly string[] = [
  "multipart-manifest",
  "symlink",
  "version-id",
  "versions",
  "extract-archive",
  "bulk-delete",
]

/**
 * Returns what the query says, or undefined if it is no temporary URL. In it "+" is a space, as in Swift. Throws
 * `signatureMismatch`, `invalidRequest`, `invalidUri`.
 */
export function readTempUrl(rawQuery: string): TempUrl | undefined {
  if (!rawQuery.includes("temp_url_")) return undefined
  const parameters = new Map<string, string>()
  for (const { name, value } of parseQuery(rawQuery.replaceAll("+", "%20")))
    if (!parameters.has(name)) parameters.set(name, value)
  const [signed, expiresText] = [parameters.get("temp_url_sig"), parameters.get("temp_url_expires")]
  if (signed === undefined && expiresText === undefined) return undefined
  const signature = readUrlSignature(signed ?? "")
  const expires = expiresOf(expiresText ?? "")
  if (signature === undefined || expires === 0) throw invalid()
  const other = OTHER_REQUESTS.find(name => parameters.has(name))
  if (other !== undefined)
    throw fail("invalidRequest", { message: `The query parameter ${other} is not allowed in this tempurl` })
  const ipRange = parameters.get("temp_url_ip_range")
  const filename = parameters.get("filename")
  return {
    signature,
    expires,
    prefix: parameters.get("temp_url_prefix"),
    ipRange: ipRange === "" ? undefined : ipRange,
    filename: filename === "" ? undefined : filename,
    isInline: parameters.has("inline"),
  }
}

/** The text that was signed, for a method. */
function messageOf(tempUrl: TempUrl, request: TempUrlRequest, method: string): string {
  const { expires, prefix, ipRange } = tempUrl
  const { account, container = "", object = "" } = request
  const path = `/v1/${account}/${container}/`
  const signed = prefix === undefined ? `${path}${object}` : `prefix:${path}${prefix}`
  return [...(ipRange === undefined ? [] : [`ip=${ipRange}`]), method, String(expires), signed].join("\n")
}

function isFrom(clientAddress: string, ipRange: string): boolean {
  const [address, range] = [parseIpAddress(clientAddress), parseIpRange(ipRange)]
  return address !== undefined && range !== undefined && isWithin(address, range)
}

/** Returns true if the URL can be for this request, by whichever key it is signed. */
function fits({ expires, prefix, ipRange }: TempUrl, request: TempUrlRequest): boolean {
  const { method, container, object, clientAddress, nowMs } = request
  if (expires * 1000 < nowMs || !METHODS.includes(method) || container === undefined) return false
  if (ipRange !== undefined && !isFrom(clientAddress, ipRange)) return false
  if (object === undefined) return prefix === "" && (method === "GET" || method === "HEAD")
  return prefix === undefined ? object.replaceAll("/", "") !== "" : object.startsWith(prefix)
}

/** Throws `signatureMismatch`. */
export function admitTempUrl(tempUrl: TempUrl, request: TempUrlRequest, keys: readonly UrlKey[]): Admission {
  const methods = request.method === "HEAD" ? WITH_HEAD : [request.method]
  const messages = methods.map(method => messageOf(tempUrl, request, method))
  const signer = signerOf(tempUrl.signature, messages, keys)
  if (signer === undefined || !fits(tempUrl, request)) throw invalid()
  return { signer, mustBePage: request.object === undefined }
}

/** Headers of writes that would store a pointer to what the URL does not admit. */
const POINTERS = ["x-object-manifest", "x-symlink-target"] as const

/** Throws `invalidRequest`. */
export function checkTempUrlHeaders(method: string, headers: Headers): void {
  if (method === "GET" || method === "HEAD") return
  const pointer = POINTERS.find(name => headers.has(name))
  if (pointer === undefined) return
  throw fail("invalidRequest", { message: `The header ${pointer} is not allowed in this tempurl` })
}

/** The metadata that a temporary URL shows. */
export const publicMetadata = (metadata: UserMetadata): UserMetadata =>
  metadata.filter(([name]) => name.startsWith("public-"))

/** RFC 6266: for old browsers, and in UTF-8. Names keep their slashes. */
const dispositionOf = (type: "inline" | "attachment", name: string): string =>
  `${type}; filename="${percentEncode(name, true).replaceAll("%20", " ")}"; filename*=UTF-8''${percentEncode(name, true)}`

/** `Content-Disposition` of an answer with an object. `stored`: the object's own; `object`: its name. */
export function dispositionOfTempUrl(
  { filename, isInline }: TempUrl,
  stored: string | undefined,
  object: string,
): string {
  if (isInline) return filename === undefined ? "inline" : dispositionOf("inline", filename)
  if (filename !== undefined) return dispositionOf("attachment", filename)
  return stored ?? dispositionOf("attachment", withoutTrailing(object, "/").replace(/^.*\//s, ""))
}
