/**
 * AWS Signature Version 4 for S3, client side, from the raw request target and the raw header list.
 *
 * Written from the specification and apart from the product: what the server verifies with its own
 * code is signed here with other code. Works on bytes: header values are one character a byte.
 */
import { createHmac } from "node:crypto"
import { sha256Hex } from "./checksums.js"
import type { Header } from "./raw-client.js"

export const UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
  readonly sessionToken?: string
}

export interface SignOptions {
  readonly timeMs: number
  readonly region: string
  readonly service: string
  /** Value of `x-amz-content-sha256`. */
  readonly payloadHash: string
  /** Header names (lower case) left out of the signature. */
  readonly unsignedHeaders: readonly string[]
  /** The day in the credential scope, where it shall differ from the date's. */
  readonly scopeDay?: string
  /** Raw path that is signed, where it shall differ from the one that is sent. */
  readonly signedPath?: string
  /** Raw query that is signed in the header, where it shall differ from the one that is sent. */
  readonly signedQuery?: string
}

export interface Signature {
  readonly signature: string
  readonly scope: string
  readonly signedHeaders: string
  readonly signingKey: Buffer
  /** `20260102T030405Z` */
  readonly dateTime: string
}

const UNRESERVED = /^[A-Za-z0-9\-._~]$/

/** Percent-encodes every byte but the unreserved ones (and `/` where kept). */
export function encodeBytes(bytes: Uint8Array, keepSlash = false): string {
  let out = ""
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    if (UNRESERVED.test(character) || (keepSlash && character === "/")) out += character
    else out += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  }
  return out
}

export const encodeText = (text: string, keepSlash = false): string => encodeBytes(Buffer.from(text, "utf8"), keepSlash)

/** Percent-decoding to bytes, once; a `%` without two hex digits stays. The text is one character a byte. */
export function decodePercent(raw: string): Buffer {
  const bytes: number[] = []
  for (let index = 0; index < raw.length; index += 1) {
    const hex = raw.slice(index + 1, index + 3)
    if (raw[index] === "%" && /^[0-9A-Fa-f]{2}$/.test(hex)) {
      bytes.push(parseInt(hex, 16))
      index += 2
    } else bytes.push(raw.charCodeAt(index) & 0xff)
  }
  return Buffer.from(bytes)
}

/** Time as the specification writes it. */
export const amzDate = (timeMs: number): string => new Date(timeMs).toISOString().replace(/[-:]|\.\d{3}/g, "")

export function splitTarget(target: string): { path: string; query: string } {
  const mark = target.indexOf("?")
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

function canonicalQuery(rawQuery: string): string {
  const pairs = rawQuery
    .split("&")
    .filter(part => part !== "" && !part.startsWith("X-Amz-Signature="))
    .map(part => {
      const equals = part.indexOf("=")
      const [name, value] = equals < 0 ? [part, ""] : [part.slice(0, equals), part.slice(equals + 1)]
      return [encodeBytes(decodePercent(name)), encodeBytes(decodePercent(value))] as const
    })
  const compare = (left: string, right: string) => (left < right ? -1 : left > right ? 1 : 0)
  pairs.sort((left, right) => compare(left[0], right[0]) || compare(left[1], right[1]))
  return pairs.map(([name, value]) => `${name}=${value}`).join("&")
}

function canonicalHeaders(headers: readonly Header[], signed: readonly string[]): string {
  return signed
    .map(name => {
      const values = headers.filter(header => header[0].toLowerCase() === name)
      return `${name}:${values.map(header => header[1].trim().replace(/ +/g, " ")).join(",")}\n`
    })
    .join("")
}

const hmac = (key: Buffer | string, text: string | Buffer): Buffer => createHmac("sha256", key).update(text).digest()

/** Keys of a day, by all that they are made of: four digests for each request would be most of its cost. */
const signingKeys = new Map<string, Buffer>()
const SIGNING_KEYS_MAX = 100

export function deriveSigningKey(secretKey: string, day: string, region: string, service: string): Buffer {
  const name = JSON.stringify([secretKey, day, region, service])
  const known = signingKeys.get(name)
  if (known !== undefined) return known
  const key = hmac(hmac(hmac(hmac(`AWS4${secretKey}`, day), region), service), "aws4_request")
  if (signingKeys.size >= SIGNING_KEYS_MAX) signingKeys.clear()
  signingKeys.set(name, key)
  return key
}

/** The names that a careful client signs: all it sends but those that intermediaries change. */
function signedNames(headers: readonly Header[], excluded: readonly string[]): string[] {
  const names = new Set(headers.map(header => header[0].toLowerCase()))
  for (const name of ["connection", "expect", "authorization", "transfer-encoding", "user-agent", ...excluded]) {
    names.delete(name)
  }
  return [...names].sort()
}

/** Signs a request whose headers already hold everything to be signed. */
export function signRequest(
  request: { readonly method: string; readonly target: string; readonly headers: readonly Header[] },
  credentials: Credentials,
  options: SignOptions,
): Signature {
  const { path, query } = splitTarget(request.target)
  const dateTime = amzDate(options.timeMs)
  const day = options.scopeDay ?? dateTime.slice(0, 8)
  const scope = `${day}/${options.region}/${options.service}/aws4_request`
  const names = signedNames(request.headers, options.unsignedHeaders)
  const canonical = [
    request.method,
    encodeBytes(decodePercent(options.signedPath ?? path), true),
    canonicalQuery(options.signedQuery ?? query),
    canonicalHeaders(request.headers, names),
    names.join(";"),
    options.payloadHash,
  ].join("\n")
  const hash = sha256Hex(Buffer.from(canonical, "latin1"))
  const signingKey = deriveSigningKey(credentials.secretKey, day, options.region, options.service)
  const signature = hmac(signingKey, `AWS4-HMAC-SHA256\n${dateTime}\n${scope}\n${hash}`).toString("hex")
  return { signature, scope, signedHeaders: names.join(";"), signingKey, dateTime }
}

/** Value of the Authorization header. */
export const authorization = (credentials: Credentials, signed: Signature): string =>
  `AWS4-HMAC-SHA256 Credential=${credentials.accessKey}/${signed.scope}, ` +
  `SignedHeaders=${signed.signedHeaders}, Signature=${signed.signature}`

/** The target with the query parameters of a presigned request, signature included. */
export function presign(
  request: { readonly method: string; readonly target: string; readonly headers: readonly Header[] },
  credentials: Credentials,
  options: SignOptions & { readonly expires: string },
): string {
  const { path, query } = splitTarget(request.target)
  const dateTime = amzDate(options.timeMs)
  const day = options.scopeDay ?? dateTime.slice(0, 8)
  const scope = `${day}/${options.region}/${options.service}/aws4_request`
  const names = signedNames(request.headers, options.unsignedHeaders).join(";")
  const parameters = [
    ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
    ["X-Amz-Credential", `${credentials.accessKey}/${scope}`],
    ["X-Amz-Date", dateTime],
    ["X-Amz-Expires", options.expires],
    ["X-Amz-SignedHeaders", names],
    ...(credentials.sessionToken === undefined ? [] : [["X-Amz-Security-Token", credentials.sessionToken] as const]),
  ].map(([name, value]) => `${name ?? ""}=${encodeText(value ?? "")}`)
  const target = `${path}?${[...(query === "" ? [] : [query]), ...parameters].join("&")}`
  const signed = signRequest({ ...request, target }, credentials, options)
  return `${target}&X-Amz-Signature=${signed.signature}`
}

const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/** Signature of one chunk of a signed streaming body, over the one before it. */
export function signChunk(signed: Signature, previous: string, chunk: Uint8Array): string {
  const text = ["AWS4-HMAC-SHA256-PAYLOAD", signed.dateTime, signed.scope, previous, EMPTY_SHA256, sha256Hex(chunk)]
  return hmac(signed.signingKey, text.join("\n")).toString("hex")
}

/** Signature of the trailing headers (`name:value\n` …) over the last chunk's. */
export function signTrailer(signed: Signature, previous: string, trailer: string): string {
  const hash = sha256Hex(Buffer.from(trailer, "latin1"))
  const text = ["AWS4-HMAC-SHA256-TRAILER", signed.dateTime, signed.scope, previous, hash]
  return hmac(signed.signingKey, text.join("\n")).toString("hex")
}
