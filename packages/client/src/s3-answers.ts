/**
 * The responses of S3 stores: headers and documents, read into records.
 *
 * Failures  `RemoteFailure` with the store's own code, `BrokenAnswer` for a document that says too little.
 */
import { parseDate } from "@hayloft/base/text/dates.js"
import { percentDecode } from "@hayloft/base/http/uri.js"
import type { ServerAnswer } from "./http-caller.js"
import { BrokenAnswer, briefCode, briefMessage, RemoteFailure } from "./remote.js"
import type { OutgoingRequest } from "./signed-call.js"
import { childrenNamed, type XmlElement } from "@hayloft/base/text/xml-reader.js"
import { readXml, textOfChild } from "./xml-reader.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"

export interface ObjectHead {
  readonly sizeBytes: number
  /** False if the response has no length: the size is known once the body has ended. */
  readonly hasSize: boolean
  /** Without quotes. */
  readonly etag: string
  /** True for a single upload that the store does not encrypt with another key: the ETag is the MD5 of the bytes. */
  readonly etagIsMd5: boolean
  /** The same of the whole object, also if the bytes are those of a range. */
  readonly etagIsMd5OfObject: boolean
  readonly lastModifiedMs: number | undefined
  readonly contentType: string | undefined
  /** The headers that a copy in parts must state again: content type, cache control, user metadata … */
  readonly attributes: HeaderFields
  /** The headers of object lock: retention and legal hold. */
  readonly locks: HeaderFields
  /** The bytes are those of a range. */
  readonly isRange: boolean
  /** The offset of the first byte of a range. */
  readonly rangeFirst: number | undefined
  /** The size of the whole object if the response is for a range and has it. */
  readonly totalBytes: number | undefined
  /** The store says that it is Hayloft, whose buckets all have RenameObject. Others may take a rename for an empty PUT. */
  readonly hasRename: boolean
}

export interface ListedKey {
  readonly key: string
  readonly sizeBytes: number
  readonly etag: string
  readonly lastModifiedMs: number
}

export interface ListedVersion extends ListedKey {
  readonly versionId: string
  /** A delete marker; it has no bytes. */
  readonly isMarker: boolean
}

export interface KeyPage {
  readonly keys: readonly ListedKey[]
  readonly prefixes: readonly string[]
  readonly next: string | undefined
}

export interface BucketEntry {
  readonly name: string
  readonly createdMs: number
}

export interface BucketPage {
  readonly buckets: readonly BucketEntry[]
  readonly next: string | undefined
}

export interface VersionPage {
  readonly versions: readonly ListedVersion[]
  readonly next: HeaderFields | undefined
}

const unquote = (etag: string | undefined): string => (etag ?? "").replace(/^"|"$/g, "")

/** The ETag of the written object. Without it the store does not say which object it has. */
export function etagOf(given: string | undefined): string {
  const etag = unquote(given)
  if (etag === "") throw new BrokenAnswer("the store does not say which object it has written: there is no ETag")
  return etag
}

/**
 * The ETag in a document about what was written. S3 responds with 200 before it is done, and may send an error document
 * in the body.
 */
export function writtenEtag(root: XmlElement): string {
  if (root.name === "Error") throw remoteFailure(500, root, undefined)
  return etagOf(textOfChild(root, "ETag"))
}

/** The same of a completed upload, which has the ETag in a header at some stores. */
export function completedEtag(root: XmlElement, { headers }: ServerAnswer): string {
  if (root.name !== "Error") expectRoot(root, "CompleteMultipartUploadResult")
  return textOfChild(root, "ETag") === undefined && root.name !== "Error" ? etagOf(headers.etag) : writtenEtag(root)
}

function expectRoot({ name }: XmlElement, expected: string): void {
  if (name !== expected) throw new BrokenAnswer(`the response is not a ${expected}, but a ${name.slice(0, 100)}`)
}

export async function failureOf(answer: ServerAnswer, request: OutgoingRequest): Promise<RemoteFailure> {
  const text = (await answer.document()).toString("utf8")
  const requestId = String(answer.headers["x-amz-request-id"] ?? "") || undefined
  const document = text.includes("<Error") ? readable(text) : undefined
  if (document !== undefined) return remoteFailure(answer.status, document, requestId)
  const what = request.key === undefined ? (request.bucket ?? "the store") : `${request.bucket ?? ""}/${request.key}`
  const plain =
    answer.status === 404 ? "does not exist" : answer.status === 403 ? "access denied" : `status ${answer.status}`
  // A document that was cut still has its beginning.
  const code = /<Code>([^<]{1,100})<\/Code>/.exec(text)?.[1]
  return new RemoteFailure(answer.status, code ?? `http-${answer.status}`, plain, requestId, what)
}

function readable(text: string): XmlElement | undefined {
  try {
    return readXml(text)
  } catch (error) {
    if (error instanceof BrokenAnswer) return undefined
    throw error
  }
}

/** The longest names that S3 has, with a bucket. */
const NAME_CHARACTERS_MAX = 1100

export function remoteFailure(status: number, error: XmlElement, requestId: string | undefined): RemoteFailure {
  const code = briefCode(textOfChild(error, "Code") ?? `http-${status}`)
  const message = briefMessage(textOfChild(error, "Message") ?? code)
  const resource = textOfChild(error, "Resource")
  const of = textOfChild(error, "Key") ?? textOfChild(error, "BucketName") ?? (resource === "/" ? undefined : resource)
  const reason = `${message.replace(/\.$/, "")} (${code})`
  return new RemoteFailure(status, code, reason, requestId, of?.slice(0, NAME_CHARACTERS_MAX) || undefined)
}

export function headOf({ headers }: ServerAnswer): ObjectHead {
  const etag = unquote(headers.etag)
  const [, first, total] = CONTENT_RANGE.exec(headers["content-range"] ?? "") ?? []
  const encrypted =
    headers["x-amz-server-side-encryption"] ?? headers["x-amz-server-side-encryption-customer-algorithm"]
  const etagIsMd5OfObject = /^[0-9a-f]{32}$/.test(etag) && (encrypted === undefined || encrypted === "AES256")
  return {
    sizeBytes: Number(headers["content-length"] ?? 0),
    hasSize: headers["content-length"] !== undefined,
    etag,
    etagIsMd5: headers["content-range"] === undefined && etagIsMd5OfObject,
    etagIsMd5OfObject,
    lastModifiedMs: parseDate(headers["last-modified"] ?? ""),
    contentType: headers["content-type"],
    attributes: headersLike(headers, ATTRIBUTE),
    locks: headersLike(headers, LOCK),
    isRange: headers["content-range"] !== undefined,
    rangeFirst: numberOf(first),
    totalBytes: numberOf(total),
    hasRename: /^Hayloft\//.test(String(headers["server"] ?? "")),
  }
}

const CONTENT_RANGE = /^bytes (\d+)-\d+\/(?:(\d+)|\*)$/
const ATTRIBUTE = /^(cache-control|content-(disposition|encoding|language|type)|expires|x-amz-meta-.*)$/
const LOCK = /^x-amz-object-lock-/

const headersLike = (headers: ServerAnswer["headers"], wanted: RegExp): HeaderFields =>
  Object.entries(headers).flatMap(([name, value]) =>
    wanted.test(name) && typeof value === "string" ? [[name, value] as const] : [],
  )

const numberOf = (digits: string | undefined): number | undefined => (digits === undefined ? undefined : Number(digits))
export const timeOf = (text: string | undefined): number => parseDate(text ?? "") ?? 0
const decodeKey = (text: string, coded: boolean): string =>
  coded ? Buffer.from(percentDecode(text.replace(/\+/g, "%20")), "latin1").toString("utf8") : text

function sizeOf(entry: XmlElement): number {
  const text = textOfChild(entry, "Size") ?? ""
  const sizeBytes = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(sizeBytes)) return sizeBytes
  throw new BrokenAnswer(`the store lists an object with the size "${text.slice(0, 100)}"`)
}

const keyOf = (entry: XmlElement, coded: boolean): ListedKey => ({
  key: decodeKey(textOfChild(entry, "Key") ?? "", coded),
  sizeBytes: entry.name === "DeleteMarker" ? 0 : sizeOf(entry),
  etag: unquote(textOfChild(entry, "ETag")),
  lastModifiedMs: timeOf(textOfChild(entry, "LastModified")),
})

const isCoded = (root: XmlElement): boolean => textOfChild(root, "EncodingType") === "url"

export function bucketPageOf(root: XmlElement): BucketPage {
  const entries = childrenNamed(root, "Buckets").flatMap(all => childrenNamed(all, "Bucket"))
  const token = textOfChild(root, "ContinuationToken")
  return {
    buckets: entries.map(entry => ({
      name: textOfChild(entry, "Name") ?? "",
      createdMs: timeOf(textOfChild(entry, "CreationDate")),
    })),
    next: token === "" ? undefined : token,
  }
}

export function versionPageOf(root: XmlElement): VersionPage {
  expectRoot(root, "ListVersionsResult")
  const versions = root.children
    .filter(({ name }) => name === "Version" || name === "DeleteMarker")
    .map(entry => ({
      ...keyOf(entry, isCoded(root)),
      versionId: textOfChild(entry, "VersionId") ?? "null",
      isMarker: entry.name === "DeleteMarker",
    }))
  return { versions, next: nextVersions(root) }
}

/** Returns where the next page begins; undefined after the last one. */
function nextVersions(root: XmlElement): HeaderFields | undefined {
  if (textOfChild(root, "IsTruncated") !== "true") return undefined
  const key = textOfChild(root, "NextKeyMarker")
  if (key === undefined || key === "")
    throw new BrokenAnswer("the store returned a page of versions without the place of the next one")
  const versionId = textOfChild(root, "NextVersionIdMarker")
  const marker = ["key-marker", decodeKey(key, isCoded(root))] as const
  return versionId === undefined || versionId === "" ? [marker] : [marker, ["version-id-marker", versionId]]
}

export function listedPageOf(root: XmlElement): KeyPage {
  expectRoot(root, "ListBucketResult")
  const coded = isCoded(root)
  return {
    keys: childrenNamed(root, "Contents").map(entry => keyOf(entry, coded)),
    prefixes: childrenNamed(root, "CommonPrefixes").map(entry => decodeKey(textOfChild(entry, "Prefix") ?? "", coded)),
    next: nextToken(root),
  }
}

function nextToken(root: XmlElement): string | undefined {
  if (textOfChild(root, "IsTruncated") !== "true") return undefined
  const token = textOfChild(root, "NextContinuationToken")
  if (token === undefined || token === "")
    throw new BrokenAnswer("the store returned a page of keys without the place of the next one")
  return token
}
