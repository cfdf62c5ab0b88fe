/**
 * Signs requests as a client does (for the command line and tests), with the canonical texts that verification uses.
 */
import { basicDate } from "@hayloft/base/text/dates.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import {
  ALGORITHM,
  canonicalHeaders,
  canonicalRequest,
  deriveSigningKey,
  scopeText,
  stringToSign,
} from "./canonical.js"
import type { SigningScope, SignableRequest } from "./canonical.js"
import { ChunkSignatures } from "./chunks.js"
import { SigningKey } from "./keys.js"
import { UNSIGNED_PAYLOAD } from "./payload.js"

export interface SigningCredentials {
  readonly accessKeyId: string
  readonly secret: string
  readonly region: string
  readonly service: string
}

export interface RequestSignature {
  /** The given headers and the added ones; flat: name, value, name, value … */
  readonly rawHeaders: readonly string[]
  readonly signature: string
  /** For a chunked body. */
  readonly chunkSignatures: () => ChunkSignatures
}

/** Not signed, because proxies may change them. */
/** Proxies add to `cdn-loop`, and may change the others. */
const UNSIGNED_HEADERS = new Set([
  "authorization",
  "cdn-loop",
  "connection",
  "expect",
  "user-agent",
  "transfer-encoding",
])

/**
 * Adds `x-amz-date`, `x-amz-content-sha256` and `Authorization`. The headers must include `host`.
 * `payloadHash`: the body's hex SHA-256, or a keyword such as `UNSIGNED-PAYLOAD`.
 */
export function signRequest(
  request: SignableRequest,
  payloadHash: string,
  credentials: SigningCredentials,
  nowMs: number,
): RequestSignature {
  const timestamp = basicDate(nowMs)
  const rawHeaders = [...request.rawHeaders, "x-amz-date", timestamp, "x-amz-content-sha256", payloadHash]
  const headers = canonicalHeaders(rawHeaders)
  const signedHeaders = [...headers.keys()].filter(name => !UNSIGNED_HEADERS.has(name)).sort()
  const scope = scopeOf(timestamp, credentials)
  const signingKey = signingKeyOf(credentials, scope)
  const canonical = canonicalRequest({ request, headers, signedHeaders, payloadHash })
  const signature = signingKey.sign(stringToSign(timestamp, scope, canonical))
  const authorization =
    `${ALGORITHM} Credential=${credentials.accessKeyId}/${scopeText(scope)}, ` +
    `SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`
  return {
    rawHeaders: [...rawHeaders, "Authorization", authorization],
    signature,
    chunkSignatures: () => new ChunkSignatures(signingKey, timestamp, scopeText(scope), signature),
  }
}

/** The target of a presigned URL, valid for `expiresSeconds`; the given headers (with `host`) must be sent with it. */
export function presign(
  request: SignableRequest,
  expiresSeconds: number,
  credentials: SigningCredentials,
  nowMs: number,
): string {
  const timestamp = basicDate(nowMs)
  const scope = scopeOf(timestamp, credentials)
  const headers = canonicalHeaders(request.rawHeaders)
  const signedHeaders = [...headers.keys()].sort()
  const parameters = [
    ["X-Amz-Algorithm", ALGORITHM],
    ["X-Amz-Credential", `${credentials.accessKeyId}/${scopeText(scope)}`],
    ["X-Amz-Date", timestamp],
    ["X-Amz-Expires", String(expiresSeconds)],
    ["X-Amz-SignedHeaders", signedHeaders.join(";")],
  ].map(([name, value]) => `${name ?? ""}=${percentEncode(value ?? "")}`)
  const rawTarget = `${request.rawTarget}${request.rawTarget.includes("?") ? "&" : "?"}${parameters.join("&")}`
  const payloadHash = headers.get("x-amz-content-sha256") ?? UNSIGNED_PAYLOAD
  const canonical = canonicalRequest({ request: { ...request, rawTarget }, headers, signedHeaders, payloadHash })
  const signature = signingKeyOf(credentials, scope).sign(stringToSign(timestamp, scope, canonical))
  return `${rawTarget}&X-Amz-Signature=${signature}`
}

const scopeOf = (timestamp: string, { region, service }: SigningCredentials): SigningScope => ({
  day: timestamp.slice(0, 8),
  region,
  service,
})

const signingKeyOf = ({ secret }: SigningCredentials, scope: SigningScope): SigningKey =>
  new SigningKey(secret, deriveSigningKey(secret, scope))
