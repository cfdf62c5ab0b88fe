/**
 * Verifies a request's signature (AWS Signature Version 4; version 2 in `version2.ts`) in two synchronous steps:
 * `SignatureVerifier.read` returns the key that the request claims, the caller looks up its secret, `verify` decides.
 *
 * Promises  Fail closed: a request is anonymous only if nothing in it looks like a signature.
 *           The signature covers `host` and every `x-amz-*` header, or the request is refused. Secrets and
 *           signatures are compared in constant time. Cached state of earlier requests changes no result.
 * Limits    15 minutes of clock skew; 604,800 s for a presigned URL. At most `PLANS_MAX` plans are cached, and
 *           `CANONICAL_BYTES_MAX` of memory is reserved for the text to hash.
 * Source    "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
 */
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { ABSENT, type HeaderShape, type RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { basicDate, isoDate, parseBasicDate, parseDate } from "@hayloft/base/text/dates.js"
import { Remembered } from "@hayloft/base/remembered.js"
import { parseQuery, splitTarget } from "@hayloft/base/http/uri.js"
import type { QueryParameter } from "@hayloft/base/http/uri.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import {
  ALGORITHM,
  canonicalPath,
  canonicalQuery,
  equalInConstantTime,
  foldBlanks,
  scopeText,
  sha256Hex,
  type ReceivedRequest,
} from "./canonical.js"
import type { SigningScope } from "./canonical.js"
import { ChunkSignatures } from "./chunks.js"
import {
  accessKeyOf,
  carriesQuerySignature,
  carriesVersion2Signature,
  isSecretHeader,
  isVersion2Authorization,
  olderScheme,
  parseAuthorization,
  parsePresigned,
  truncated,
  wrongCredential,
  wrongDay,
  wrongPresignedDate,
} from "./credentials.js"
import type { Credentials, PresignedTerms, SignatureForm, SignatureVersion } from "./credentials.js"
import { SigningKeys, type SigningKey } from "./keys.js"
import { parsePayloadMode, UNSIGNED_PAYLOAD } from "./payload.js"
import type { PayloadMode } from "./payload.js"
import { checkSkew, noDate, SKEW_MS_MAX } from "./skew.js"
import { isSignedBy, readVersion2InHeader, readVersion2InQuery } from "./version2.js"
import type { Version2Claim, Version2Rules } from "./version2.js"

export const REGION_REPORTED = "us-east-1"
const PLANS_MAX = 1_000
const CANONICAL_BYTES_MAX = 4_096
const SIGNATURE_CHARACTERS = 64
const BEGINNING_CHARACTERS_MAX = 1_024
const HASH_HEADER = "x-amz-content-sha256"
const TOKEN_HEADER = "x-amz-security-token"
const SIGNATURE_LAST = "Signature="
const SIGNATURE = /^[0-9a-f]{64}$/

/** Throws `invalidUri`. */
export function receivedRequest(
  request: Pick<ReceivedRequest, "method" | "headers"> & { readonly rawTarget: string },
): ReceivedRequest {
  const { method, headers, rawTarget } = request
  const { rawPath, rawQuery } = splitTarget(rawTarget)
  return { method, rawPath, rawQuery, parameters: parseQuery(rawQuery), headers }
}

export interface SignatureRules {
  readonly service: string
  /** The region is undefined if any region is accepted, including the empty string. */
  readonly region: string | undefined
  /** Services that are not implemented but for which clients sign requests here, with what those requests concern. */
  readonly unbuiltServices?: ReadonlyMap<string, string>
  /** Hex SHA-256 of the body, for services whose clients need not send it. If absent, the request must state it. */
  readonly bodySha256?: string
  /** For a request that may be signed with version 2. If absent, version 2 is refused. */
  readonly version2?: Version2Rules | undefined
  /** A `+` in the path or the query may stand for a space: the signature says which. If absent, it is a plus sign. */
  readonly plusMayBeSpace?: boolean
}

interface AnonymousRequest {
  readonly kind: "anonymous"
  readonly payload: PayloadMode
}

/** A signature that has been read and is well formed and timely, but not yet verified. */
type SignedClaim = Version4Claim | Version2Claim

interface Version4Claim {
  readonly kind: "claim"
  readonly version: typeof ALGORITHM
  readonly form: SignatureForm
  readonly accessKeyId: AccessKeyId
  readonly plan: Plan
  readonly signature: string
  readonly request: ReceivedRequest
  readonly timestamp: string
  readonly timeMs: number
  readonly payload: PayloadMode
  readonly payloadHash: string
  readonly region: string
  /** The region that the signature names. */
  readonly signedRegion: string
  /** The session token as sent; the key's secret depends on it. */
  readonly token: string | undefined
  readonly plusMayBeSpace: boolean
}

type SignedAddress = Pick<ReceivedRequest, "rawPath" | "rawQuery">

export interface VerifiedRequest {
  readonly kind: "verified"
  readonly form: SignatureForm
  readonly version: SignatureVersion
  readonly accessKeyId: AccessKeyId
  /** The configured region; `us-east-1` if none is configured. */
  readonly region: string
  readonly payload: PayloadMode
  /** The signing time that the request states; undefined if its signature does not state one. */
  readonly signedMs: number | undefined
  /** The address that the signature covers, if it has `%20` for every `+` of the path, of the query, or of both. */
  readonly spaced?: SignedAddress | undefined
  /** The chain that a signed chunked body continues. */
  chunkSignatures(): ChunkSignatures
}

/** Everything derived from the names of a request's headers, the credential and the list of signed headers. */
interface Plan {
  readonly accessKeyId: string
  /** The id is undefined if no key can have such an id. */
  readonly keyId: AccessKeyId | undefined
  readonly scope: SigningScope
  readonly scopeLine: string
  readonly signedHeaders: readonly string[]
  /** For each signed header, the text before its value in the canonical request. */
  readonly leads: readonly string[]
  /** The position of each signed header, from `HeaderShape.placeOf`. */
  readonly places: readonly number[]
  /** Every signed header occurs exactly once. */
  readonly arePlain: boolean
  /** The text between the last value and the payload's hash. */
  readonly tail: string
  /** Positions of the signature's headers, from `HeaderShape.placeOf`. */
  readonly dateAt: number
  readonly hashAt: number
  readonly tokenAt: number
  /** Names that the signature must cover but does not. */
  readonly uncovered: readonly string[]
  /** The key that the last request was signed with. */
  key: SigningKey | undefined
}

function makePlan(shape: HeaderShape, { accessKeyId, scope, signedHeaders }: Credentials): Plan {
  const signed = new Set(signedHeaders)
  const places = signedHeaders.map(name => shape.placeOf(name))
  const mustBeSigned = new Set(["host", ...shape.names.filter(name => name.startsWith("x-amz-"))])
  return {
    accessKeyId,
    keyId: unlessRefused(() => accessKeyOf(accessKeyId)),
    scope,
    scopeLine: scopeText(scope),
    signedHeaders,
    leads: signedHeaders.map(name => `\n${name}:`),
    places,
    arePlain: places.every(place => place >= 0),
    tail: `\n\n${signedHeaders.join(";")}\n`,
    dateAt: shape.placeOf("x-amz-date"),
    hashAt: shape.placeOf(HASH_HEADER),
    tokenAt: shape.placeOf(TOKEN_HEADER),
    uncovered: [...mustBeSigned].filter(name => !signed.has(name)),
    key: undefined,
  }
}

/** Plans by header shape and by the text they were made from. */
class Plans {
  private readonly byShape = new Map<HeaderShape, Map<string, Plan>>()
  private count = 0
  /** The plan found last: comparing two texts costs less than hashing one. */
  private last: { readonly shape: HeaderShape; readonly text: string; readonly plan: Plan } | undefined

  find(shape: HeaderShape, text: string): Plan | undefined {
    const { last } = this
    if (last !== undefined && last.shape === shape && last.text === text) return last.plan
    const plan = this.byShape.get(shape)?.get(text)
    if (plan !== undefined) this.last = { shape, text, plan }
    return plan
  }

  add(shape: HeaderShape, text: string, plan: Plan): Plan {
    if (this.count >= PLANS_MAX) {
      this.byShape.clear()
      this.last = undefined
      this.count = 0
    }
    const ofShape = this.byShape.get(shape) ?? new Map<string, Plan>()
    ofShape.set(text, plan)
    this.byShape.set(shape, ofShape)
    this.count += 1
    return plan
  }
}

/** A plan with the signature that the request carries. */
interface Signed {
  readonly plan: Plan
  readonly signature: string
}

export class SignatureVerifier {
  readonly keys = new SigningKeys()
  private readonly plans = new Plans()
  private readonly queries = new Remembered(rawQuery => canonicalQuery(parseQuery(rawQuery)))
  private readonly times = new Remembered(parseBasicDate)
  private readonly memory = Buffer.alloc(CANONICAL_BYTES_MAX)
  /** Views of `memory` by length: making one costs a fifth of hashing its bytes. */
  private readonly views = new Map<number, Buffer>()

  /**
   * Reads the signature of a request and makes every check that needs no secret.
   *
   * Throws `accessDenied`, `invalidRequest`, `invalidArgument`, `malformedAuthorization` (details.form,
   * and details.region where the region is wrong), `invalidToken`, `invalidAccessKey`, `requestSkewed`
   * and `requestExpired` (details.serverTime), `invalidUri`, `notImplemented`, `contentSha256Mismatch`.
   */
  read(request: ReceivedRequest, rules: SignatureRules, nowMs: number): AnonymousRequest | SignedClaim {
    const { headers, parameters } = request
    const authorization = valueOf(headers, "authorization")
    const isPresigned = parameters.length > 0 && carriesQuerySignature(parameters)
    const isOldPresigned = parameters.length > 0 && carriesVersion2Signature(parameters)
    if (Number(authorization !== undefined) + Number(isPresigned) + Number(isOldPresigned) > 1) {
      throw fail("invalidArgument", {
        message: "Only one auth mechanism allowed; use the Authorization header or the query, not both",
      })
    }
    const isOld = isOldPresigned || (authorization !== undefined && isVersion2Authorization(authorization))
    if (isOld) return readVersion2(request, authorization, rules, nowMs)
    if (isPresigned) return this.readPresigned(request, rules, nowMs)
    if (authorization === undefined) return readAnonymous(headers)
    const signed = this.signedInHeader(headers, authorization)
    checkScope({ form: "header", scope: signed.plan.scope }, rules)
    const timestamp = timestampOf(headers, signed.plan)
    const timeMs = checkSkew(this.times.of(timestamp), timestamp, nowMs)
    const { plan, signature } = signed
    // Object literals on this path are written out: spreading another costs a fifth of the whole verification.
    return claimOf(request, rules, { plan, signature, form: "header", timestamp, timeMs })
  }

  private readPresigned(request: ReceivedRequest, rules: SignatureRules, nowMs: number): Version4Claim {
    const terms = parsePresigned(request.parameters)
    checkScope(terms, rules)
    const { accessKeyId, scope, signedHeaders, signature, timestamp } = terms
    const timeMs = checkExpiry(this.times.of(timestamp), terms, nowMs)
    const { shape } = request.headers
    const text = `${accessKeyId}/${scopeText(scope)} ${signedHeaders.join(";")}`
    const plan = this.plans.find(shape, text) ?? this.plans.add(shape, text, makePlan(shape, terms))
    return claimOf(request, rules, { plan, signature, form: "query", timestamp, timeMs })
  }

  /** A header that ends with its signature, after a known beginning, is not parsed again. */
  private signedInHeader({ shape }: RequestHeaders, authorization: string): Signed {
    const beginning = authorization.slice(0, Math.max(0, authorization.length - SIGNATURE_CHARACTERS))
    const signature = authorization.slice(beginning.length)
    const isUsual =
      SIGNATURE.test(signature) && beginning.endsWith(SIGNATURE_LAST) && beginning.length <= BEGINNING_CHARACTERS_MAX
    const known = isUsual ? this.plans.find(shape, beginning) : undefined
    if (known !== undefined) return { plan: known, signature }
    const credentials = parseAuthorization(authorization)
    const plan = makePlan(shape, credentials)
    return { plan: isUsual ? this.plans.add(shape, beginning, plan) : plan, signature: credentials.signature }
  }

  /** Throws `signatureMismatch` with details.stringToSign and, for version 4, details.canonicalRequest. */
  verify(claim: SignedClaim, secret: string): VerifiedRequest {
    return claim.version === "AWS" ? verifyVersion2(claim, secret) : this.verifyVersion4(claim, secret)
  }

  private verifyVersion4(claim: Version4Claim, secret: string): VerifiedRequest {
    const { plan } = claim
    if (plan.key?.secret !== secret) plan.key = this.keys.of(plan.accessKeyId, secret, plan.scope)
    const text = this.stringToSign(claim, this.canonicalRequest(claim))
    const expected = plan.key.sign(text)
    if (equalInConstantTime(expected, claim.signature)) return new VerifiedVersion4(claim, plan.key)
    if (this.isSignedAsSent(claim, plan.key)) return new VerifiedVersion4(claim, plan.key)
    const spaced = this.signedWithSpaces(claim, plan.key)
    if (spaced !== undefined) return new VerifiedVersion4(claim, plan.key, spaced)
    throw fail("signatureMismatch", {
      accessKeyId: claim.accessKeyId,
      signatureProvided: claim.signature.slice(0, 128),
      stringToSign: text,
      canonicalRequest: this.canonicalRequest(claim, isSecretHeader),
    })
  }

  /**
   * Returns true if the header signs the target as it was sent: before release 8, curl neither sorts parameters nor adds a missing
   * `=`, and escapes nothing. Such a signature is for exactly this target.
   */
  private isSignedAsSent(claim: Version4Claim, key: SigningKey): boolean {
    const { request, plan, payloadHash, form } = claim
    const { method, rawPath, rawQuery, headers } = request
    const isCanonical = canonicalPath(rawPath) === rawPath && canonicalQuery(parseQuery(rawQuery)) === rawQuery
    if (form !== "header" || isCanonical) return false
    const canonical = `${method}\n${rawPath}\n${rawQuery}${foldedLines(plan, headers)}${plan.tail}${payloadHash}`
    return equalInConstantTime(key.sign(this.stringToSign(claim, canonical)), claim.signature)
  }

  /**
   * The path and the query with a space for every `+` of one or of both, if the signature covers that. Amazon accepts it: s3cmd
   * before release 2 sends spaces of a path so, and the crate `object_store` those of a query.
   */
  private signedWithSpaces(claim: Version4Claim, key: SigningKey): SignedAddress | undefined {
    const { request, plusMayBeSpace } = claim
    if (!plusMayBeSpace) return undefined
    return spacedReadings(request).find(spaced => {
      const canonical = this.canonicalRequest({ ...claim, request: { ...request, ...spaced } })
      return equalInConstantTime(key.sign(this.stringToSign(claim, canonical)), claim.signature)
    })
  }

  private stringToSign({ plan, timestamp }: Version4Claim, canonical: string): string {
    return `${ALGORITHM}\n${timestamp}\n${plan.scopeLine}\n${this.sha256Of(canonical)}`
  }

  /** `isHidden`: whether a header's value is left out, given its name. */
  private canonicalRequest(
    { request, plan, payloadHash }: Version4Claim,
    isHidden?: (name: string) => boolean,
  ): string {
    const { method, rawPath, rawQuery, headers } = request
    const start = `${method}\n${canonicalPath(rawPath)}\n${rawQuery === "" ? "" : this.queries.of(rawQuery)}`
    const lines = plan.arePlain && isHidden === undefined ? plainLines(plan, headers) : undefined
    const signed = lines === undefined || mayNeedFolding(lines) ? foldedLines(plan, headers, isHidden) : lines
    return start + signed + plan.tail + payloadHash
  }

  private sha256Of(text: string): string {
    if (text.length > CANONICAL_BYTES_MAX) return sha256Hex(text)
    const lengthBytes = this.memory.write(text, "latin1")
    let view = this.views.get(lengthBytes)
    if (view === undefined) {
      view = this.memory.subarray(0, lengthBytes)
      this.views.set(lengthBytes, view)
    }
    return digestOnce("sha256", view, "hex")
  }
}

/** The readings of an address with a `+` as a space: of the path, of the query, and of both. */
function spacedReadings({ rawPath, rawQuery }: SignedAddress): readonly SignedAddress[] {
  const readingsOf = (text: string): readonly string[] =>
    text.includes("+") ? [text, text.replaceAll("+", "%20")] : [text]
  const queries = readingsOf(rawQuery)
  const all = readingsOf(rawPath).flatMap(path => queries.map(query => ({ rawPath: path, rawQuery: query })))
  return all.slice(1)
}

class VerifiedVersion4 implements VerifiedRequest {
  readonly kind = "verified"
  readonly form: SignatureForm
  readonly version = ALGORITHM
  readonly accessKeyId: AccessKeyId
  readonly region: string
  readonly payload: PayloadMode
  readonly signedMs: number

  constructor(
    private readonly claim: Version4Claim,
    private readonly key: SigningKey,
    readonly spaced?: SignedAddress,
  ) {
    this.form = claim.form
    this.accessKeyId = claim.accessKeyId
    this.region = claim.region
    this.payload = claim.payload
    this.signedMs = claim.timeMs
  }

  chunkSignatures(): ChunkSignatures {
    const { plan, timestamp, signature } = this.claim
    return new ChunkSignatures(this.key, timestamp, plan.scopeLine, signature)
  }
}

/** The signed headers as sent, each of which occurs once. */
function plainLines({ leads, places }: Plan, { values }: RequestHeaders): string {
  let lines = ""
  for (let i = 0; i < places.length; i += 1) lines += (leads[i] ?? "") + (values[places[i] ?? 0] ?? "")
  return lines
}

function foldedLines(
  { leads, places, signedHeaders }: Plan,
  headers: RequestHeaders,
  isHidden: (name: string) => boolean = () => false,
): string {
  const lineOf = (name: string, i: number): string => {
    const place = places[i] ?? ABSENT
    return (leads[i] ?? "") + (place !== ABSENT && isHidden(name) ? "(hidden)" : valueAt(headers, place, name))
  }
  return signedHeaders.map(lineOf).join("")
}

/** Checks all lines together: it may return true for lines that need no folding. */
const mayNeedFolding = (lines: string): boolean =>
  lines.includes("  ") || lines.includes("\t") || lines.includes(": ") || lines.includes(" \n") || lines.endsWith(" ")

/** The value that a signature covers: blanks around it trimmed, runs of blanks folded to one space. */
function valueAt(headers: RequestHeaders, place: number, name: string): string {
  if (place >= 0) return foldBlanks(headers.values[place] ?? "")
  return place === ABSENT ? "" : headers.all(name).map(foldBlanks).join(",")
}

function valueOf(headers: RequestHeaders, name: string): string | undefined {
  const place = headers.shape.placeOf(name)
  return place === ABSENT ? undefined : valueAt(headers, place, name)
}

interface SignedTerms extends Signed {
  readonly form: "header" | "query"
  readonly timestamp: string
  readonly timeMs: number
}

/** Throws `accessDenied`, `invalidToken`, `invalidRequest`, `invalidArgument`, `invalidAccessKey`, `notImplemented`, `contentSha256Mismatch`. */
function claimOf(request: ReceivedRequest, rules: SignatureRules, signed: SignedTerms): Version4Claim {
  const { form, plan, signature, timestamp, timeMs } = signed
  const { headers, parameters } = request
  if (!timestamp.startsWith(plan.scope.day)) throw wrongDay(form, plan.scope.day, timestamp)
  if (plan.uncovered.length > 0) {
    throw fail("accessDenied", {
      message: "There were headers present in the request which were not signed",
      headersNotSigned: plan.uncovered.join(", ").slice(0, 400),
    })
  }
  const presignedQuery = form === "query" ? parameters : undefined
  const token = tokenOf(headers, plan, presignedQuery)
  const payloadHash = payloadHashOf(headers, plan, presignedQuery, rules.bodySha256)
  return {
    kind: "claim",
    version: ALGORITHM,
    form,
    accessKeyId: plan.keyId ?? accessKeyOf(plan.accessKeyId),
    plan,
    signature,
    request,
    timestamp,
    timeMs,
    payload: parsePayloadMode(payloadHash),
    payloadHash,
    region: rules.region ?? REGION_REPORTED,
    signedRegion: plan.scope.region,
    token,
    plusMayBeSpace: rules.plusMayBeSpace === true,
  }
}

/** The signature covers both places. Throws `invalidToken` if they disagree. */
function tokenOf(
  headers: RequestHeaders,
  { tokenAt }: Plan,
  presignedQuery: readonly QueryParameter[] | undefined,
): string | undefined {
  const inHeader = valueAt(headers, tokenAt, TOKEN_HEADER)
  if (presignedQuery === undefined) return inHeader === "" ? undefined : inHeader
  const inQuery = presignedQuery.filter(({ name }) => name === "X-Amz-Security-Token").map(({ value }) => value)
  const [token, other] = new Set([inHeader, ...inQuery].filter(text => text !== ""))
  if (other !== undefined) throw fail("invalidToken")
  return token
}

/** `authorization`: the header, unless the query carries the signature. Throws as `SignatureVerifier.read`. */
function readVersion2(
  request: ReceivedRequest,
  authorization: string | undefined,
  rules: SignatureRules,
  nowMs: number,
): Version2Claim {
  if (rules.version2 === undefined) throw olderScheme()
  const terms = { nowMs, region: rules.region ?? REGION_REPORTED }
  return authorization === undefined
    ? readVersion2InQuery(request, rules.version2, terms)
    : readVersion2InHeader(request, authorization, rules.version2, terms)
}

function verifyVersion2(claim: Version2Claim, secret: string): VerifiedRequest {
  const { form, accessKeyId, payload, region, signature, signedMs, shownText } = claim
  if (!isSignedBy(claim, secret)) {
    const signatureProvided = signature.slice(0, 128)
    throw fail("signatureMismatch", { accessKeyId, signatureProvided, stringToSign: shownText })
  }
  const chunkSignatures = (): never => {
    throw fail("internal", { reason: "version 2 signs no chunks" })
  }
  return { kind: "verified", form, version: "AWS", accessKeyId, region, payload, signedMs, chunkSignatures }
}

/** Returns true if anything in the request's head looks like a signature. */
export function carriesSignature({ parameters, headers }: ReceivedRequest): boolean {
  const isSigned = carriesQuerySignature(parameters) || carriesVersion2Signature(parameters)
  return isSigned || headers.get("authorization") !== undefined
}

const CREDENTIAL = /Credential=([\w.+=@-]{3,128})(?:\/|%2F)/i
const VERSION_2_KEY = /^AWS[ \t]+([\w.+=@-]{3,128}):|(?:^|&)AWSAccessKeyId=([\w.+=@-]{3,128})(?:&|$)/i

/** The access key that the head of a request names, well formed or not, for operators; undefined if none. */
export function claimedKey(authorization: string | undefined, rawTarget: string): string | undefined {
  const text = authorization ?? splitTarget(rawTarget).rawQuery
  const match = CREDENTIAL.exec(text) ?? VERSION_2_KEY.exec(text)
  return match?.[1] ?? match?.[2]
}

function readAnonymous(headers: RequestHeaders): AnonymousRequest {
  const payload = parsePayloadMode(valueOf(headers, HASH_HEADER) ?? UNSIGNED_PAYLOAD)
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
    const expected = `This endpoint belongs to "${rules.service}".`
    throw wrongCredential(form, `incorrect service "${truncated(scope.service)}". ${expected}`)
  }
  if (rules.region !== undefined && scope.region !== rules.region) {
    const message = `the region '${truncated(scope.region)}' is wrong; expecting '${rules.region}'`
    throw wrongCredential(form, message, rules.region)
  }
}

/** Throws `accessDenied`. */
function timestampOf(headers: RequestHeaders, { dateAt }: Plan): string {
  if (dateAt !== ABSENT) return valueAt(headers, dateAt, "x-amz-date")
  const timeMs = parseDate(valueOf(headers, "date") ?? "")
  if (timeMs === undefined) throw noDate()
  return basicDate(timeMs)
}

/** Throws `malformedAuthorization`, `accessDenied`, `requestExpired`. */
function checkExpiry(timeMs: number | undefined, { expiresSeconds }: PresignedTerms, nowMs: number): number {
  if (timeMs === undefined) throw wrongPresignedDate()
  if (timeMs > nowMs + SKEW_MS_MAX) {
    throw fail("accessDenied", { message: "Request is not valid yet", serverTime: isoDate(nowMs) })
  }
  const expiresMs = timeMs + expiresSeconds * 1000
  // A URL for no seconds is over when it begins.
  if (expiresSeconds > 0 && nowMs <= expiresMs) return timeMs
  throw fail("requestExpired", {
    message: "Request has expired",
    expires: isoDate(expiresMs),
    serverTime: isoDate(nowMs),
    expiresSeconds,
  })
}

/** `presignedQuery`: the query of a presigned URL, which needs no hash. */
function payloadHashOf(
  headers: RequestHeaders,
  { hashAt }: Plan,
  presignedQuery: readonly QueryParameter[] | undefined,
  bodySha256: string | undefined,
): string {
  const header = hashAt === ABSENT ? undefined : valueAt(headers, hashAt, HASH_HEADER)
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
