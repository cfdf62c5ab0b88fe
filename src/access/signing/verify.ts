/**
 * Verifying a request's signature (AWS Signature Version 4; version 2 in `version2.ts`), in two pure steps: `readSignature` says
 * which key claims the request, the caller looks its secret up, `verifySignature` judges.
 *
 * Promises  Fail closed: a request is anonymous only where nothing in it looks like a signature.
 *           `host` and every `x-amz-*` header are covered, or the request is refused. Secrets and
 *           signatures are compared in constant time.
 * Limits    15 minutes between the clocks; 604,800 s for a presigned URL.
 * Source    "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
 */
import { fail } from "../../base/failures.js"
import type { AccessKeyId } from "../../base/ids.js"
import { basicDate, isoDate, parseBasicDate, parseDate } from "../../base/dates.js"
import { parseQuery, splitTarget } from "../../base/uri.js"
import type { QueryParameter } from "../../base/uri.js"
import {
  ALGORITHM,
  canonicalHeaders,
  canonicalRequest,
  equalInConstantTime,
  hmacHex,
  scopeText,
  stringToSign,
} from "./canonical.js"
import type { SignableRequest } from "./canonical.js"
import { ChunkSignatures } from "./chunks.js"
import {
  accessKeyOf,
  carriesQuerySignature,
  carriesVersion2Signature,
  isSecretHeader,
  olderScheme,
  parseAuthorization,
  parsePresigned,
  PRESIGNED_SECONDS_MAX,
} from "./credentials.js"
import type { Credentials, PresignedTerms, SignatureForm, SignatureVersion } from "./credentials.js"
import type { SigningKeys } from "./keys.js"
import { parsePayloadMode, UNSIGNED_PAYLOAD } from "./payload.js"
import type { PayloadMode } from "./payload.js"
import { isSignedBy, readVersion2 } from "./version2.js"
import type { Version2Claim, Version2Rules } from "./version2.js"

export const SKEW_MS_MAX = 15 * 60_000
export const REGION_REPORTED = "us-east-1"

export interface SignatureRules {
  readonly service: string
  /** Undefined: any region is accepted, the empty string too. */
  readonly region: string | undefined
  /** Names of services that clients sign for here and that are not built, with what their requests are about. */
  readonly unbuiltServices?: ReadonlyMap<string, string>
  /** Hex SHA-256 of the body, for services whose clients need not send it. Absent: the request has to say. */
  readonly bodySha256?: string
  /** Of a request that may be presigned with version 2. Absent: that version is refused. */
  readonly version2?: Version2Rules | undefined
}

export interface AnonymousRequest {
  readonly kind: "anonymous"
  readonly payload: PayloadMode
}

/** A signature that has been read and is well formed and timely, but not yet verified. */
export type SignedClaim = Version4Claim | Version2Claim

interface Version4Claim {
  readonly kind: "claim"
  readonly version: typeof ALGORITHM
  readonly accessKeyId: AccessKeyId
  readonly credentials: Credentials
  readonly request: SignableRequest
  readonly headers: ReadonlyMap<string, string>
  readonly timestamp: string
  readonly timeMs: number
  readonly payload: PayloadMode
  readonly payloadHash: string
  readonly region: string
  /** The region that the signature names. */
  readonly signedRegion: string
  /** The session token, as it was sent; the key's secret depends on it. */
  readonly token: string | undefined
}

export interface VerifiedRequest {
  readonly kind: "verified"
  readonly form: SignatureForm
  readonly version: SignatureVersion
  readonly accessKeyId: AccessKeyId
  /** The configured region, or `us-east-1` where none is. */
  readonly region: string
  readonly payload: PayloadMode
  /** When it was signed, as it says; undefined where its signature does not say. */
  readonly signedMs: number | undefined
  /** The chain that a signed chunked body continues. */
  readonly chunkSignatures: () => ChunkSignatures
}

/**
 * Reads the signature of a request and refuses what needs no secret to be refused.
 *
 * Throws `accessDenied`, `invalidRequest`, `invalidArgument`, `malformedAuthorization` (details.form,
 * and details.region where the region is wrong), `invalidToken`, `invalidAccessKey`, `requestSkewed`
 * and `requestExpired` (details.serverTime), `invalidUri`, `notImplemented`, `contentSha256Mismatch`.
 */
export function readSignature(
  request: SignableRequest,
  rules: SignatureRules,
  nowMs: number,
): AnonymousRequest | SignedClaim {
  const headers = canonicalHeaders(request.rawHeaders)
  const query = parseQuery(splitTarget(request.rawTarget).rawQuery)
  const authorization = headers.get("authorization")
  const presigned = carriesQuerySignature(query)
  const isVersion2 = carriesVersion2Signature(query)
  if ([authorization !== undefined, presigned, isVersion2].filter(Boolean).length > 1) {
    throw fail("invalidArgument", {
      message: "Only one auth mechanism allowed; use the Authorization header or the query, not both",
    })
  }
  if (isVersion2) {
    if (rules.version2 === undefined) throw olderScheme()
    return readVersion2(request, query, rules.version2, { nowMs, region: rules.region ?? REGION_REPORTED })
  }
  if (authorization === undefined && !presigned) return readAnonymous(headers)

  const terms = presigned ? parsePresigned(query) : undefined
  const credentials = terms ?? parseAuthorization(authorization ?? "")
  checkScope(credentials, rules)
  const timestamp = terms?.timestamp ?? timestampOf(headers)
  const timeMs = checkTime(timestamp, terms, nowMs)
  if (credentials.scope.day !== timestamp.slice(0, 8)) {
    throw fail("accessDenied", { reason: "the date of the Credential is not the day of the request" })
  }
  checkSignedHeaders(credentials, headers)
  const token = tokenOf(headers, presigned ? query : [])
  const payloadHash = payloadHashOf(headers, terms === undefined ? undefined : query, rules.bodySha256)
  return {
    kind: "claim",
    version: ALGORITHM,
    accessKeyId: accessKeyOf(credentials.accessKeyId),
    credentials,
    request,
    headers,
    timestamp,
    timeMs,
    payload: parsePayloadMode(payloadHash),
    payloadHash,
    region: rules.region ?? REGION_REPORTED,
    signedRegion: credentials.scope.region,
    token,
  }
}

/** Both places are covered by the signature. Throws `invalidToken` where they disagree. */
function tokenOf(headers: ReadonlyMap<string, string>, presignedQuery: readonly QueryParameter[]): string | undefined {
  const inQuery = presignedQuery.filter(({ name }) => name === "X-Amz-Security-Token").map(({ value }) => value)
  const [token, other] = new Set([headers.get("x-amz-security-token") ?? "", ...inQuery].filter(text => text !== ""))
  if (other !== undefined) throw fail("invalidToken")
  return token
}

/** Throws `signatureMismatch` with details.stringToSign and, of version 4, details.canonicalRequest. */
export function verifySignature(claim: SignedClaim, secret: string, keys: SigningKeys): VerifiedRequest {
  return claim.version === "AWS" ? verifyVersion2(claim, secret) : verifyVersion4(claim, secret, keys)
}

function verifyVersion2(claim: Version2Claim, secret: string): VerifiedRequest {
  const { accessKeyId, payload, region, signature, shownText } = claim
  if (!isSignedBy(claim, secret)) {
    const signatureProvided = signature.slice(0, 128)
    throw fail("signatureMismatch", { accessKeyId, signatureProvided, stringToSign: shownText })
  }
  const chunkSignatures = (): never => {
    throw fail("internal", { reason: "version 2 signs no chunks" })
  }
  const form = "query"
  return { kind: "verified", form, version: "AWS", accessKeyId, region, payload, signedMs: undefined, chunkSignatures }
}

function verifyVersion4(claim: Version4Claim, secret: string, keys: SigningKeys): VerifiedRequest {
  const { credentials, headers, request, payloadHash, timestamp } = claim
  const parts = { request, headers, signedHeaders: credentials.signedHeaders, payloadHash }
  const text = stringToSign(timestamp, credentials.scope, canonicalRequest(parts))
  const signingKey = keys.of(claim.accessKeyId, secret, credentials.scope)
  const expected = hmacHex(signingKey, text)
  if (!equalInConstantTime(expected, credentials.signature)) {
    const shown = new Map([...headers].map(([name, value]) => [name, isSecretHeader(name) ? "(hidden)" : value]))
    throw fail("signatureMismatch", {
      accessKeyId: claim.accessKeyId,
      signatureProvided: credentials.signature.slice(0, 128),
      stringToSign: text,
      canonicalRequest: canonicalRequest({ ...parts, headers: shown }),
    })
  }
  return {
    kind: "verified",
    form: credentials.form,
    version: ALGORITHM,
    accessKeyId: claim.accessKeyId,
    region: claim.region,
    payload: claim.payload,
    signedMs: claim.timeMs,
    chunkSignatures: () => new ChunkSignatures(signingKey, timestamp, scopeText(credentials.scope), expected),
  }
}

/** Whether anything in the request's head looks like a signature. */
export function carriesSignature({ rawTarget, rawHeaders }: SignableRequest): boolean {
  const query = parseQuery(splitTarget(rawTarget).rawQuery)
  const isSigned = carriesQuerySignature(query) || carriesVersion2Signature(query)
  return isSigned || canonicalHeaders(rawHeaders).has("authorization")
}

const CREDENTIAL = /Credential=([\w.+=@-]{3,128})(?:\/|%2F)|(?:^|&)AWSAccessKeyId=([\w.+=@-]{3,128})(?:&|$)/i

/** The access key that the head of a request names, whether it is well formed or not, for people; undefined: none. */
export function claimedKey(authorization: string | undefined, rawTarget: string): string | undefined {
  const match = CREDENTIAL.exec(authorization ?? splitTarget(rawTarget).rawQuery)
  return match?.[1] ?? match?.[2]
}

function readAnonymous(headers: ReadonlyMap<string, string>): AnonymousRequest {
  const payload = parsePayloadMode(headers.get("x-amz-content-sha256") ?? UNSIGNED_PAYLOAD)
  if (payload.kind === "chunked" && payload.signed) {
    throw fail("accessDenied", { reason: "signed chunks need a signed request" })
  }
  return { kind: "anonymous", payload }
}

/** Throws `malformedAuthorization`, `notImplemented`. */
export function checkScope({ form, scope }: Pick<Credentials, "form" | "scope">, rules: SignatureRules): void {
  const unbuilt = rules.unbuiltServices?.get(scope.service)
  if (unbuilt !== undefined) throw fail("notImplemented", { message: `${unbuilt} are not implemented.` })
  if (scope.service !== rules.service) {
    throw fail("malformedAuthorization", {
      message: `The authorization is malformed; incorrect service "${scope.service.slice(0, 40)}". This endpoint belongs to "${rules.service}".`,
      form,
    })
  }
  if (rules.region !== undefined && scope.region !== rules.region) {
    throw fail("malformedAuthorization", {
      message: `The authorization is malformed; the region '${scope.region.slice(0, 40)}' is wrong; expecting '${rules.region}'`,
      form,
      region: rules.region,
    })
  }
}

function timestampOf(headers: ReadonlyMap<string, string>): string {
  const amzDate = headers.get("x-amz-date")
  if (amzDate !== undefined) return amzDate
  const timeMs = parseDate(headers.get("date") ?? "")
  if (timeMs === undefined) {
    throw fail("accessDenied", { message: "AWS authentication requires a valid Date or x-amz-date header" })
  }
  return basicDate(timeMs)
}

function checkTime(timestamp: string, terms: PresignedTerms | undefined, nowMs: number): number {
  const timeMs = parseBasicDate(timestamp)
  if (timeMs === undefined) {
    throw fail("accessDenied", { message: "AWS authentication requires a valid Date or x-amz-date header" })
  }
  if (terms === undefined) {
    if (Math.abs(nowMs - timeMs) > SKEW_MS_MAX) {
      const serverTime = isoDate(nowMs)
      throw fail("requestSkewed", { requestTime: timestamp, serverTime, maxAllowedSkewMilliseconds: SKEW_MS_MAX })
    }
    return timeMs
  }
  const serverTime = isoDate(nowMs)
  const expiresSeconds = /^\d{1,6}$/.test(terms.expiresText) ? Number(terms.expiresText) : 0
  if (expiresSeconds < 1 || expiresSeconds > PRESIGNED_SECONDS_MAX) {
    throw fail("accessDenied", { message: `X-Amz-Expires must be between 1 and ${PRESIGNED_SECONDS_MAX} seconds` })
  }
  if (timeMs > nowMs + SKEW_MS_MAX) throw fail("accessDenied", { message: "Request is not valid yet", serverTime })
  const expiresMs = timeMs + expiresSeconds * 1000
  if (nowMs > expiresMs) {
    throw fail("requestExpired", {
      message: "Request has expired",
      expires: isoDate(expiresMs),
      serverTime,
      expiresSeconds,
    })
  }
  return timeMs
}

function checkSignedHeaders({ signedHeaders }: Credentials, headers: ReadonlyMap<string, string>): void {
  const signed = new Set(signedHeaders)
  const unsigned = ["host", ...headers.keys()].filter(
    name => (name === "host" || name.startsWith("x-amz-")) && !signed.has(name),
  )
  if (unsigned.length > 0) {
    throw fail("accessDenied", {
      message: "There were headers present in the request which were not signed",
      headersNotSigned: [...new Set(unsigned)].join(", ").slice(0, 400),
    })
  }
}

/** `presignedQuery`: of a presigned URL, which needs no hash. */
function payloadHashOf(
  headers: ReadonlyMap<string, string>,
  presignedQuery: readonly QueryParameter[] | undefined,
  bodySha256: string | undefined,
): string {
  const header = headers.get("x-amz-content-sha256")
  if (bodySha256 !== undefined) {
    if (header !== undefined && header.toLowerCase() !== bodySha256) throw fail("contentSha256Mismatch")
    return bodySha256
  }
  if (presignedQuery === undefined) {
    if (header !== undefined) return header
    throw fail("invalidRequest", { message: "Missing required header for this request: x-amz-content-sha256" })
  }
  const parameter = presignedQuery.find(({ name }) => name === "X-Amz-Content-Sha256")?.value
  if (header !== undefined && parameter !== undefined && header !== parameter) {
    throw fail("invalidArgument", { message: "x-amz-content-sha256 differs between the header and the query" })
  }
  return parameter ?? header ?? UNSIGNED_PAYLOAD
}
