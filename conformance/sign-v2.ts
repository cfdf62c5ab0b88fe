/**
 * AWS signature version 2, client side, as botocore and the older SDKs presign URLs and sign requests: written from the
 * specification and apart from the product, as `sign-v4.ts` is.
 */
import { createHmac } from "node:crypto"
import { headerList } from "./client.js"
import type { Call, Client } from "./client.js"
import type { Header } from "./raw-client.js"
import { decodePercent, encodeText, splitTarget } from "./sign-v4.js"
import type { Credentials } from "./sign-v4.js"

const SIGNED_PARAMETERS = new Set(
  `accelerate acl analytics attributes cors delete encryption inventory legal-hold lifecycle location logging metrics
  notification object-lock partNumber policy replication requestPayment response-cache-control
  response-content-disposition response-content-encoding response-content-language response-content-type
  response-expires restore retention select select-type tagging torrent uploadId uploads versionId versioning versions
  website`.split(/\s+/),
)

export interface ToSignV2 {
  readonly method: string
  /** Path style, whatever the URL's own style is: version 2 signs the bucket with the path. */
  readonly target: string
  /** The headers that will be sent, and those that the URL carries. */
  readonly headers: readonly Header[]
  /** For a URL the expiry in seconds since 1970; else the `Date` header, or "" if `x-amz-date` is sent. */
  readonly dateLine: string
  /** Parameters that the server signs beside those that Amazon lists. */
  readonly moreParameters?: ReadonlySet<string>
}

function signedParameters(rawQuery: string, more: ReadonlySet<string>): string {
  const signed = rawQuery
    .split("&")
    .map(piece => piece.split(/=(.*)/s))
    .filter(([name = ""]) => SIGNED_PARAMETERS.has(name) || more.has(name))
    .map(([name = "", value]) => (value === undefined ? [name] : [name, decodePercent(value).toString("latin1")]))
    .sort(([a = ""], [b = ""]) => (a < b ? -1 : a > b ? 1 : 0))
  return signed.length === 0 ? "" : `?${signed.map(parts => parts.join("=")).join("&")}`
}

export function signV2(secretKey: string, request: ToSignV2): string {
  const { method, target, headers, dateLine, moreParameters = new Set<string>() } = request
  const { path, query } = splitTarget(target)
  const values = (name: string): string =>
    headers
      .filter(header => header[0].toLowerCase() === name)
      .map(header => header[1].trim())
      .join(",")
  const amz = [...new Set(headers.map(header => header[0].toLowerCase()))].filter(name => name.startsWith("x-amz-"))
  const lines = [
    method,
    values("content-md5"),
    values("content-type"),
    dateLine,
    ...amz.sort().map(name => `${name}:${values(name)}`),
    path + signedParameters(query, moreParameters),
  ]
  return createHmac("sha1", secretKey)
    .update(Buffer.from(lines.join("\n"), "latin1"))
    .digest("base64")
}

export const inSeconds = (seconds: number): string => String(Math.floor(Date.now() / 1000) + seconds)

interface PresignOptions {
  readonly expires?: string
  /** `x-amz-*` headers that the URL carries, as SDKs write them. */
  readonly carried?: readonly Header[]
  readonly credentials?: Credentials
}

/** The target of a URL presigned with version 2; `call.headers` must be sent along. */
export function presignV2(client: Client, method: string, call: Call, options: PresignOptions = {}): string {
  const { expires = inSeconds(300), carried = [], credentials = client.credentials } = options
  const { accessKey, secretKey, sessionToken } = credentials
  const all: Header[] = [...carried]
  if (sessionToken !== undefined) all.push(["x-amz-security-token", sessionToken])
  const target = client.target(call)
  const headers = [...headerList(call.headers), ...all]
  const signature = signV2(secretKey, { method, target, headers, dateLine: expires })
  const parameters = [["AWSAccessKeyId", accessKey], ["Signature", signature], ...all, ["Expires", expires]]
  const text = parameters.map(([name = "", value = ""]) => `${name}=${encodeText(value)}`).join("&")
  return `${target}${target.includes("?") ? "&" : "?"}${text}`
}

interface SignOptions {
  /** `x-amz-date`: clients that cannot set `Date` send the time there. */
  readonly dateHeader?: "Date" | "x-amz-date"
  readonly date?: string
  /** The path-style target that is signed, if the request is sent by virtual host. */
  readonly signedTarget?: string
  readonly credentials?: Credentials
}

/** The call with an `Authorization` header of version 2; `Client.call` sends it as it is. */
export function signedV2(client: Client, method: string, call: Call, options: SignOptions = {}): Call {
  const { dateHeader = "Date", date = new Date().toUTCString(), credentials = client.credentials } = options
  const { accessKey, secretKey, sessionToken } = credentials
  const headers: Header[] = [...headerList(call.headers), [dateHeader, date]]
  if (sessionToken !== undefined) headers.push(["x-amz-security-token", sessionToken])
  const target = options.signedTarget ?? client.target(call)
  const signature = signV2(secretKey, { method, target, headers, dateLine: dateHeader === "Date" ? date : "" })
  return { ...call, anonymous: true, headers: [...headers, ["Authorization", `AWS ${accessKey}:${signature}`]] }
}
