/**
 * The texts that AWS Signature Version 4 signs, shared by verifying and by signing.
 *
 * All texts are byte strings (one character a byte): header values arrive from the socket as bytes
 * and are hashed as such, never as characters.
 * Source  "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
 */
import { createHash, createHmac } from "node:crypto"
import { isCanonicalPath, parseQuery, percentDecode, percentEncode, splitTarget } from "@hayloft/base/http/uri.js"
import type { QueryParameter } from "@hayloft/base/http/uri.js"

import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import { compareTexts } from "@hayloft/base/bytes.js"

export const ALGORITHM = "AWS4-HMAC-SHA256"
export const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/** Day, region and service for which a signing key is valid. */
export interface SigningScope {
  /** `20260102` */
  readonly day: string
  readonly region: string
  readonly service: string
}

/** A request as received: its target as sent, and parsed. */
export interface ReceivedRequest {
  readonly method: string
  /** Percent-coded. */
  readonly rawPath: string
  readonly rawQuery: string
  /** The parameters of `rawQuery`, decoded. */
  readonly parameters: readonly QueryParameter[]
  readonly headers: RequestHeaders
}

export interface SignableRequest {
  readonly method: string
  /** The path and query in the form in which they are sent: percent-coded. */
  readonly rawTarget: string
  /** Name, value, name, value … in wire order. */
  readonly rawHeaders: readonly string[]
}

export const scopeText = ({ day, region, service }: SigningScope): string => `${day}/${region}/${service}/aws4_request`

export const sha256Hex = (data: string | Uint8Array): string =>
  typeof data === "string"
    ? createHash("sha256").update(data, "latin1").digest("hex")
    : createHash("sha256").update(data).digest("hex")

const hmac = (key: string | Uint8Array, text: string): Buffer =>
  createHmac("sha256", key).update(text, "latin1").digest()

export function deriveSigningKey(secret: string, { day, region, service }: SigningScope): Uint8Array {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), "aws4_request")
}

/** Returns true if two byte strings are equal; the time it takes depends only on their lengths. */
export function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let different = 0
  for (let i = 0; i < a.length; i += 1) different |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return different === 0
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

/**
 * Trims blanks at the ends. Blanks are space and tab only: `String.trim` would also remove 0xA0, which is half of a
 * UTF-8 character here.
 */
export function trimBlanks(value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isBlank(value.charCodeAt(start))) start += 1
  while (end > start && isBlank(value.charCodeAt(end - 1))) end -= 1
  return value.slice(start, end)
}

/** Trims blanks at the ends and folds each run of blanks inside to one space. */
export function foldBlanks(value: string): string {
  const trimmed =
    isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1)) ? trimBlanks(value) : value
  return trimmed.includes("  ") || trimmed.includes("\t") ? trimmed.replace(/[ \t]+/g, " ") : trimmed
}

/** Header values by lower-case name; repeated ones joined by "," in wire order. */
export function canonicalHeaders(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase()
    const value = foldBlanks(rawHeaders[i + 1] ?? "")
    const earlier = headers.get(name)
    headers.set(name, earlier === undefined ? value : `${earlier},${value}`)
  }
  return headers
}

/** Sorted by encoded name, then encoded value, without `X-Amz-Signature`, which a presigned URL adds at the end. */
export function canonicalQuery(parameters: readonly QueryParameter[]): string {
  if (parameters.length === 0) return ""
  return parameters
    .filter(({ name }) => name !== "X-Amz-Signature")
    .map(({ name, value }) => [percentEncode(name), percentEncode(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compareTexts(nameA, nameB) || compareTexts(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join("&")
}

/** Throws `invalidUri` if an escape is broken. */
export const canonicalPath = (rawPath: string): string =>
  isCanonicalPath(rawPath) ? rawPath : percentEncode(percentDecode(rawPath), true)

interface CanonicalParts {
  readonly request: SignableRequest
  readonly headers: ReadonlyMap<string, string>
  readonly signedHeaders: readonly string[]
  /** A hex SHA-256, or one of the keywords that replace it. */
  readonly payloadHash: string
}

/** Throws `invalidUri` if the target cannot be decoded. */
export function canonicalRequest({ request, headers, signedHeaders, payloadHash }: CanonicalParts): string {
  const { rawPath, rawQuery } = splitTarget(request.rawTarget)
  return [
    request.method,
    canonicalPath(rawPath),
    canonicalQuery(parseQuery(rawQuery)),
    ...signedHeaders.map(name => `${name}:${headers.get(name) ?? ""}`),
    "",
    signedHeaders.join(";"),
    payloadHash,
  ].join("\n")
}

/** `timestamp` in the form `20260102T030405Z`. */
export function stringToSign(timestamp: string, scope: SigningScope, canonical: string): string {
  return `${ALGORITHM}\n${timestamp}\n${scopeText(scope)}\n${sha256Hex(canonical)}`
}
