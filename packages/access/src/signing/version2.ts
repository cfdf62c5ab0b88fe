/**
 * Signature version 2: in the query of a URL, which boto3 and AWS CLI 1 presign by default in us-east-1, and in the
 * `Authorization` header, as older clients send it. Verified in the two steps of `verify.ts`.
 *
 * Promises  The signature covers the method, `Content-MD5`, `Content-Type`, the expiry or the date, every `x-amz-*`
 *           header (also one that the query of a presigned URL carries), the path as sent, and each parameter that selects
 *           a sub-resource or overrides a response header. The text to sign is unambiguous: no value in it contains a line
 *           break.
 * Refuses   Presigned URLs that do not concern an object: their holder could change the parameters of a listing, which
 *           version 2 does not sign.
 * Limits    An expiry at most 604,800 s ahead, as the URL does not state when it was signed; for a header, the clock skew
 *           of `skew.ts`.
 * Source    "Signing and authenticating REST requests (AWS signature version 2)", Amazon S3 Developer Guide.
 */
import { createHmac } from "node:crypto"
import { isoDate, parseDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import type { QueryParameter } from "@hayloft/base/http/uri.js"
import { equalInConstantTime, trimBlanks } from "./canonical.js"
import {
  accessKeyOf,
  isSecretHeader,
  parseVersion2Authorization,
  PRESIGNED_SECONDS_MAX,
  VERSION_2_PARAMETERS,
} from "./credentials.js"
import { parsePayloadMode, UNSIGNED_PAYLOAD } from "./payload.js"
import type { PayloadMode } from "./payload.js"
import { checkSkew } from "./skew.js"
import type { ReceivedRequest } from "./canonical.js"
import { compareTexts } from "@hayloft/base/bytes.js"

/** Rules of a protocol that accepts version 2, for one request. */
export interface Version2Rules {
  /** `/bucket/key`, `/bucket/` or `/`, percent-coded as sent: each spelling that clients sign, the usual one first. */
  readonly resources: readonly string[]
  readonly isOfObject: boolean
  /** Parameters that select what the request does; the parameters that Amazon lists are always signed. */
  readonly signedParameters: ReadonlySet<string>
}

/** A version 2 signature that is well formed and timely, but not yet verified. */
export interface Version2Claim {
  readonly kind: "claim"
  readonly version: "AWS"
  readonly form: "header" | "query"
  readonly accessKeyId: AccessKeyId
  readonly signature: string
  /** One for each spelling of the resource and its parameters. */
  readonly textsToSign: readonly string[]
  /** The first of the texts without its secrets. */
  readonly shownText: string
  readonly payload: PayloadMode
  /** The configured region: the signature names none. */
  readonly region: string
  readonly signedRegion: ""
  /** The session token as sent. */
  readonly token: string | undefined
  /** The signing time; a presigned URL does not state it. */
  readonly signedMs: number | undefined
}

/** The time of the request, and the region that is reported for it. */
interface Version2Terms {
  readonly nowMs: number
  readonly region: string
}

/** The parts of a claim that a header and a query state in different ways. */
interface Stated extends Pick<Version2Claim, "form" | "signature" | "token" | "signedMs" | "region"> {
  readonly accessKeyId: string
  /** The line of the text that states when the request is valid. */
  readonly dateLine: string
  readonly sent: ReadonlyMap<string, string>
  /** The `x-amz-*` headers, also those that a query carries. */
  readonly amz: ReadonlyMap<string, string>
}

/** The query parameters that belong to the signed text, as listed by Amazon. */
const LISTED_PARAMETERS: ReadonlySet<string> = new Set(
  `accelerate acl analytics cors defaultObjectAcl delete inventory lifecycle location logging metrics notification
  object-lock partNumber policy replication requestPayment response-cache-control response-content-disposition
  response-content-encoding response-content-language response-content-type response-expires restore select select-type
  storageClass tagging torrent uploadId uploads versionId versioning versions website`.split(/\s+/),
)

const MESSAGE_INCOMPLETE = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
const MESSAGE_NO_OBJECT =
  "URLs that are presigned with signature version 2 are accepted for objects only. Please use AWS4-HMAC-SHA256."
const SECONDS = /^\d{1,12}$/
const HEADER_NAME = /^x-amz-[a-z0-9!#$%&'*+.^_`|~-]+$/
const LINE_BREAK = /[\r\n]/

const denied = (message: string): Failure => fail("accessDenied", { message })

/**
 * Reads the signature of a presigned URL and makes every check that needs no secret.
 * Throws `accessDenied`, `invalidRequest`, `requestExpired`, `invalidToken`, `invalidAccessKey`, `invalidArgument`,
 * `notImplemented`.
 */
export function readVersion2InQuery(
  request: ReceivedRequest,
  rules: Version2Rules,
  { nowMs, region }: Version2Terms,
): Version2Claim {
  if (!rules.isOfObject) throw fail("invalidRequest", { message: MESSAGE_NO_OBJECT })
  const query = request.parameters
  const [accessKeyId = "", signature = "", expires = ""] = VERSION_2_PARAMETERS.map(name => onlyValue(query, name))
  checkExpiry(expires, nowMs)
  const sent = headersSent(request.headers.flat())
  const amz = amzHeaders(sent, query)
  const token = tokenOf(sent, amz, query)
  const stated = { accessKeyId, signature, dateLine: expires, sent, amz, token, signedMs: undefined, region }
  return claimOf(request, rules, { ...stated, form: "query" })
}

/**
 * Reads the signature of an `Authorization` header and makes every check that needs no secret.
 * Throws `accessDenied`, `requestSkewed`, `invalidAccessKey`, `invalidArgument`, `notImplemented`.
 */
export function readVersion2InHeader(
  request: ReceivedRequest,
  authorization: string,
  rules: Version2Rules,
  { nowMs, region }: Version2Terms,
): Version2Claim {
  const { accessKeyId, signature } = parseVersion2Authorization(authorization)
  const sent = headersSent(request.headers.flat())
  const amz = amzHeaders(sent, [])
  const date = sent.get("date") ?? ""
  // Clients that cannot set `Date` send the other header, which then is signed as every `x-amz-*` header.
  const amzDate = sent.get("x-amz-date")
  const timestamp = amzDate ?? date
  const signedMs = checkSkew(parseDate(timestamp), timestamp, nowMs)
  const token = tokenOf(sent, amz, [])
  const dateLine = amzDate === undefined ? date : ""
  return claimOf(request, rules, {
    accessKeyId,
    signature,
    dateLine,
    sent,
    amz,
    token,
    signedMs,
    region,
    form: "header",
  })
}

/** Throws `accessDenied`, `invalidAccessKey`, `notImplemented`. */
function claimOf(
  { method, parameters }: ReceivedRequest,
  { resources, signedParameters }: Version2Rules,
  { form, accessKeyId, signature, dateLine, sent, amz, token, signedMs, region }: Stated,
): Version2Claim {
  const ofTarget = parameters.filter(({ name }) => LISTED_PARAMETERS.has(name) || signedParameters.has(name))
  // Some clients send `?policy=` and sign `?policy`: what the parameter says is the same.
  const queries = [...new Set([parameterText(ofTarget), parameterText(ofTarget.map(withoutEmptyValue))])]
  const targets = resources.flatMap(resource => queries.map(query => resource + query))
  const textOf = (target: string, valueOf: (name: string, value: string) => string): string =>
    [
      method,
      sent.get("content-md5") ?? "",
      sent.get("content-type") ?? "",
      dateLine,
      ...[...amz].sort(byName).map(([name, value]) => `${name}:${valueOf(name, value)}`),
      target,
    ].join("\n")
  return {
    kind: "claim",
    version: "AWS",
    form,
    accessKeyId: accessKeyOf(accessKeyId),
    signature,
    textsToSign: targets.map(target => textOf(target, (_, value) => value)),
    shownText: textOf(targets[0] ?? "", (name, value) => (isSecretHeader(name) ? "(hidden)" : value)),
    payload: payloadOf(amz.get("x-amz-content-sha256")),
    region,
    signedRegion: "",
    token,
    signedMs,
  }
}

/** Returns true if the signature was made with the secret. */
export function isSignedBy({ textsToSign, signature }: Version2Claim, secret: string): boolean {
  return textsToSign.some(text => equalInConstantTime(version2Signature(secret, text), signature))
}

/** HMAC-SHA1 of a byte string, in base64: the signature of a URL's text or of a form's policy. */
export const version2Signature = (secret: string, text: string): string =>
  createHmac("sha1", secret).update(text, "latin1").digest("base64")

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => compareTexts(a, b)

function onlyValue(query: readonly QueryParameter[], name: string): string {
  const [first, second] = query.filter(parameter => parameter.name === name)
  if (first === undefined || second !== undefined || first.value === "") throw denied(MESSAGE_INCOMPLETE)
  return first.value
}

function checkExpiry(text: string, nowMs: number): void {
  if (!SECONDS.test(text)) throw denied(`Invalid date (should be seconds since epoch): ${text.slice(0, 40)}`)
  const expiresMs = Number(text) * 1000
  const serverTime = isoDate(nowMs)
  if (nowMs > expiresMs) {
    throw fail("requestExpired", { message: "Request has expired", expires: isoDate(expiresMs), serverTime })
  }
  if (expiresMs > nowMs + PRESIGNED_SECONDS_MAX * 1000) {
    throw denied(`Expires must be at most ${PRESIGNED_SECONDS_MAX} seconds ahead`)
  }
}

/** Values by lower-case name, trimmed of blanks; repeated headers joined by ",". */
function headersSent(rawHeaders: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase()
    const value = trimBlanks(rawHeaders[i + 1] ?? "")
    const earlier = headers.get(name)
    headers.set(name, earlier === undefined ? value : `${earlier},${value}`)
  }
  return headers
}

const isAmz = (name: string): boolean => name.toLowerCase().startsWith("x-amz-")

/** SDKs move `x-amz-*` headers into the query; a header that was sent takes precedence. Throws `invalidArgument`. */
function amzHeaders(sent: ReadonlyMap<string, string>, query: readonly QueryParameter[]): ReadonlyMap<string, string> {
  const amz = new Map([...sent].filter(([name]) => isAmz(name)))
  const seen = new Set<string>()
  for (const { name, value } of query.filter(parameter => isAmz(parameter.name))) {
    const header = name.toLowerCase()
    if (!HEADER_NAME.test(header) || LINE_BREAK.test(value) || seen.has(header)) {
      const message = "A parameter x-amz-* of a presigned URL must be a valid header and be given once."
      throw fail("invalidArgument", { message, argumentName: name.slice(0, 80) })
    }
    seen.add(header)
    if (!sent.has(header)) amz.set(header, trimBlanks(value))
  }
  return amz
}

const withoutEmptyValue = (parameter: QueryParameter): QueryParameter => ({
  ...parameter,
  assigned: parameter.value !== "",
})

/** `?acl&versionId=3`: sorted by name, values decoded. */
function parameterText(parameters: readonly QueryParameter[]): string {
  if (parameters.length === 0) return ""
  const sorted = [...parameters].sort((a, b) => compareTexts(a.name, b.name))
  return `?${sorted.map(({ name, value, assigned }) => (assigned ? `${name}=${value}` : name)).join("&")}`
}

/** Throws `accessDenied`: version 2 has no chunk signature chain. */
function payloadOf(header: string | undefined): PayloadMode {
  const payload = parsePayloadMode(header ?? UNSIGNED_PAYLOAD)
  if (payload.kind === "chunked" && payload.signed) throw denied("Signed chunks need signature version 4")
  return payload
}

/** Throws `invalidToken` if the header and the query disagree. */
function tokenOf(
  sent: ReadonlyMap<string, string>,
  amz: ReadonlyMap<string, string>,
  query: readonly QueryParameter[],
): string | undefined {
  const name = "x-amz-security-token"
  const header = sent.get(name)
  const inQuery = query.find(parameter => parameter.name.toLowerCase() === name)?.value
  if (header !== undefined && inQuery !== undefined && header !== inQuery) throw fail("invalidToken")
  return amz.get(name) || undefined
}
