/**
 * An S3 request in wire format: path style, percent-encoded byte for byte, signed with Signature V4.
 */
import { presign, signRequest, UNSIGNED_PAYLOAD, type RequestSignature } from "@hayloft/access/sigv4.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { Trust } from "./trust.js"
import { byteStringOfText } from "@hayloft/base/ids.js"

export interface S3Access {
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** For an endpoint with a certificate that is not signed by a well-known authority. */
  readonly trust?: Trust
}

export interface OutgoingRequest {
  readonly method: string
  readonly bucket?: string
  readonly key?: string
  readonly query?: readonly (readonly [name: string, value: string])[]
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

export interface SignedCall extends RequestSignature {
  readonly method: string
  readonly rawTarget: string
}

const encode = (text: string): string => percentEncode(byteStringOfText(text))

/** Path and query, percent-encoded. */
function targetOf({ bucket, key, query = [] }: OutgoingRequest): string {
  const path = bucket === undefined ? "/" : `/${encode(bucket)}`
  const below = key === undefined ? "" : `/${percentEncode(byteStringOfText(key), true)}`
  const text = query.map(([name, value]) => (value === "" ? `${name}=` : `${name}=${encode(value)}`)).join("&")
  return `${path}${below}${text === "" ? "" : `?${text}`}`
}

/** `host` is the header's value; `payloadHash` is the body's hex SHA-256, or a word such as `UNSIGNED-PAYLOAD`. */
export function signedCall(
  access: S3Access,
  host: string,
  request: OutgoingRequest,
  nowMs: number,
  payloadHash: string = UNSIGNED_PAYLOAD,
): SignedCall {
  const rawHeaders = ["host", host, ...(request.headers ?? []).flat()]
  if (access.sessionToken !== undefined) rawHeaders.push("x-amz-security-token", access.sessionToken)
  const signable = { method: request.method, rawTarget: targetOf(request), rawHeaders }
  const { accessKeyId, secretAccessKey: secret, region } = access
  return { ...signable, ...signRequest(signable, payloadHash, { accessKeyId, secret, region, service: "s3" }, nowMs) }
}

/** The URL of a request that is signed in its query; valid for `expiresSeconds`. */
export function presignedUrl(
  access: S3Access,
  request: OutgoingRequest,
  expiresSeconds: number,
  nowMs: number,
): string {
  const { accessKeyId, secretAccessKey: secret, region, sessionToken } = access
  const { host, origin } = new URL(access.endpoint)
  const token = sessionToken === undefined ? [] : [["X-Amz-Security-Token", sessionToken] as const]
  const rawTarget = targetOf({ ...request, query: [...(request.query ?? []), ...token] })
  const signable = { method: request.method, rawTarget, rawHeaders: ["host", host] }
  return `${origin}${presign(signable, expiresSeconds, { accessKeyId, secret, region, service: "s3" }, nowMs)}`
}
