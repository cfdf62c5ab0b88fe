/**
 * Verifies the signatures that come by the thousand: in the Authorization header, over header names
 * that were seen before. What is the same for all requests of a client on one day is worked out once.
 *
 * Promises  Whoever it names has signed the request: `readSignature` and `verifySignature` would accept
 *           it, for the same key (`quick-verify.test.ts` compares them). It refuses nothing: undefined
 *           means that they have to judge.
 * Limits    `PLANS_MAX` plans, `TIMES_MAX` times, `TEXT_BYTES_MAX` of a canonical request.
 */
import { isFailure } from "../../base/failures.js"
import type { AccessKeyId } from "../../base/ids.js"
import { parseAccessKeyId } from "../../base/ids.js"
import { parseBasicDate } from "../../base/dates.js"
import type { HeaderShape, RequestHeaders } from "../../base/request-headers.js"
import { isCanonicalPath } from "../../base/uri.js"
import { digestOnce } from "../../seams/compute/index.js"
import { ALGORITHM, deriveSigningKey, foldBlanks, scopeText } from "./canonical.js"
import type { Scope } from "./canonical.js"
import { parseAuthorization } from "./credentials.js"
import { STREAMING_UNSIGNED_TRAILER, UNSIGNED_PAYLOAD } from "./payload.js"
import { SKEW_MS_MAX, type SignatureRules } from "./verify.js"

const PLANS_MAX = 1_000
const TIMES_MAX = 1_000
const TEXT_BYTES_MAX = 4_096
const SIGNATURE_CHARACTERS = 64
const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
const DIGEST_CHARACTERS = 64
/** As long as any. */
const NO_TIMESTAMP = "yyyymmddThhmmssZ"
const UNSIGNED: ReadonlySet<string> = new Set([UNSIGNED_PAYLOAD, STREAMING_UNSIGNED_TRAILER])
const SHA256_HEX = /^[0-9a-f]{64}$/

/** What a request claims, and nothing here was refused. */
export interface QuickRequest {
  readonly method: string
  /** Without a query, or with one whose canonical form it is. */
  readonly path: string
  readonly query: string
  readonly headers: RequestHeaders
}

export interface QuickVerified {
  readonly accessKeyId: AccessKeyId
  /** The session token, as it was sent. */
  readonly token: string | undefined
  readonly signedMs: number
  /** 64 hex digits in lower case, UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER. */
  readonly payloadHash: string
}

/** All that Authorization, up to its signature, and the header names decide. */
interface Plan {
  readonly shape: HeaderShape
  /** Of Authorization, up to the signature. */
  readonly beginning: string
  readonly accessKeyId: AccessKeyId
  readonly scope: Scope
  /** For each signed header what stands before its value, and where that is. */
  readonly leads: readonly string[]
  readonly places: readonly number[]
  /** Between the last value and the payload's hash. */
  readonly tail: string
  readonly dateAt: number
  readonly hashAt: number
  /** Below 0: there is none. */
  readonly tokenAt: number
  readonly scopeLine: string
  key: PaddedKey | undefined
}

/** What HMAC hashes (RFC 2104), with the key in it: a block and the text to sign; a block and the digest of those. */
interface PaddedKey {
  readonly secret: string
  readonly inner: Buffer
  readonly outer: Buffer
  /** The one in the text, which then lacks its last line only: requests of a second differ in nothing else. */
  timestamp: string
}

export class QuickVerifier {
  private readonly plans = new Map<HeaderShape, Map<string, Plan | undefined>>()
  private planned = 0
  private last: Plan | undefined
  private readonly text = Buffer.alloc(TEXT_BYTES_MAX)
  /** Of the text, by length: making one costs a fifth of hashing what is in it. */
  private readonly views = new Map<number, Buffer>()
  /** Of timestamps; a second has one, and requests of a few seconds come mixed. */
  private readonly times = new Map<string, number>()
  private lastTimestamp = ""
  private lastTimeMs = -Infinity

  constructor(
    private readonly rules: SignatureRules,
    private readonly secretOf: (id: AccessKeyId, token: string | undefined, nowMs: number) => string | undefined,
  ) {}

  /** Who signed the request; undefined: it is not for here to say. */
  verify({ method, path, query, headers }: QuickRequest, nowMs: number): QuickVerified | undefined {
    const authorizationAt = headers.shape.placeOf("authorization")
    const authorization = authorizationAt < 0 ? "" : (headers.values[authorizationAt] ?? "")
    const plan = this.planOf(headers.shape, authorization)
    if (plan === undefined || !isCanonicalPath(path)) return undefined
    const token = plan.tokenAt < 0 ? undefined : headers.values[plan.tokenAt]
    const secret = this.secretOf(plan.accessKeyId, token, nowMs)
    if (secret === undefined) return undefined
    const timestamp = headers.values[plan.dateAt] ?? ""
    const payloadHash = headers.values[plan.hashAt] ?? ""
    const signedMs = this.timeOf(timestamp)
    if (Math.abs(nowMs - signedMs) > SKEW_MS_MAX || !timestamp.startsWith(plan.scope.day)) return undefined
    if (!UNSIGNED.has(payloadHash) && !SHA256_HEX.test(payloadHash)) return undefined
    const digest = this.digestOf(`${method}\n${path}\n${query}`, plan, headers.values, payloadHash)
    if (digest === undefined) return undefined
    const signature = signatureOf(keyOf(plan, secret), timestamp, plan.scopeLine, digest)
    const { accessKeyId } = plan
    return equalAtEnd(authorization, signature) ? { accessKeyId, token, signedMs, payloadHash } : undefined
  }

  /** SHA-256 of the canonical request; undefined where that is too long. */
  private digestOf(
    start: string,
    { leads, places, tail }: Plan,
    values: readonly string[],
    payloadHash: string,
  ): string | undefined {
    let canonical = start
    for (let i = 0; i < places.length; i += 1) canonical += (leads[i] ?? "") + (values[places[i] ?? 0] ?? "")
    canonical += tail + payloadHash
    if (mayFold(canonical)) {
      const lines = places.map((place, i) => (leads[i] ?? "") + foldBlanks(values[place] ?? ""))
      canonical = start + lines.join("") + tail + payloadHash
    }
    if (canonical.length > TEXT_BYTES_MAX) return undefined
    return digestOnce("sha256", this.bytesOf(canonical), "hex")
  }

  /** Good until the next text. */
  private bytesOf(text: string): Buffer {
    const lengthBytes = this.text.write(text, "latin1")
    const known = this.views.get(lengthBytes)
    if (known !== undefined) return known
    const view = this.text.subarray(0, lengthBytes)
    this.views.set(lengthBytes, view)
    return view
  }

  /** Far from any other where it is no time. */
  private timeOf(timestamp: string): number {
    if (timestamp === this.lastTimestamp) return this.lastTimeMs
    const timeMs = this.times.get(timestamp) ?? parseBasicDate(timestamp) ?? -Infinity
    if (this.times.size >= TIMES_MAX) this.times.clear()
    this.times.set(timestamp, timeMs)
    this.lastTimestamp = timestamp
    this.lastTimeMs = timeMs
    return timeMs
  }

  private planOf(shape: HeaderShape, authorization: string): Plan | undefined {
    const { last } = this
    const beginningLength = authorization.length - SIGNATURE_CHARACTERS
    // Equality compares words at a time; `startsWith` goes character by character.
    if (last?.shape === shape && authorization.slice(0, Math.max(0, beginningLength)) === last.beginning) return last
    if (!SHA256_HEX.test(authorization.slice(Math.max(0, beginningLength)))) return undefined
    const plan = this.knownPlan(shape, authorization.slice(0, beginningLength), authorization)
    this.last = plan ?? last
    return plan
  }

  private knownPlan(shape: HeaderShape, beginning: string, authorization: string): Plan | undefined {
    const known = this.plans.get(shape)
    if (known?.has(beginning) === true) return known.get(beginning)
    if (this.planned >= PLANS_MAX) {
      this.plans.clear()
      this.planned = 0
    }
    const plan = makePlan(shape, beginning, authorization, this.rules)
    const ofShape = this.plans.get(shape) ?? new Map<string, Plan | undefined>()
    ofShape.set(beginning, plan)
    this.plans.set(shape, ofShape)
    this.planned += 1
    return plan
  }
}

/** Undefined where the names or the beginning leave anything to judge. */
function makePlan(
  shape: HeaderShape,
  beginning: string,
  authorization: string,
  rules: SignatureRules,
): Plan | undefined {
  const { names } = shape
  if (new Set(names).size < names.length) return undefined
  const [dateAt, hashAt] = [shape.placeOf("x-amz-date"), shape.placeOf("x-amz-content-sha256")]
  if (dateAt < 0 || hashAt < 0 || !beginning.endsWith("Signature=")) return undefined
  // It is read with its blanks folded, and a region may hold some.
  if (foldBlanks(beginning) !== beginning) return undefined
  try {
    const { accessKeyId, scope, signedHeaders, signature } = parseAuthorization(authorization)
    if (beginning + signature !== authorization) return undefined
    if (scope.service !== rules.service || (rules.region !== undefined && scope.region !== rules.region))
      return undefined
    const places = signedHeaders.map(name => shape.placeOf(name))
    const mustBeSigned = ["host", ...names.filter(name => name.startsWith("x-amz-"))]
    if (places.some(place => place < 0) || mustBeSigned.some(name => !signedHeaders.includes(name))) return undefined
    return {
      shape,
      beginning,
      accessKeyId: parseAccessKeyId(accessKeyId),
      scope,
      leads: signedHeaders.map(name => `\n${name}:`),
      places,
      tail: `\n\n${signedHeaders.join(";")}\n`,
      dateAt,
      hashAt,
      tokenAt: shape.placeOf("x-amz-security-token"),
      scopeLine: scopeText(scope),
      key: undefined,
    }
  } catch (error) {
    if (!isFailure(error)) throw error
    return undefined
  }
}

function keyOf(plan: Plan, secret: string): PaddedKey {
  if (plan.key?.secret === secret) return plan.key
  const signingKey = deriveSigningKey(secret, plan.scope)
  const padded = (byte: number, moreBytes: number): Buffer => {
    const block = Buffer.alloc(BLOCK_BYTES + moreBytes)
    for (let i = 0; i < BLOCK_BYTES; i += 1) block[i] = (signingKey[i] ?? 0) ^ byte
    return block
  }
  const textBytes = textToSign(NO_TIMESTAMP, plan.scopeLine).length + DIGEST_CHARACTERS
  plan.key = { secret, inner: padded(0x36, textBytes), outer: padded(0x5c, DIGEST_BYTES), timestamp: NO_TIMESTAMP }
  return plan.key
}

/** Without its last line, the digest. */
const textToSign = (timestamp: string, scopeLine: string): string => `${ALGORITHM}\n${timestamp}\n${scopeLine}\n`

function signatureOf(key: PaddedKey, timestamp: string, scopeLine: string, digest: string): string {
  const { inner, outer } = key
  if (key.timestamp !== timestamp) {
    inner.write(textToSign(timestamp, scopeLine), BLOCK_BYTES, "latin1")
    key.timestamp = timestamp
  }
  inner.write(digest, inner.length - DIGEST_CHARACTERS, "latin1")
  outer.write(digestOnce("sha256", inner, "binary"), BLOCK_BYTES, "latin1")
  return digestOnce("sha256", outer, "hex")
}

/** Asked of all signed lines at once; some that need no folding may look so. */
const mayFold = (lines: string): boolean =>
  lines.includes("  ") || lines.includes("\t") || lines.includes(": ") || lines.includes(" \n")

/** Whether a text ends with a signature; how long that takes does not depend on what differs. */
function equalAtEnd(text: string, signature: string): boolean {
  const at = text.length - signature.length
  let different = at < 0 ? 1 : 0
  for (let i = 0; i < signature.length; i += 1) different |= text.charCodeAt(at + i) ^ signature.charCodeAt(i)
  return different === 0
}
