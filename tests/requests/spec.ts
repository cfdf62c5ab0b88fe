/**
 * A request as data, and its bytes for one server.
 *
 * Placeholders represent values that differ between servers: `{{12.0}}` is the first id in the answer to request
 * 12, `{{12.date}}` its Last-Modified, `{{12.token}}` its continuation token. All servers get the same bytes unless
 * a request has a placeholder or is signed with a session.
 */
import { createHash } from "node:crypto"
import { amzDate, authorization, encodeText, presign, signRequest } from "../../conformance/sign-v4.js"
import type { Credentials, Signature, SignOptions } from "../../conformance/sign-v4.js"
import { signV2 } from "../../conformance/sign-v2.js"
import { encodeAws, encodeHttpChunks, payloadHashOf, type Framing } from "./bodies.js"
import type { People, Person } from "./people.js"
import type { Header } from "./wire.js"

export const DEFECTS = [
  "signature", // one wrong digit
  "region",
  "service",
  "termination",
  "early", // signed an hour ago
  "late", // signed for an hour ahead
  "scopeDay",
  "noDate",
  "badDate",
  "noHash",
  "badHash",
  "unsignedHost",
  "unsignedAmz", // the first x-amz-* header of the request's own
  "unsignedType", // content-type and content-md5
  "scheme",
  "noCredential",
  "shortCredential",
  "noSignedHeaders",
  "upperSignedHeaders",
  "unsortedSignedHeaders",
  "twoAuthorizations",
  "blanks", // around the parts
  "basic",
  "empty",
  "v2Header",
  "headerAndQuery",
] as const
export type Defect = (typeof DEFECTS)[number]

export const QUERY_DEFECTS = [
  "expired",
  "farExpiry",
  "badExpiry",
  "noExpiry",
  "noAlgorithm",
  "twice",
  "noSignature",
] as const
export type QueryDefect = (typeof QUERY_DEFECTS)[number]

export type Payload = "hash" | "unsigned" | "wrong" | "empty" | "nonsense" | "upper"

export interface Signing {
  readonly person: Person | "anonymous"
  readonly how: "header" | "query" | "v2"
  readonly payload: Payload
  readonly defect?: Defect | QueryDefect | undefined
  /** Content-Length is among the signed headers. */
  readonly signsLength?: boolean
}

export interface Spec {
  /** For the coverage table: the intended operation. */
  readonly what: string
  readonly method: string
  readonly target: string
  readonly host: string
  readonly headers: readonly Header[]
  readonly body: Buffer | string
  readonly framing: Framing
  readonly signing: Signing
  readonly expect?: "wait" | "eager" | undefined
  readonly version?: string
  /** Positions at which a write ends, in thousandths of the request. */
  readonly cuts: readonly number[]
  /** The value that the generator reads from the answer. */
  readonly about?: About
}

/** The effects of a request to which later requests may refer. */
export interface About {
  readonly does: "put" | "delete" | "createUpload" | "uploadPart" | "endUpload" | "list" | "read" | "settings"
  readonly bucket: string
  readonly key?: string
  readonly upload?: string
  readonly part?: number
  readonly bytes?: number
}

/** The answers of one server so far, and its callers. */
export interface Side {
  readonly people: People
  /** Answers by the number of the request. */
  readonly ids: ReadonlyMap<number, readonly string[]>
  readonly dates: ReadonlyMap<number, string>
  readonly tokens: ReadonlyMap<number, string>
}

export interface Rendered {
  readonly head: Buffer
  readonly body: Buffer
  /** Differs between the servers. */
  readonly isOwn: boolean
}

const PLACE = /\{\{(\d+)\.(\d+|date|token)\}\}/g
/** Well formed, but never issued. */
const NO_ID = "00000000000000000000000000"
const NO_DATE = "Sun, 01 Feb 2026 00:00:00 GMT"

function filled(text: string, side: Side): string {
  if (!text.includes("{{")) return text
  return text.replace(PLACE, (_, number: string, what: string) => {
    const request = Number(number)
    if (what === "date") return side.dates.get(request) ?? NO_DATE
    if (what === "token") return side.tokens.get(request) ?? NO_ID
    return side.ids.get(request)?.[Number(what)] ?? NO_ID
  })
}

const hasPlaces = ({ target, headers, body }: Spec): boolean =>
  target.includes("{{") ||
  headers.some(header => header[1].includes("{{")) ||
  (typeof body === "string" && body.includes("{{"))

const sha256 = (body: Buffer): string => createHash("sha256").update(body).digest("hex")

function payloadHash({ framing, signing: { payload } }: Spec, body: Buffer): string {
  if (framing.kind === "aws") return payloadHashOf(framing)
  if (payload === "unsigned") return "UNSIGNED-PAYLOAD"
  if (payload === "nonsense") return "nonsense"
  if (payload === "upper") return sha256(body).toUpperCase()
  if (payload === "empty") return sha256(Buffer.alloc(0))
  return sha256(payload === "wrong" ? Buffer.concat([body, Buffer.of(0)]) : body)
}

const HOUR_MS = 3_600_000

function signOptions(spec: Spec, body: Buffer, nowMs: number): SignOptions {
  const { defect } = spec.signing
  const own = spec.headers.map(([name]) => name.toLowerCase())
  const firstAmz = own.find(name => name.startsWith("x-amz-"))
  const unsigned: string[] = ["accept-encoding"]
  if (defect === "unsignedHost") unsigned.push("host")
  if (defect === "unsignedAmz" && firstAmz !== undefined) unsigned.push(firstAmz)
  if (defect === "unsignedType") unsigned.push("content-type", "content-md5")
  const shiftMs = defect === "early" || defect === "expired" ? -HOUR_MS : defect === "late" ? HOUR_MS : 0
  return {
    timeMs: nowMs + shiftMs,
    region: defect === "region" ? "eu-west-9" : "us-east-1",
    service: defect === "service" ? "ec2" : "s3",
    payloadHash: payloadHash(spec, body),
    unsignedHeaders: unsigned,
    ...(defect === "scopeDay" && { scopeDay: "20200101" }),
  }
}

const flipped = (text: string): string => text.slice(0, -1) + (text.endsWith("0") ? "1" : "0")

/** The Authorization headers, with the requested defect. */
function authorizations(value: string, defect: Signing["defect"], accessKey: string): string[] {
  switch (defect) {
    case "signature":
      return [flipped(value)]
    case "termination":
      return [value.replace("/aws4_request", "/aws9_request")]
    case "scheme":
      return [value.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512")]
    case "noCredential":
      return [value.replace(/Credential=[^,]*, /, "")]
    case "shortCredential":
      return [value.replace(/Credential=[^,]*/, `Credential=${accessKey}`)]
    case "noSignedHeaders":
      return [value.replace(/SignedHeaders=[^,]*, /, "")]
    case "upperSignedHeaders":
      return [value.replace("SignedHeaders=host", "SignedHeaders=Host")]
    case "unsortedSignedHeaders":
      return [value.replace(/SignedHeaders=([^;,]*);([^;,]*)/, "SignedHeaders=$2;$1")]
    case "twoAuthorizations":
      return [value, value]
    case "blanks":
      return [`  ${value.replaceAll(", ", " ,   ")} `]
    case "basic":
      return ["Basic dXNlcjpwYXNz"]
    case "empty":
      return [""]
    case "v2Header":
      return [`AWS ${accessKey}:c2lnbmF0dXJl`]
    default:
      return [value]
  }
}

const signsLength = ({ framing, signing }: Spec): boolean => framing.kind === "plain" && signing.signsLength === true

function ownHeaders(spec: Spec, side: Side, plain: Buffer): Header[] {
  const { framing } = spec
  const headers: Header[] = spec.host === "" ? [] : [["Host", spec.host]]
  for (const [name, value] of spec.headers) headers.push([name, filled(value, side)])
  if (spec.expect !== undefined) headers.push(["Expect", "100-continue"])
  if (framing.kind === "http") headers.push(["Transfer-Encoding", "chunked"])
  if (framing.kind === "plain" && signsLength(spec))
    headers.push(["Content-Length", String(plain.length + framing.lengthOff)])
  if (framing.kind === "aws") {
    if (framing.lengthOff !== undefined)
      headers.push(["x-amz-decoded-content-length", String(plain.length + framing.lengthOff)])
    if (framing.trailer !== undefined)
      headers.push(["x-amz-trailer", `x-amz-checksum-${framing.trailer.toLowerCase()}`])
  }
  return headers
}

interface Signed {
  readonly target: string
  readonly headers: readonly Header[]
  readonly signature: Signature | undefined
}

function signedByHeader(spec: Spec, target: string, headers: Header[], who: Credentials, options: SignOptions): Signed {
  const { defect } = spec.signing
  if (defect !== "noHash") headers.push(["x-amz-content-sha256", defect === "badHash" ? "abc" : options.payloadHash])
  if (defect !== "noDate") headers.push(["x-amz-date", defect === "badDate" ? "yesterday" : amzDate(options.timeMs)])
  if (who.sessionToken !== undefined) headers.push(["x-amz-security-token", who.sessionToken])
  const signature = signRequest({ method: spec.method, target, headers }, who, options)
  for (const value of authorizations(authorization(who, signature), defect, who.accessKey))
    headers.push(["Authorization", value])
  const asked = defect === "headerAndQuery" ? `${target}${target.includes("?") ? "&" : "?"}X-Amz-Signature=00` : target
  return { target: asked, headers, signature }
}

function signedByQuery(spec: Spec, target: string, headers: Header[], who: Credentials, options: SignOptions): Signed {
  const { defect, payload } = spec.signing
  const expires = defect === "farExpiry" ? "604801" : defect === "badExpiry" ? "-1" : "300"
  const isHashed = payload !== "unsigned" || spec.framing.kind === "aws"
  if (isHashed) headers.push(["x-amz-content-sha256", options.payloadHash])
  const hash = isHashed ? options.payloadHash : "UNSIGNED-PAYLOAD"
  const made = presign({ method: spec.method, target, headers }, who, { ...options, payloadHash: hash, expires })
  const broken: Partial<Record<NonNullable<Signing["defect"]>, (text: string) => string>> = {
    signature: flipped,
    noExpiry: text => text.replace(/&X-Amz-Expires=\d+/, ""),
    noAlgorithm: text => text.replace(/X-Amz-Algorithm=[^&]*&/, ""),
    noSignature: text => text.replace(/&X-Amz-Signature=.*/, ""),
    twice: text => `${text}&X-Amz-Date=${amzDate(options.timeMs)}`,
  }
  return { target: (defect && broken[defect]?.(made)) ?? made, headers, signature: undefined }
}

function signedByV2(spec: Spec, target: string, headers: Header[], who: Credentials, nowMs: number): Signed {
  const { defect } = spec.signing
  const seconds = Math.floor(nowMs / 1000) + (defect === "expired" ? -3_600 : defect === "farExpiry" ? 700_000 : 300)
  const expires = defect === "badExpiry" ? "soon" : String(seconds)
  const token: Header[] = who.sessionToken === undefined ? [] : [["x-amz-security-token", who.sessionToken]]
  const signature = signV2(who.secretKey, {
    method: spec.method,
    target,
    headers: [...headers, ...token],
    dateLine: expires,
  })
  const pairs = [["AWSAccessKeyId", who.accessKey], ["Signature", signature], ...token, ["Expires", expires]]
  if (defect === "noSignature") pairs.splice(1, 1)
  if (defect === "signature") pairs[1] = ["Signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="]
  const text = pairs.map(([name = "", value = ""]) => `${name}=${encodeText(value)}`).join("&")
  return { target: `${target}${target.includes("?") ? "&" : "?"}${text}`, headers, signature: undefined }
}

function sign(spec: Spec, side: Side, body: Buffer, nowMs: number): Signed {
  const { person, how } = spec.signing
  const target = filled(spec.target, side)
  const headers = ownHeaders(spec, side, body)
  if (person === "anonymous") {
    if (spec.framing.kind === "aws") headers.push(["x-amz-content-sha256", payloadHashOf(spec.framing)])
    return { target, headers, signature: undefined }
  }
  const who = side.people[person]
  const options = signOptions(spec, body, nowMs)
  if (how === "query") return signedByQuery(spec, target, headers, who, options)
  if (how === "v2") return signedByV2(spec, target, headers, who, nowMs)
  return signedByHeader(spec, target, headers, who, options)
}

/** The bytes for one server. */
export function render(spec: Spec, side: Side, nowMs: number): Rendered {
  const { framing, method, version = "HTTP/1.1", signing } = spec
  const plain = typeof spec.body === "string" ? Buffer.from(filled(spec.body, side)) : spec.body
  const { target, headers, signature } = sign(spec, side, plain, nowMs)
  const body =
    framing.kind === "aws"
      ? encodeAws(framing, plain, signature)
      : framing.kind === "http"
        ? encodeHttpChunks(plain, framing.chunkBytes, framing.damage)
        : plain
  const all = [...headers]
  if (framing.kind === "plain" && !signsLength(spec))
    all.push(["Content-Length", String(body.length + framing.lengthOff)])
  if (framing.kind === "aws") all.push(["Content-Length", String(body.length)])
  const lines = [`${method} ${target} ${version}`, ...all.map(([name, value]) => `${name}: ${value}`), "", ""]
  const hasToken = signing.person !== "anonymous" && side.people[signing.person].sessionToken !== undefined
  return { head: Buffer.from(lines.join("\r\n"), "latin1"), body, isOwn: hasToken || hasPlaces(spec) }
}

const AT_ONCE_BYTES = 16 * 1_024

/**
 * Returns true if an answer may come before the whole request has arrived: then it depends on timing whether the server
 * has to close the connection after a refusal.
 */
export const mayComeLate = ({ body, cuts, expect, framing }: Spec): boolean =>
  framing.kind !== "none" && (body.length > AT_ONCE_BYTES || expect !== undefined || cuts.length > 0)

/** Splits a request into its writes. */
export function writesOf({ head, body }: Rendered, cuts: readonly number[]): Buffer[] {
  const bytes = Buffer.concat([head, body])
  const places = [...new Set(cuts.map(cut => Math.floor((bytes.length * cut) / 1_000)))]
    .filter(at => at > 0 && at < bytes.length)
    .sort((a, b) => a - b)
  return [0, ...places].map((at, i) => bytes.subarray(at, places[i] ?? bytes.length))
}
