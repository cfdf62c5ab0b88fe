/**
 * A call: one request after it has been routed, authenticated and authorised, in the form that operations use;
 * and the answer that they return. Operations never touch sockets.
 */
import type { Account, Keyring } from "@hayloft/access/contract.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketName, ObjectKey } from "@hayloft/base/ids.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import { HeaderLines, type Exchange } from "../http/index.js"
import type { S3Keys } from "@hayloft/access/keys/index.js"
import type { Polls, Watcher } from "@hayloft/base/life/index.js"
import type { Bucket, ObjectBody, ObjectServices } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { isBucketUnchanged, type Days } from "@hayloft/objects/index.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { AccessControl } from "./acl/access-control.js"
import type { S3Caller } from "./caller.js"
import { ExchangeBody, S3RequestBody, type CallBody, type WireBody } from "./body.js"
import type { ContentLines } from "./content-lines.js"
import type { S3Error } from "./failures.js"
import type { EncryptionHeaders } from "./encryption.js"
import type { AttributeReader } from "./parse-content.js"
import type { RequestMoment } from "./request-moment.js"
import { Permissions } from "./rights/permissions.js"
import type { PermissionsContext, PermissionsRequest } from "./rights/permissions.js"
import type { BodyContent, S3RequestHead } from "./rights/condition-values-core.js"
import type { Appends } from "@hayloft/features/appends/index.js"
import type { ReadOutcome, RemoteBuckets } from "@hayloft/features/remote-buckets/index.js"
import type { AcceptedClasses, Archives } from "@hayloft/features/storage-classes/index.js"
import type { Transactions } from "@hayloft/features/transactions/index.js"
import type { ObjectTransforms } from "@hayloft/features/transforms/index.js"
import type { BucketSettings } from "./settings/bucket-settings.js"
import type { NewBuckets } from "./settings/new-bucket.js"
import type { RequestQuery } from "./wire/query.js"
import type { S3Target } from "./wire/target.js"
import { xmlDocument } from "./wire/xml-writer.js"
import type { XmlWriter } from "./wire/xml-writer.js"
import type { Tags } from "@hayloft/base/tags.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** The services behind requests: those of objects, and of features that have operations here. */
export interface S3Services extends ObjectServices {
  readonly appends: Appends
  readonly transactions: Transactions
  readonly classes: AcceptedClasses
  readonly archives: Archives
}

/** Shared by all requests. */
export interface CallContext extends PermissionsContext {
  readonly services: S3Services
  readonly bucketSettings: BucketSettings
  readonly accounts: Keyring
  readonly newBuckets: NewBuckets
  /** The region reported to clients. */
  readonly region: string
  /** The region that the operator configured; undefined accepts any. */
  readonly configuredRegion: string | undefined
  /** The path that clients send before the bucket. */
  readonly pathPrefix: string
  readonly clock: Clock
  readonly random: Random
  /** How lifecycle rules count days. */
  readonly lifecycleDays: Days
  /** Digests of small documents. */
  readonly hash: Compute["hash"]
  readonly attributes: AttributeReader
  readonly encryption: EncryptionHeaders
  /** It is undefined in a store without named keys. */
  readonly kms: S3Keys | undefined
  /** Keys of clients are accepted without TLS too: a proxy in front of the server has it. */
  readonly allowSseCWithoutTls: boolean
  readonly contentLines: ContentLines
  /** It is undefined if transforms are switched off. */
  readonly transforms: ObjectTransforms | undefined
  /** It is undefined if remote buckets are switched off. */
  readonly remotes: RemoteBuckets | undefined
  readonly polls: Polls
}

/** The contents of a request, once its caller and its target are known. */
interface CallParts {
  readonly exchange: Exchange
  readonly operation: { readonly name: string; readonly readBody: (body: CallBody) => Promise<BodyContent> }
  readonly target: S3Target
  readonly query: RequestQuery
  /** For a form, its fields. */
  readonly headers: RequestHeaders
  readonly signer: S3Caller
  /** A form's file; undefined: the body of the exchange. */
  readonly file: WireBody | undefined
  /** A form's tags; undefined: the header may have some. */
  readonly formTags: Tags | undefined
  /** The wall clock when the request arrived. */
  readonly nowMs: number
  /** The request has not waited for anything yet. */
  readonly request: { readonly isWithinTurn: boolean }
}

export class S3Call implements PermissionsRequest {
  readonly services: S3Services
  readonly bucketSettings: BucketSettings
  readonly accessControl: AccessControl
  readonly newBuckets: NewBuckets
  readonly region: string
  readonly configuredRegion: string | undefined
  readonly query: RequestQuery
  readonly headers: RequestHeaders
  readonly signer: S3Caller
  readonly nowMs: number
  /** Permissions of the caller beyond the required actions in the table. */
  readonly permissions: Permissions
  /** Set once the caller has been admitted to the bucket. */
  bucket: Bucket | undefined
  owner: Account | undefined
  key: ObjectKey | undefined
  account: Account | undefined
  bucketName: BucketName | undefined
  tags: Tags | undefined
  success: FormSuccess | undefined
  /** Headers of a successful answer about who pays. */
  charged: readonly HeaderField[] = []
  /** The moment that the request reads; undefined if it reads the present. */
  moment: RequestMoment | undefined
  /** The place where a read of a remote bucket found the object. */
  remoteOutcome: ReadOutcome | undefined
  /** Time in which the request waited for something to change. */
  polledMs = 0
  private sources: SourceOpener | undefined
  private madeHead: S3RequestHead | undefined
  private madeBody: CallBody | undefined
  private exchangeBody: ExchangeBody | undefined

  constructor(
    readonly context: CallContext,
    private readonly parts: CallParts,
  ) {
    this.services = context.services
    this.bucketSettings = context.bucketSettings
    this.accessControl = context.accessControl
    this.newBuckets = context.newBuckets
    this.region = context.region
    this.configuredRegion = context.configuredRegion
    this.query = parts.query
    this.headers = parts.headers
    this.signer = parts.signer
    this.nowMs = parts.nowMs
    this.permissions = new Permissions(context, this)
  }

  /** The principals that policies may name. */
  get principals(): Pick<Keyring, "pinPrincipals" | "showPrincipals"> {
    return this.context.accounts
  }

  get name(): string {
    return this.parts.operation.name
  }

  /** Returns undefined for anonymous callers. */
  get caller(): Account | undefined {
    return this.signer.account
  }

  /** Created on first use: most requests have none. */
  get body(): CallBody {
    const { exchange, file } = this.parts
    const { clock, hash } = this.context
    if (this.madeBody !== undefined) return this.madeBody
    const wire = file ?? (this.exchangeBody = new ExchangeBody(exchange, clock))
    return (this.madeBody = new S3RequestBody(wire, this.headers, this.signer.request, hash, exchange))
  }

  /** Time spent waiting for the body. */
  get bodyWaitedMs(): number {
    return this.exchangeBody?.waitedMs ?? 0
  }

  /** Returns true if the answer may borrow memory: it must be sent within the turn in which the request arrived. */
  get mayBorrow(): boolean {
    return this.parts.request.isWithinTurn && !this.permissions.hasReadObjects
  }

  get requestId(): string {
    return this.parts.exchange.requestId
  }

  get remoteAddress(): string {
    return this.parts.exchange.remoteAddress
  }

  /** The path as sent and signed, percent-encoded. */
  get rawPath(): string {
    return `${this.context.pathPrefix}${this.parts.target.rawPath}`
  }

  /** Returns true if the request came over TLS. */
  get isSecure(): boolean {
    return this.parts.exchange.tlsVersion !== undefined
  }

  /** `http://host[:port]` as the client addressed it, for `Location`. */
  get origin(): string {
    return `${this.isSecure ? "https" : "http"}://${this.parts.exchange.headers.get("host") ?? ""}`
  }

  /** The client; its signal fires when the client disconnects, and is created on first use. */
  get client(): Pick<Exchange, "signal" | "trace"> {
    return this.parts.exchange
  }

  get head(): S3RequestHead {
    return (this.madeHead ??= headOf(this.parts, this.context.region))
  }

  readBody(): Promise<BodyContent> {
    return this.parts.operation.readBody(this.body)
  }

  /** Resolves when this request may occupy the thread for milliseconds, one in each turn. Throws `tooManyInFlight`. */
  turn(): Promise<void> {
    return this.parts.exchange.turn()
  }

  /** See `Until`. */
  async until<T>(watcher: Watcher, seconds: number, look: () => Promise<T | undefined>): Promise<T | undefined> {
    const { clock, polls } = this.context
    const sinceMs = clock.monotonicMs()
    try {
      const isStillAllowed = () => this.isStillAllowed()
      return await polls.until(this.parts.exchange, { watcher, seconds, isStillAllowed }, look)
    } finally {
      this.polledMs += clock.monotonicMs() - sinceMs
    }
  }

  private async isStillAllowed(): Promise<boolean> {
    const { signer, bucket, services } = this
    const isCallerStill = (await signer.isStillAllowed?.(this.context.clock.wallMs())) ?? true
    return isCallerStill && (bucket === undefined || isBucketUnchanged(services.buckets, bucket))
  }

  asAccountCall(account: Account): asserts this is AccountCall {
    this.account = account
  }

  asNewBucketCall(account: Account, name: BucketName): asserts this is NewBucketCall {
    this.account = account
    this.bucketName = name
  }

  asBucketCall(bucket: Bucket, owner: Account, sources = this.sources): asserts this is BucketCall {
    this.bucket = bucket
    this.owner = owner
    this.sources = sources
  }

  /** The source bucket of a copy. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`. */
  openSource(name: string): Promise<Bucket> {
    if (this.sources === undefined) throw fail("internal", { reason: "a copy is made in no bucket" })
    return this.sources.openSource(this, name)
  }

  /** Opens a bucket of a request that this one includes, for that request. Throws as `openSource`. */
  openIncluded(name: string): Promise<{ readonly bucket: Bucket; readonly owner: Account }> {
    if (this.sources === undefined) throw fail("internal", { reason: "a request includes no others" })
    return this.sources.openIncluded(this, name)
  }

  /** A request that this one includes, with a bucket, a key, headers and a query of its own. */
  including(included: Pick<CallParts, "operation" | "query" | "headers"> & { readonly rawKey: string }): S3Call {
    const { rawKey, ...own } = included
    const call = new S3Call(this.context, { ...this.parts, ...own, target: { ...this.parts.target, rawKey } })
    call.sources = this.sources
    return call
  }

  /** Counts the request in its bucket, once the caller may make it. */
  countInBucket(): void {
    if (this.bucket !== undefined) this.sources?.countIn(this.bucket, this.parts.exchange)
  }

  /** The request includes others, which have buckets of their own. */
  asIncludingCall(sources: SourceOpener): void {
    this.sources = sources
  }

  /** The same request, for showing the bucket as it is now. */
  reading(bucket: Bucket, owner: Account): BucketCall {
    const call: S3Call = new S3Call(this.context, this.parts)
    call.asBucketCall(bucket, owner, undefined)
    return call
  }

  asObjectCall(key: ObjectKey): asserts this is ObjectCall {
    this.key = key
  }

  asFormCall(key: ObjectKey, tags: Tags, success: FormSuccess): asserts this is FormCall {
    this.key = key
    this.tags = tags
    this.success = success
  }
}

/** The values of a request that policies may refer to. */
function headOf(
  { exchange, operation, target, query, headers, signer, formTags, nowMs }: CallParts,
  region: string,
): S3RequestHead {
  const { remoteAddress, tlsVersion } = exchange
  const { form, version: signatureVersion, signedMs } = signer.request
  return {
    operation: operation.name,
    isOfBucket: target.rawKey === undefined,
    query,
    nowMs,
    remoteAddress,
    tlsVersion,
    headers,
    userAgent: exchange.header("user-agent"),
    referer: exchange.header("referer"),
    formTags,
    form: signer.account === undefined ? undefined : form,
    signatureVersion,
    signedMs,
    region,
  }
}

/** A caller with an account. */
export type AccountCall = S3Call & { readonly account: Account }

export type NewBucketCall = AccountCall & { readonly bucketName: BucketName }

/** The bucket exists, and the caller has been admitted. */
export type BucketCall = S3Call & {
  readonly bucket: Bucket
  /** The bucket's owner. */
  readonly owner: Account
}

/** Opens buckets that a request names beside its own: sources of copies, which may belong to another account, and others. */
interface SourceOpener {
  openSource(call: S3Call, name: string): Promise<Bucket>
  openIncluded(call: S3Call, name: string): Promise<{ readonly bucket: Bucket; readonly owner: Account }>
  countIn(bucket: Bucket, exchange: Pick<Exchange, "countIn">): void
}

export type ObjectCall = BucketCall & { readonly key: ObjectKey }

/** A form that its policy allows: its fields are the headers, its file is the body. */
export type FormCall = ObjectCall & { readonly tags: Tags; readonly success: FormSuccess }

/** The answer to a stored form. */
export interface FormSuccess {
  readonly status: 200 | 201 | 204
  /** The address to which the browser is redirected instead. */
  readonly redirect: string | undefined
}

type AnswerBody =
  | { readonly kind: "none" }
  /** The body that a HEAD omits. */
  | { readonly kind: "omitted"; readonly lengthBytes: number | undefined }
  /** An XML document, unless it has its own type. */
  | { readonly kind: "document"; readonly bytes: Uint8Array; readonly type?: string }
  /** Without a length, the body ends where it ends. */
  | { readonly kind: "object"; readonly body: ObjectBody; readonly lengthBytes: number | undefined }
  /** An error without a failure kind; its status applies. */
  | { readonly kind: "error"; readonly error: S3Error }

export interface S3Answer {
  readonly status: number
  readonly headers: HeaderLines
  readonly body: AnswerBody
}

export const XML_TYPE = "application/xml"

/** Values are byte strings: one character for each byte. */
export const linesOfFields = (fields: readonly HeaderField[]): HeaderLines => HeaderLines.of(fields.flat())

export const answerEmpty = (status: number, fields: readonly HeaderField[] = []): S3Answer => ({
  status,
  headers: linesOfFields(fields),
  body: { kind: "none" },
})

export const answerXml = (
  root: string,
  content: (xml: XmlWriter) => void,
  fields: readonly HeaderField[] = [],
): S3Answer => ({
  status: 200,
  headers: linesOfFields(fields),
  body: { kind: "document", bytes: xmlDocument(root, content) },
})

export const answerError = (error: S3Error): S3Answer => ({
  status: error.status,
  headers: linesOfFields([]),
  body: { kind: "error", error },
})
