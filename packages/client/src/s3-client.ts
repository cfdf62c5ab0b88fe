/**
 * A small S3 client for the commands on objects, the bench and the checks of the documents, against any store.
 *
 * Promises  Path style, Signature V4 for every request but that for the time, `Content-MD5` for every body of bytes and
 *           every stream whose MD5 is known, so that the stored bytes are the sent ones. Repeatable requests are retried
 *           after 500, 503 and broken connections, with `ATTEMPTS_MAX` attempts in total; each opens a streamed body
 *           again. A conditional write is not sent again after a broken connection: it may have succeeded, and would then
 *           contradict itself.
 * Failures  `RemoteFailure` with the store's own code, `Unreachable`, `BrokenAnswer`; an interrupted request fails with
 *           an `AbortError`, and one whose streamed body fails, with that body's error.
 * Keys      are text; their UTF-8 is percent-encoded byte for byte.
 */
import { createHash } from "node:crypto"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { onAbort } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { timeOf } from "./answer-time.js"
import { HttpCaller, type ServerAnswer } from "./http-caller.js"
import type { LeastRate } from "./least-rate.js"
import { BrokenAnswer, RemoteFailure, Unreachable } from "./remote.js"
import {
  completedEtag,
  etagOf,
  failureOf,
  headOf,
  listedPageOf,
  remoteFailure,
  bucketPageOf,
  versionPageOf,
  writtenEtag,
  type BucketEntry,
  type BucketPage,
  type KeyPage,
  type ListedKey,
  type ListedVersion,
  type ObjectHead,
  type VersionPage,
} from "./s3-answers.js"
import { transactionResults, type TransactionEntry, type TransactionResult } from "./transactions.js"
import { presignedUrl, signedCall, type S3Access, type OutgoingRequest } from "./signed-call.js"
import { isStreamed, SourceFailure, type StreamedBody } from "./streamed-body.js"
import { childrenNamed, type XmlElement } from "@hayloft/base/text/xml-reader.js"
import { S3_NAMESPACE, XmlWriter } from "@hayloft/base/text/xml-writer.js"
import { readXml, textOfChild } from "./xml-reader.js"
import { byteStringOfText } from "@hayloft/base/ids.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"
import { allPages } from "./all-pages.js"

export type { ListedKey, ListedVersion, ObjectHead } from "./s3-answers.js"

const ATTEMPTS_MAX = 4
const BACK_OFF_MS = 200

/** S3's limit for one `DeleteObjects`. */
export const DELETE_KEYS_MAX = 1000

export interface ObjectName {
  readonly bucket: string
  readonly key: string
}

/** The settings of a bucket that are one document each. */
export type BucketDocumentName =
  | "versioning"
  | "object-lock"
  | "tagging"
  | "cors"
  | "encryption"
  | "website"
  | "policy"
  | "lifecycle"
  | "transforms"
  | "remote"

interface Request extends OutgoingRequest {
  readonly body?: Uint8Array | StreamedBody
  /** Instead of the client's own. */
  readonly signal?: AbortSignal
  /** Ends this request as well. */
  readonly also?: AbortSignal | undefined
  /** False: once sent, it may have succeeded, and would contradict itself. */
  readonly isRepeatable?: boolean
}

interface Interruptible {
  /** Ends this request; the client's own signal does so, too. */
  readonly signal?: AbortSignal | undefined
}

interface RemoveOptions extends Interruptible {
  /** Only the object with this ETag is removed, or `*` for any; otherwise it fails with 412. */
  readonly ifMatch?: string | undefined
  readonly headers?: HeaderFields
  /** False: in a bucket with versions a second attempt would leave a second delete marker. */
  readonly isRepeatable?: boolean
}

interface ClientOptions {
  readonly attemptsMax?: number
  /** Before the second attempt; doubles with each further one. */
  readonly backOffMs?: number
  readonly md5?: boolean
  readonly connectionsMax?: number
  /** A connection without a byte in either direction ends after this. */
  readonly silenceMs?: number
  /** Objects and listings are read as they were then: a time with its time zone. */
  readonly readTimestamp?: string | undefined
  /** A connection that is not established within it fails; by default only silence ends it. */
  readonly connectMs?: number
  /** The headers of a response must be there within this time after the request was sent. */
  readonly headMs?: number
  /** Objects and listings that come more slowly, after `graceMs` of waiting, fail. */
  readonly rate?: Omit<LeastRate, "clock">
  /** Sent with every request. */
  readonly headers?: HeaderFields
}

const TRANSFORM = "x-transform"

interface ReadOptions extends Interruptible {
  /** Like `0-99`, `100-` or `-100`. */
  readonly range?: string | undefined
  readonly versionId?: string | undefined
  /** Only the object with this ETag, without quotes, or `*` for any; another one fails with 412. */
  readonly ifMatch?: string | undefined
  /** A pipeline. */
  readonly transform?: string | undefined
}

export class S3Client {
  readonly #caller: HttpCaller
  readonly #host: string

  constructor(
    private readonly access: S3Access,
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
    private readonly options: ClientOptions = {},
    caller?: HttpCaller,
  ) {
    const url = new URL(access.endpoint)
    const { connectionsMax, silenceMs, connectMs, headMs, rate } = options
    const within = (ms: number | undefined) => (ms === undefined ? undefined : { withinMs: ms, clock })
    const limits = { silenceMs, connect: within(connectMs), head: within(headMs), rate: rate && { ...rate, clock } }
    this.#caller = caller ?? new HttpCaller(url, connectionsMax, access.trust, limits)
    this.#host = url.host
  }

  /** This client, over the same connections, that sends these headers with every request. */
  withHeaders(headers: HeaderFields): S3Client {
    return new S3Client(this.access, this.clock, this.signal, { ...this.options, headers }, this.#caller)
  }

  close(): void {
    this.#caller.close()
  }

  /** A URL with which anyone may send this request until it expires. */
  presign(method: string, { bucket, key }: ObjectName, expiresSeconds: number, transform?: string): string {
    const query: HeaderFields = transform === undefined ? [] : [[TRANSFORM, transform]]
    return presignedUrl(this.access, { method, bucket, key, query }, expiresSeconds, this.clock.wallMs())
  }

  /** The store's clock, to the second, from the response to an unsigned request. Throws `BrokenAnswer`. */
  async nowMs(): Promise<number> {
    const { signal } = this
    const rawHeaders = ["host", this.#host]
    const answer = await this.#caller.call({ method: "HEAD", rawTarget: "/", rawHeaders, body: undefined, signal })
    await answer.document()
    return timeOf(answer)
  }

  get #moment(): HeaderFields {
    const { readTimestamp } = this.options
    return readTimestamp === undefined ? [] : [["readTimestamp", readTimestamp]]
  }

  async listBuckets(): Promise<readonly BucketEntry[]> {
    const buckets: BucketEntry[] = []
    const pages = allPages<string, BucketPage>(
      async token => {
        const query: HeaderFields = token === undefined ? [] : [["continuation-token", token]]
        return bucketPageOf(await this.#document({ method: "GET", query }))
      },
      page => page.buckets.at(-1)?.name,
    )
    for await (const page of pages) buckets.push(...page.buckets)
    return buckets
  }

  /** Throws `RemoteFailure` 404 if it does not exist. */
  async headBucket(bucket: string): Promise<void> {
    await this.#drained({ method: "HEAD", bucket })
  }

  async createBucket(bucket: string, { hasLock = false }: { readonly hasLock?: boolean } = {}): Promise<void> {
    const headers: HeaderFields = hasLock ? [["x-amz-bucket-object-lock-enabled", "true"]] : []
    await this.#drained({ method: "PUT", bucket, headers })
  }

  /** The document of a setting, as the store returns it. Throws `RemoteFailure`, also if the bucket does not have it. */
  async getSetting(bucket: string, setting: BucketDocumentName): Promise<string> {
    const answer = await this.#answer({ method: "GET", bucket, query: [[setting, ""]] })
    return (await answer.document()).toString("utf8")
  }

  async putSetting(bucket: string, setting: BucketDocumentName, document: string): Promise<void> {
    await this.#drained({ method: "PUT", bucket, query: [[setting, ""]], body: Buffer.from(document, "utf8") })
  }

  async removeSetting(bucket: string, setting: BucketDocumentName): Promise<void> {
    await this.#drained({ method: "DELETE", bucket, query: [[setting, ""]] })
  }

  async removeBucket(bucket: string): Promise<void> {
    await this.#drained({ method: "DELETE", bucket })
  }

  async put({
    signal,
    ...object
  }: ObjectName &
    Interruptible & { readonly body: Uint8Array | StreamedBody; readonly headers?: HeaderFields }): Promise<{
    etag: string
  }> {
    const answer = await this.#drained({ method: "PUT", ...object, also: signal })
    return { etag: etagOf(answer.headers.etag) }
  }

  /** With `partNumber` the size is that of the part. */
  async head(
    bucket: string,
    key: string,
    {
      versionId,
      partNumber,
      signal,
    }: Interruptible & { readonly versionId?: string | undefined; readonly partNumber?: number } = {},
  ): Promise<ObjectHead> {
    const query: HeaderFields = [
      ...this.#moment,
      ...(versionId === undefined ? [] : [["versionId", versionId] as const]),
      ...(partNumber === undefined ? [] : [["partNumber", String(partNumber)] as const]),
    ]
    return headOf(await this.#drained({ method: "HEAD", bucket, key, query, also: signal }))
  }

  /** The body must be read to its end or left by `break`. */
  async get(
    bucket: string,
    key: string,
    { range, versionId, ifMatch, transform, signal }: ReadOptions = {},
  ): Promise<{ head: ObjectHead; body: AsyncIterable<Uint8Array> }> {
    const headers: HeaderFields = [
      ...(range === undefined ? [] : [["range", `bytes=${range}`] as const]),
      ...(ifMatch === undefined ? [] : [["if-match", conditionOf(ifMatch)] as const]),
    ]
    const query: HeaderFields = [
      ...this.#moment,
      ...(versionId === undefined ? [] : [["versionId", versionId] as const]),
      ...(transform === undefined ? [] : [[TRANSFORM, transform] as const]),
    ]
    const answer = await this.#answer({ method: "GET", bucket, key, query, headers, also: signal })
    return { head: headOf(answer), body: answer.body }
  }

  /**
   * Returns what an object has from this offset on, once it has anything; undefined: it had nothing for 20 seconds.
   * `stream`: the stream of the object, as an earlier answer named it; another object fails with 412.
   */
  async follow(
    { bucket, key }: ObjectName,
    offset: number,
    stream: string | undefined,
  ): Promise<{ stream: string | undefined; body: AsyncIterable<Uint8Array> } | undefined> {
    const asked: HeaderFields = stream === undefined ? [] : [["stream", stream]]
    const query: HeaderFields = [["follow", ""], ["offset", String(offset)], ...asked]
    const answer = await this.#answer({ method: "GET", bucket, key, query })
    if (answer.status === 204) {
      await answer.document()
      return undefined
    }
    const { "content-range": range = "", "x-hayloft-append-stream": named } = answer.headers
    if (answer.status !== 206 || !range.startsWith(`bytes ${offset}-`))
      throw new BrokenAnswer("the store does not know how to follow an object")
    return { stream: typeof named === "string" ? named : undefined, body: answer.body }
  }

  async getTags(bucket: string, key: string, versionId?: string): Promise<HeaderFields> {
    const version: HeaderFields = versionId === undefined ? [] : [["versionId", versionId]]
    const root = await this.#document({ method: "GET", bucket, key, query: [["tagging", ""], ...version] })
    return childrenNamed(root, "TagSet")
      .flatMap(all => childrenNamed(all, "Tag"))
      .map(tag => [textOfChild(tag, "Key") ?? "", textOfChild(tag, "Value") ?? ""])
  }

  async remove(
    bucket: string,
    key: string,
    { ifMatch, signal, headers = [], isRepeatable = true }: RemoveOptions = {},
  ): Promise<void> {
    const conditions: HeaderFields = ifMatch === undefined ? [] : [["if-match", conditionOf(ifMatch)]]
    const all = [...headers, ...conditions]
    await this.#drained({ method: "DELETE", bucket, key, headers: all, also: signal, isRepeatable })
  }

  /**
   * Copies an object within the store: the one with the ETag `ifMatch`; another one fails with 412. `attributes` replace
   * those of the source.
   */
  async copy(from: ObjectName, ifMatch: string, to: ObjectName, attributes?: HeaderFields): Promise<{ etag: string }> {
    const replaced: HeaderFields =
      attributes === undefined ? [] : [...attributes, ["x-amz-metadata-directive", "REPLACE"]]
    const headers = [...copySourceOf(from, ifMatch), ...replaced]
    return { etag: writtenEtag(await this.#document({ method: "PUT", ...to, headers })) }
  }

  /**
   * Gives an object another key, if its ETag is `ifMatch`; only Hayloft takes one of another bucket. `clientToken` makes the
   * request repeatable: a store that has done it answers again as before.
   */
  async rename(from: ObjectName, ifMatch: string, to: ObjectName, clientToken: string): Promise<void> {
    const headers: HeaderFields = [
      ["x-amz-rename-source", encodedName(from)],
      ["x-amz-rename-source-if-match", `"${ifMatch}"`],
      ["x-amz-client-token", clientToken],
    ]
    await this.#drained({ method: "PUT", ...to, query: [["renameObject", ""]], headers })
  }

  /**
   * Does all operations, or none: completions of uploads, deletions, renames and checks of keys in any buckets. `token` makes the
   * request repeatable: a store that has done it answers again as before. Without one it is not sent again after a failure
   * that leaves open what has happened. Only Hayloft has transactions.
   */
  async transaction(
    operations: readonly TransactionEntry[],
    { token, signal }: Interruptible & { readonly token?: string | undefined } = {},
  ): Promise<readonly TransactionResult[]> {
    const body = Buffer.from(JSON.stringify({ ...(token !== undefined && { token }), operations }))
    const isRepeatable = token !== undefined
    const query: HeaderFields = [["transaction", ""]]
    const answer = await this.#answer({ method: "POST", query, body, also: signal, isRepeatable })
    return transactionResults((await answer.document()).toString("utf8"))
  }

  /** Removes up to `DELETE_KEYS_MAX` keys. Throws `RemoteFailure` for the first that the store refused. */
  async removeMany(bucket: string, keys: readonly string[]): Promise<void> {
    const body = documentIn("Delete", xml => {
      xml.text("Quiet", true)
      for (const key of keys) xml.group("Object", object => object.text("Key", key))
    })
    const root = await this.#document({ method: "POST", bucket, query: [["delete", ""]], body })
    const [error] = childrenNamed(root, "Error")
    if (error !== undefined) throw remoteFailure(200, error, undefined)
  }

  async list(
    bucket: string,
    request: Interruptible & {
      prefix: string
      delimiter: string
      token?: string | undefined
      max?: number
      after?: string
    },
  ): Promise<KeyPage> {
    const query: (readonly [string, string])[] = [
      ["list-type", "2"],
      ...this.#moment,
      ["encoding-type", "url"],
      ["prefix", request.prefix],
      ["delimiter", request.delimiter],
      ["max-keys", String(request.max ?? 1000)],
    ]
    if (request.token !== undefined) query.push(["continuation-token", request.token])
    if (request.after !== undefined) query.push(["start-after", request.after])
    return listedPageOf(await this.#document({ method: "GET", bucket, query, also: request.signal }))
  }

  /** All pages of a listing. */
  pages(bucket: string, prefix: string, delimiter: string): AsyncGenerator<KeyPage> {
    return allPages<string, KeyPage>(
      token => this.list(bucket, { prefix, delimiter, token }),
      ({ keys, prefixes }) =>
        keys.length + prefixes.length === 0 ? undefined : `${keys.at(-1)?.key} ${prefixes.at(-1)}`,
    )
  }

  /** All keys with a prefix, page by page. */
  async *keys(bucket: string, prefix: string): AsyncGenerator<ListedKey> {
    for await (const page of this.pages(bucket, prefix, "")) yield* page.keys
  }

  /** All versions and delete markers with a prefix: by key, and of a key the newest first. */
  async *versions(bucket: string, prefix: string): AsyncGenerator<ListedVersion> {
    const pages = allPages<HeaderFields, VersionPage>(
      async (from = []) => {
        const query: HeaderFields = [["versions", ""], ["encoding-type", "url"], ["prefix", prefix], ...from]
        return versionPageOf(await this.#document({ method: "GET", bucket, query }))
      },
      ({ versions }) => {
        const last = versions.at(-1)
        return last && `${last.key} ${last.versionId}`
      },
    )
    for await (const page of pages) yield* page.versions
  }

  /** Not interruptible, unless it is given a signal: an upload with an unknown id could not be aborted. */
  async createMultipart({ bucket, key }: ObjectName, headers: HeaderFields = [], also?: AbortSignal): Promise<string> {
    const signal = also === undefined ? new AbortController().signal : this.signal
    const root = await this.#document({ method: "POST", bucket, key, query: [["uploads", ""]], headers, signal, also })
    const id = textOfChild(root, "UploadId")
    if (id === undefined || id === "") throw new BrokenAnswer("the store returned no upload id")
    return id
  }

  async putPart({
    bucket,
    key,
    body,
    signal,
    ...part
  }: ObjectName &
    Interruptible & {
      readonly uploadId: string
      readonly partNumber: number
      readonly body: Uint8Array | StreamedBody
    }): Promise<string> {
    const query: [string, string][] = [
      ["partNumber", String(part.partNumber)],
      ["uploadId", part.uploadId],
    ]
    const answer = await this.#drained({ method: "PUT", bucket, key, query, body, also: signal })
    return etagOf(answer.headers.etag)
  }

  /** A part with bytes of another object, of the one with the ETag `ifMatch`; `last` is inclusive. */
  async putPartCopy(
    { uploadId, partNumber, ...to }: ObjectName & { readonly uploadId: string; readonly partNumber: number },
    from: ObjectName,
    ifMatch: string,
    { first, last }: { readonly first: number; readonly last: number },
  ): Promise<string> {
    const query: HeaderFields = [
      ["partNumber", String(partNumber)],
      ["uploadId", uploadId],
    ]
    const range = ["x-amz-copy-source-range", `bytes=${first}-${last}`] as const
    const headers = [...copySourceOf(from, ifMatch), range]
    return writtenEtag(await this.#document({ method: "PUT", ...to, query, headers }))
  }

  /** `headers`: conditions on the object that it replaces. */
  async complete(
    upload: ObjectName &
      Interruptible & { readonly uploadId: string; readonly etags: readonly string[]; readonly headers?: HeaderFields },
  ): Promise<{ etag: string }> {
    return this.#complete(
      upload,
      upload.etags.map(etag => part => part.etag(etag)),
    )
  }

  /** The object consists of the bytes of others of its bucket, which are not copied. Only Hayloft does this. */
  async join(to: ObjectName, keys: readonly string[], headers: HeaderFields): Promise<{ etag: string }> {
    const uploadId = await this.createMultipart(to, headers)
    const named = keys.map(key => encodedName({ bucket: to.bucket, key }))
    try {
      return await this.#complete(
        { ...to, uploadId },
        named.map(name => part => part.text("CopySource", name)),
      )
    } catch (error) {
      await this.abort({ ...to, uploadId }).catch(() => undefined)
      throw error
    }
  }

  async #complete(
    {
      bucket,
      key,
      uploadId,
      headers = [],
      signal,
    }: ObjectName & Interruptible & { readonly uploadId: string; readonly headers?: HeaderFields },
    parts: readonly ((part: XmlWriter) => void)[],
  ): Promise<{ etag: string }> {
    const body = documentIn("CompleteMultipartUpload", xml => {
      for (const [i, write] of parts.entries())
        xml.group("Part", part => {
          part.text("PartNumber", i + 1)
          write(part)
        })
    })
    const query = [["uploadId", uploadId]] as const
    const answer = await this.#answer({ method: "POST", bucket, key, query, headers, body, also: signal })
    return { etag: completedEtag(await documentOf(answer), answer) }
  }

  /** Sent even after the client's signal has fired: the parts of an abandoned upload would occupy space permanently. */
  async abort(upload: { bucket: string; key: string; uploadId: string }): Promise<void> {
    const { bucket, key } = upload
    const query = [["uploadId", upload.uploadId]] as const
    await this.#drained({ method: "DELETE", bucket, key, query, signal: new AbortController().signal })
  }

  async #drained(request: Request): Promise<ServerAnswer> {
    const answer = await this.#answer(request)
    await answer.document()
    return answer
  }

  async #document(request: Request): Promise<XmlElement> {
    return documentOf(await this.#answer(request))
  }

  /** Sends the request, with retries if they may help; throws for anything but success. */
  async #answer(request: Request): Promise<ServerAnswer> {
    const attemptsMax = this.options.attemptsMax ?? ATTEMPTS_MAX
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.#send(request)
        if (answer.status < 300) return answer
        throw await failureOf(answer, request)
      } catch (error) {
        if (error instanceof SourceFailure) throw error.reason
        if (attempt >= attemptsMax || !mayHelp(error, request) || this.signal.aborted || request.also?.aborted === true)
          throw error
        await this.#backOff(attempt, request.also)
      }
    }
  }

  async #backOff(attempt: number, also: AbortSignal | undefined): Promise<void> {
    const awake = new AbortController()
    const unlisten = onAbort([this.signal, also], () => awake.abort())
    await this.clock.sleep((this.options.backOffMs ?? BACK_OFF_MS) * 2 ** (attempt - 1), awake.signal)
    unlisten()
  }

  async #send(request: Request): Promise<ServerAnswer> {
    const headers = [...(this.options.headers ?? []), ...(request.headers ?? [])]
    const { body, also, signal = this.signal } = request
    if (body !== undefined || request.method === "PUT" || request.method === "POST") {
      headers.push(["content-length", String(isStreamed(body) ? body.lengthBytes : (body?.length ?? 0))])
    }
    const md5 = this.#md5Of(request)
    if (md5 !== undefined) headers.push(["content-md5", Buffer.from(md5).toString("base64")])
    const signed = signedCall(this.access, this.#host, { ...request, headers }, this.clock.wallMs())
    const { method, rawTarget, rawHeaders } = signed
    const answer = await this.#caller.call({ method, rawTarget, rawHeaders, body, signal, also })
    if (!answer.isEarly || answer.status >= 300) return answer
    await answer.document()
    throw new BrokenAnswer("the store confirmed a body before it had all of it")
  }

  #md5Of({ body, method, key }: Request): Uint8Array | undefined {
    if (body === undefined) return undefined
    if (isStreamed(body)) return body.md5
    const isWanted = this.options.md5 !== false || method === "POST" || key === undefined
    return isWanted ? createHash("md5").update(body).digest() : undefined
  }
}

const encodedName = ({ bucket, key }: ObjectName): string => `/${bucket}/${percentEncode(byteStringOfText(key), true)}`

const copySourceOf = (from: ObjectName, ifMatch: string): HeaderFields => [
  ["x-amz-copy-source", encodedName(from)],
  ["x-amz-copy-source-if-match", `"${ifMatch}"`],
]

const conditionOf = (etag: string): string => (etag === "*" ? etag : `"${etag}"`)

/** A document of S3. Keys in it keep every character. */
const documentIn = (root: string, write: (xml: XmlWriter) => void): Buffer =>
  Buffer.from(new XmlWriter("referenced").group(root, write, `xmlns="${S3_NAMESPACE}"`).toString())

const documentOf = async (answer: ServerAnswer): Promise<XmlElement> =>
  readXml((await answer.document()).toString("utf8"))

/** A write whose repetition could fail because the first attempt has succeeded. */
const isConditionalWrite = ({ method, headers = [] }: Request): boolean =>
  /^(PUT|POST|DELETE)$/.test(method) && headers.some(([name]) => /^if-(none-)?match$/i.test(name))

/** `SlowDown` refuses a request before it has begun; after other failures it may have been done. */
const mayHelp = (error: unknown, request: Request): boolean =>
  (error instanceof RemoteFailure &&
    (error.status === 500 || error.status === 503) &&
    (request.isRepeatable !== false || error.code === "SlowDown")) ||
  (error instanceof Unreachable &&
    request.isRepeatable !== false &&
    !isConditionalWrite(request) &&
    /ECONNRESET|EPIPE|socket hang up/.test(error.reason))
