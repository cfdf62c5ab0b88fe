/**
 * Values of condition keys that follow from a request, for policy decisions. Pure.
 *
 * Three values are not in the head of the request: tags of an existing object, the contents of a small document in the
 * body, and the encryption of a multipart upload, which requests for its parts do not repeat. They are read only if a
 * policy needs them; the decision is then made again.
 * Source  "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference.
 */
import type { ConditionKey, RequestContext, SignatureForm, SignatureVersion } from "@hayloft/access/index.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { ShownEncryption, VersionLock } from "@hayloft/objects/contract.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { encryptionFields } from "../encryption.js"
import { spelledValue } from "../headers.js"
import { parseCopySource } from "../wire/copy-source.js"
import { holdText, lockInHeaders, untilText } from "../wire/object-lock.js"
import { RequestQuery } from "../wire/query.js"
import { parseTagHeader } from "../wire/tags.js"
import type { Tags } from "@hayloft/base/tags.js"

/** The contents of a request before its body. */
export interface S3RequestHead {
  readonly operation: string
  /** The request addresses the bucket: only such requests list by prefix. */
  readonly isOfBucket: boolean
  readonly query: RequestQuery
  /** For a form, its fields. */
  readonly headers: Headers
  readonly userAgent: string | undefined
  readonly referer: string | undefined
  /** A form's tags; undefined: the header may have some. */
  readonly formTags: Tags | undefined
  /** The place where the signature is; undefined if the request is not signed. */
  readonly form: SignatureForm | undefined
  readonly signatureVersion: SignatureVersion | undefined
  /** The time is undefined if the request does not contain it. */
  readonly signedMs: number | undefined
  readonly nowMs: number
  readonly remoteAddress: string
  /** `1.3`; undefined without TLS. */
  readonly tlsVersion: string | undefined
  readonly region: string
}

/** The contents of a small document in the body. */
export interface BodyContent {
  readonly objectTags?: Tags
  readonly bucketTags?: Tags
  readonly location?: string
  readonly lock?: VersionLock
}

/** Values that must be read first. */
export type Unread = "existingTags" | "body" | "upload"

export interface Read {
  readonly existingTags?: Tags
  readonly body?: BodyContent
  readonly upload?: { readonly encryption: ShownEncryption | undefined }
}

type Values = string | readonly string[] | undefined
type Maker = (head: S3RequestHead, versionId: string | undefined) => Values

const AUTH_TYPES = { header: "REST-HEADER", query: "REST-QUERY-STRING", form: "POST" } as const
const header =
  (name: string): Maker =>
  ({ headers }) =>
    headers.get(name)
function headerValue(headers: Headers, name: string): Values {
  const text = headers.get(name)
  return text === undefined ? undefined : spelledValue(name, text)
}

const listed =
  (name: string): Maker =>
  ({ isOfBucket, query }) => {
    const value = isOfBucket ? query.get(name) : undefined
    return value === undefined ? undefined : textOfObjectKey(value)
  }

/** The head of a listing that would show this key: policies must allow it before a caller learns that it is missing. */
export const headOfListing = (head: S3RequestHead, key: ObjectKey): S3RequestHead => ({
  ...head,
  isOfBucket: true,
  query: new RequestQuery([{ name: "prefix", value: key, assigned: true }]),
})

/** The value is "true" if the request makes an object visible, and "false" for other requests with the same action. */
const CREATES: ReadonlyMap<string, string> = new Map([
  ...["PutObject", "PostObject", "CopyObject", "AppendObject", "RenameObject", "CompleteMultipartUpload"].map(
    name => [name, "true"] as const,
  ),
  ...["CreateMultipartUpload", "UploadPart", "UploadPartCopy"].map(name => [name, "false"] as const),
])

export const makesObject = (operation: string): boolean => CREATES.has(operation)

const COPIES: ReadonlySet<string> = new Set(["CopyObject", "UploadPartCopy"])

/** Decoded and without a leading `/`, however it was written. A request that copies nothing has no source. */
function copySourceOf({ operation, headers }: S3RequestHead): Values {
  const text = COPIES.has(operation) ? headers.get("x-amz-copy-source") : undefined
  if (text === undefined) return undefined
  const { bucket, rawKey, versionId } = parseCopySource(text)
  return `${bucket}/${textOfObjectKey(rawKey)}${versionId === undefined ? "" : `?versionId=${versionId}`}`
}

const MAKERS: ReadonlyMap<string, Maker> = new Map<string, Maker>([
  ["aws:securetransport", ({ tlsVersion }) => String(tlsVersion !== undefined)],
  ["aws:sourceip", ({ remoteAddress }) => remoteAddress.replace(/^::ffff:(?=\d+\.)/i, "")],
  ["aws:useragent", ({ userAgent }) => userAgent],
  ["aws:referer", ({ referer }) => referer],
  ["aws:requestedregion", ({ region }) => region],
  ["s3:authtype", ({ form }) => form && AUTH_TYPES[form]],
  ["s3:signatureversion", ({ signatureVersion }) => signatureVersion],
  [
    "s3:signatureage",
    ({ signedMs, nowMs }) => (signedMs === undefined ? undefined : String(Math.max(0, nowMs - signedMs))),
  ],
  ["s3:prefix", listed("prefix")],
  ["s3:delimiter", listed("delimiter")],
  ["s3:max-keys", listed("max-keys")],
  ["s3:versionid", (_, versionId) => versionId],
  ["s3:tlsversion", ({ tlsVersion }) => tlsVersion],
  ["s3:if-match", header("if-match")],
  ["s3:if-none-match", header("if-none-match")],
  ["s3:objectcreationoperation", ({ operation }) => CREATES.get(operation)],
  ["s3:x-amz-copy-source", copySourceOf],
  [
    "s3:x-amz-content-sha256",
    ({ headers, form }) => headers.get("x-amz-content-sha256") ?? (form === "query" ? "UNSIGNED-PAYLOAD" : undefined),
  ],
])

/** Tags that the head of a request would give an object. Throws `invalidTag`. */
function tagsOfHead({ operation, headers, formTags }: S3RequestHead): Tags | undefined {
  if (formTags !== undefined) return formTags
  const areCopied = operation === "CopyObject" && headers.get("x-amz-tagging-directive")?.toUpperCase() !== "REPLACE"
  const text = headers.get("x-amz-tagging")
  return text === undefined || areCopied ? undefined : parseTagHeader(text)
}

const valueIn = (tags: Tags | undefined, key = ""): Values => tags?.find(([name]) => name === key)?.[1]
const namesIn = (tags: Tags | undefined): Values => tags?.map(([name]) => name)

const LOCKS: ReadonlySet<string> = new Set(["PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"])

/** The lock that the head of a request asks for. Throws `invalidArgument`. */
const lockOfHead = ({ operation, headers }: S3RequestHead): VersionLock | undefined =>
  LOCKS.has(operation) ? lockInHeaders(headers) : undefined

/**
 * Requests that name an upload: S3 refuses headers there that state how it is encrypted, except for the client's key, so a
 * policy that requires encryption must see that of the upload.
 */
const OF_UPLOADS: ReadonlySet<string> = new Set(["UploadPart", "UploadPartCopy", "CompleteMultipartUpload"])
const STATED_BY_UPLOADS: ReadonlySet<string> = new Set([
  "s3:x-amz-server-side-encryption",
  "s3:x-amz-server-side-encryption-aws-kms-key-id",
])
const NO_HEADERS: Headers = new Map()

const DAY_MS = 86_400_000

/** Values about a lock. A day that has begun counts whole, so that "10 days from now" are 10 when it arrives. */
function lockValue(name: string, { retention, legalHold }: VersionLock, nowMs: number): Values {
  switch (name) {
    case "s3:object-lock-legal-hold":
      return legalHold === undefined ? undefined : holdText(legalHold)
    case "s3:object-lock-mode":
      return retention?.mode
    case "s3:object-lock-retain-until-date":
      return retention && untilText(retention)
    case "s3:object-lock-remaining-retention-days":
      return retention && String(Math.ceil((retention.untilMs - nowMs) / DAY_MS))
  }
  return undefined
}

export class ConditionValues implements RequestContext {
  /** Values that were needed but not read yet. */
  unread: Set<Unread> | undefined
  private tagsOfHead: { readonly tags: Tags | undefined } | undefined

  constructor(
    private readonly head: () => S3RequestHead,
    private readonly versionId: string | undefined,
    private readonly read: Read,
  ) {}

  /** Throws the fault of the request: `invalidTag`, `invalidArgument`. */
  valuesOf({ name, suffix }: ConditionKey): Values {
    switch (name) {
      case "s3:existingobjecttag":
        if (this.read.existingTags === undefined) this.markUnread("existingTags")
        return valueIn(this.read.existingTags, suffix)
      case "s3:requestobjecttag":
        return valueIn(this.newTags(), suffix)
      case "s3:requestobjecttagkeys":
        return namesIn(this.newTags())
      case "aws:requesttag":
        return valueIn(this.body().bucketTags, suffix)
      case "aws:tagkeys":
        return namesIn(this.body().bucketTags)
      case "s3:locationconstraint":
        return this.body().location
    }
    if (name.startsWith("s3:object-lock-")) {
      const lock = this.body().lock ?? lockOfHead(this.head())
      return lock && lockValue(name, lock, this.head().nowMs)
    }
    if (STATED_BY_UPLOADS.has(name) && OF_UPLOADS.has(this.head().operation)) return this.ofUpload(name)
    const maker = MAKERS.get(name)
    if (maker !== undefined) return maker(this.head(), this.versionId)
    return name.startsWith("s3:x-amz-") ? headerValue(this.head().headers, name.slice("s3:".length)) : undefined
  }

  /** Parsed once, however many conditions use it. */
  private newTags(): Tags | undefined {
    return this.body().objectTags ?? (this.tagsOfHead ??= { tags: tagsOfHead(this.head()) }).tags
  }

  private ofUpload(name: string): Values {
    if (this.read.upload === undefined) this.markUnread("upload")
    const fields = encryptionFields(this.read.upload?.encryption, NO_HEADERS)
    return fields.find(([field]) => `s3:${field}` === name)?.[1]
  }

  private markUnread(what: Unread): void {
    this.unread ??= new Set()
    this.unread.add(what)
  }

  private body(): BodyContent {
    if (this.read.body === undefined) this.markUnread("body")
    return this.read.body ?? {}
  }
}
