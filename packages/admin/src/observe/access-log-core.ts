/**
 * A finished request as a line of the access log. Pure.
 *
 * Promises  One line: what a client chooses cannot end it, nor a field of it. Contains no signature, no token and no key of
 *           a client: JSON has no query but that of a referrer, and queries are without their values.
 * Limits    Those of `liveRequestOf`; `TEXT_CHARACTERS_MAX` for each text of S3's format.
 * Source    "Amazon S3 server access log format", Amazon S3 User Guide.
 */
import { unlessRefused } from "@hayloft/base/failures.js"
import { percentDecode, percentEncode } from "@hayloft/base/http/uri.js"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"
import { liveRequestOf } from "./live-request-core.js"

export type AccessLogFormat = "json" | "s3"

/** Keys have 1,024 bytes, each three characters when encoded; heads are limited by the server. */
const TEXT_CHARACTERS_MAX = 4_096
/** Names of parameters: those of presigned URLs, of Swift's temporary URLs, and clients' keys. */
const HIDDEN_PARAMETERS = /^(?:x-amz-signature|x-amz-security-token|signature|temp_url_sig|.*customer-key)$/i

interface LoggedRequest {
  /** The port: s3, admin, websites. */
  readonly server: string
  readonly node: string | undefined
  /** When the request was done. */
  readonly atMs: number
  readonly request: FinishedRequest
}

/** @returns undefined for a request that the format has no line for. */
export const accessLineOf = (format: AccessLogFormat, logged: LoggedRequest): string | undefined =>
  format === "json" ? jsonLine(logged) : s3Line(logged)

function jsonLine({ server, node, atMs, request }: LoggedRequest): string {
  const shown = liveRequestOf(server, atMs, request)
  return `${JSON.stringify({
    time: new Date(atMs - shown.totalMs).toISOString(),
    ...shown,
    node,
    atMs: undefined,
    requester: request.subject?.requester,
    httpVersion: request.httpVersion,
    tlsVersion: request.tlsVersion,
    host: cut(request.header("host")),
    referer: cut(refererOf(request)),
    versionId: request.answerHeader("x-amz-version-id"),
    turnaroundMs: roundedTo(2, request.timing.turnaroundMs),
  })}\n`
}

/** The resource types of operations whose name does not show them. */
const S3_OPERATIONS: Readonly<Record<string, string>> = {
  CreateBucket: "BUCKET",
  ListObjects: "BUCKET",
  ListObjectsV2: "BUCKET",
  ListObjectVersions: "BUCKETVERSIONS",
  GetBucketPolicy: "BUCKETPOLICY",
  PutBucketPolicy: "BUCKETPOLICY",
  DeleteBucketPolicy: "BUCKETPOLICY",
  GetBucketLogging: "LOGGING_STATUS",
  PutBucketLogging: "LOGGING_STATUS",
  CorsPreflight: "PREFLIGHT",
  GetObjectAcl: "ACL",
  PutObjectAcl: "ACL",
  GetObjectTorrent: "TORRENT",
  RestoreObject: "RESTORE",
  GetObjectRetention: "RETENTION",
  PutObjectRetention: "RETENTION",
  GetObjectLegalHold: "LEGAL_HOLD",
  PutObjectLegalHold: "LEGAL_HOLD",

  GetObjectLockConfiguration: "OBJECT_LOCK_CONFIGURATION",
  PutObjectLockConfiguration: "OBJECT_LOCK_CONFIGURATION",
  CreateMultipartUpload: "UPLOADS",
  ListMultipartUploads: "UPLOADS",
  CompleteMultipartUpload: "UPLOAD",
  AbortMultipartUpload: "UPLOAD",
  ListParts: "UPLOAD",
  UploadPart: "PART",
  DeleteObjects: "MULTI_OBJECT_DELETE",
}
/** These have a method of their own. */
const S3_COPIES: Readonly<Record<string, string>> = { CopyObject: "REST.COPY.OBJECT", UploadPartCopy: "REST.COPY.PART" }

/** `REST.GET.OBJECT`, `REST.PUT.LIFECYCLE`; "none" for a request whose operation was not determined. */
export function s3OperationOf(server: string, method: string, operation: string): string {
  const verb = method.toUpperCase()
  if (server === "websites") return `WEBSITE.${verb}.OBJECT`
  const noun = operation
    .replace(/^(?:Get|Put|Post|Head|Delete|List|Create|Update)/, "")
    .replace(/^Bucket(?=[A-Z])/, "")
    .replace(/Configurations?$/, "")
  const type = noun.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()
  return S3_COPIES[operation] ?? `REST.${verb}.${S3_OPERATIONS[operation] ?? type}`
}

/** Only requests that name a bucket have a line. Amazon's example is the order of the fields. */
function s3Line({ server, atMs, request }: LoggedRequest): string | undefined {
  const { subject, notes, timing, status } = request
  const bucket = subject?.bucketName ?? textOf(notes["bucket"])
  if (bucket === undefined || server === "admin") return undefined
  const operation = textOf(notes["operation"])
  const { version, form } = subject?.signature ?? {}
  const { tlsVersion } = request
  const fields = [
    plain(subject?.bucketOwner),
    plain(bucket),
    `[${s3Time(atMs - timing.totalMs)}]`,
    plain(request.remoteAddress),
    plain(subject?.requester),
    request.requestId,
    operation === undefined ? "-" : plain(s3OperationOf(server, request.method, operation)),
    plain(subject?.keyText && percentEncode(bytesOf(subject.keyText), true)),
    `"${quotable(`${request.method} ${withoutSecrets(request.rawTarget)} HTTP/${request.httpVersion}`)}"`,
    plain(status),
    status !== undefined && status < ERROR_STATUS_MIN ? "-" : plain(textOf(notes["failure"])),
    plain(request.sentBytes || undefined),
    plain(objectBytesOf(request, operation)),
    plain(Math.round(timing.totalMs)),
    plain(roundedTo(0, timing.turnaroundMs)),
    `"${quotable(refererOf(request) ?? "-")}"`,
    `"${quotable(request.header("user-agent") ?? "-")}"`,
    plain(request.answerHeader("x-amz-version-id")),
    plain(request.answerHeader("x-amz-id-2")),
    version === undefined ? "-" : version === "AWS" ? "SigV2" : "SigV4",
    plain(request.tlsCipher),
    // A form of a browser has neither a header nor a query.
    form === "header" ? "AuthHeader" : form === "query" ? "QueryString" : "-",
    plain(request.header("host")),
    plain(tlsVersion && `TLSv${tlsVersion}`),
    // No access points; whether a list of access was needed is not known.
    "-",
    "-",
  ]
  return `${fields.join(" ")}\n`
}

const ERROR_STATUS_MIN = 400
const REFUSED_STATUS_MIN = 300
const READS: ReadonlySet<string | undefined> = new Set(["GetObject", "HeadObject", "GetPage"])
const WRITES: ReadonlySet<string | undefined> = new Set(["PutObject", "UploadPart"])

/** The size of the whole object that was read or written. */
function objectBytesOf(request: FinishedRequest, operation: string | undefined): number | string | undefined {
  const { status } = request
  if (status === undefined || status >= REFUSED_STATUS_MIN) return undefined
  if (WRITES.has(operation)) return request.header("x-amz-decoded-content-length") ?? request.receivedBytes
  if (!READS.has(operation)) return undefined
  const range = request.answerHeader("content-range")
  return range === undefined ? request.answerHeader("content-length") : range.split("/").at(-1)
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
const cut = (text: string | undefined): string | undefined => text?.slice(0, 256)
const bytesOf = (text: string): string => Buffer.from(text).toString("latin1")
const roundedTo = (digits: number, value: number | undefined): number | undefined =>
  value === undefined ? undefined : Number(value.toFixed(digits))

/** An unquoted field: never empty, without blanks. */
function plain(value: string | number | undefined): string {
  const text = quotable(String(value ?? "")).replaceAll(" ", "%20")
  return text === "" ? "-" : text
}

/** A text between quotes: printable, without a quote. */
const quotable = (text: string): string =>
  text.slice(0, TEXT_CHARACTERS_MAX).replace(/[^\x20-\x7e]|"/gu, character => percentEncode(byteStringOf(character)))

/** Headers and targets are byte strings already. */
const byteStringOf = (character: string): string => (character > "\u00ff" ? bytesOf(character) : character)

/** The page that a browser comes from may have been opened by a presigned URL. */
function refererOf(request: FinishedRequest): string | undefined {
  const referer = request.header("referer")
  return referer && withoutSecrets(referer)
}

function withoutSecrets(rawTarget: string): string {
  const at = rawTarget.indexOf("?")
  if (at === -1) return rawTarget
  const shown = rawTarget
    .slice(at + 1)
    .split("&")
    .map(parameter => {
      const [name = ""] = parameter.split("=", 1)
      return HIDDEN_PARAMETERS.test(decoded(name)) ? `${name}=REDACTED` : parameter
    })
  return `${rawTarget.slice(0, at + 1)}${shown.join("&")}`
}

/** A client may encode any letter of a name; one that cannot be decoded names no parameter. */
const decoded = (name: string): string => unlessRefused(() => percentDecode(name)) ?? name

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** `06/Feb/2019:00:00:38 +0000` */
function s3Time(timeMs: number): string {
  const date = new Date(timeMs)
  const [day, time] = date.toISOString().split("T")
  const [year = "", , monthDay = ""] = day?.split("-") ?? []
  return `${monthDay}/${MONTHS[date.getUTCMonth()] ?? ""}/${year}:${time?.slice(0, 8) ?? ""} +0000`
}
