/**
 * A small S3 client for the commands on objects, the bench and the checks of the documents, against any store.
 *
 * Promises  Path style, Signature V4 for every request, `Content-MD5` for every body, so that the stored bytes are
 *           the sent ones. Repeatable requests are retried after 500, 503 and broken connections, with
 *           `ATTEMPTS_MAX` attempts in total.
 * Failures  `RemoteFailure` with the store's own code, `Unreachable`, `BrokenAnswer`.
 * Keys      are text; their UTF-8 is percent-encoded byte for byte.
 */
import { createHash } from "node:crypto"
import { setMaxListeners } from "node:events"
import { parseDate } from "../base/dates.js"
import { percentDecode, percentEncode } from "../base/uri.js"
import type { Clock } from "../seams/clock/contract.js"
import { HttpCaller, type Answer } from "./http-caller.js"
import { BrokenAnswer, RemoteFailure, Unreachable } from "./remote.js"
import { byteString, presignedUrl, signedCall, type S3Access, type S3Request } from "./signed-call.js"
import { childrenOf, escapeXml, readXml, textOf, type XmlElement } from "./xml-reader.js"

const ATTEMPTS_MAX = 4
const BACK_OFF_MS = 200
const SIGNAL_LISTENERS_MAX = 2048
/** S3's limit for one `DeleteObjects`. */
export const DELETE_KEYS_MAX = 1000

export interface ObjectHead {
  readonly sizeBytes: number
  /** False if the response has no length: the size is known once the body has ended. */
  readonly hasSize: boolean
  /** Without quotes. */
  readonly etag: string
  /** True for a single upload that the store does not encrypt with another key: the ETag is the MD5 of the bytes. */
  readonly etagIsMd5: boolean
  readonly lastModifiedMs: number | undefined
  readonly contentType: string | undefined
  /** The headers that a copy in parts must state again: content type, cache control, user metadata … */
  readonly attributes: Headers
  /** Those of object lock: retention and legal hold. */
  readonly locks: Headers
  /** The bytes are those of a range. */
  readonly isRange: boolean
  /** The store says that it is Hayloft, whose buckets all have RenameObject. Others may take a rename for an empty PUT. */
  readonly hasRename: boolean
}

export type Headers = readonly (readonly [name: string, value: string])[]

export interface ObjectName {
  readonly bucket: string
  readonly key: string
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

/** The settings of a bucket that are one document each. */
export type BucketSetting =
  | "versioning"
  | "object-lock"
  | "tagging"
  | "cors"
  | "encryption"
  | "website"
  | "policy"
  | "lifecycle"
  | "transforms"

interface KeyPage {
  readonly keys: readonly ListedKey[]
  readonly prefixes: readonly string[]
  readonly next: string | undefined
}

interface BucketEntry {
  readonly name: string
  readonly createdMs: number
}

interface Request extends S3Request {
  readonly body?: Uint8Array
  /** Instead of the client's own. */
  readonly signal?: AbortSignal
}

const unquote = (etag: string | undefined): string => (etag ?? "").replace(/^"|"$/g, "")

const TRANSFORM = "x-transform"

interface ReadOptions {
  /** Like `0-99`, `100-` or `-100`. */
  readonly range?: string | undefined
  readonly versionId?: string | undefined
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
    private readonly options: {
      readonly attemptsMax?: number
      readonly md5?: boolean
      readonly connectionsMax?: number
    } = {},
  ) {
    // Each request in progress listens to it.
    setMaxListeners(SIGNAL_LISTENERS_MAX, signal)
    const url = new URL(access.endpoint)
    this.#caller = new HttpCaller(url, options.connectionsMax, access.trust)
    this.#host = url.host
  }

  close(): void {
    this.#caller.close()
  }

  /** A URL with which anyone may send this request until it expires. */
  presign(method: string, { bucket, key }: ObjectName, expiresSeconds: number, transform?: string): string {
    const query: Headers = transform === undefined ? [] : [[TRANSFORM, transform]]
    return presignedUrl(this.access, { method, bucket, key, query }, expiresSeconds, this.clock.wallMs())
  }

  async listBuckets(): Promise<readonly BucketEntry[]> {
    const buckets: BucketEntry[] = []
    let token: string | undefined
    do {
      const query: [string, string][] = token === undefined ? [] : [["continuation-token", token]]
      const root = await this.#document({ method: "GET", query })
      for (const entry of root.children
        .filter(child => child.name === "Buckets")
        .flatMap(all => childrenOf(all, "Bucket"))) {
        buckets.push({ name: textOf(entry, "Name") ?? "", createdMs: timeOf(textOf(entry, "CreationDate")) })
      }
      token = textOf(root, "ContinuationToken")
    } while (token !== undefined && token !== "")
    return buckets
  }

  /** Throws `RemoteFailure` 404 if it does not exist. */
  async headBucket(bucket: string): Promise<void> {
    await this.#drained({ method: "HEAD", bucket })
  }

  async createBucket(bucket: string, { hasLock = false }: { readonly hasLock?: boolean } = {}): Promise<void> {
    const headers: Headers = hasLock ? [["x-amz-bucket-object-lock-enabled", "true"]] : []
    await this.#drained({ method: "PUT", bucket, headers })
  }

  /** The document of a setting, as the store returns it. Throws `RemoteFailure`, also if the bucket does not have it. */
  async getSetting(bucket: string, setting: BucketSetting): Promise<string> {
    const answer = await this.#answer({ method: "GET", bucket, query: [[setting, ""]] })
    return (await answer.document()).toString("utf8")
  }

  async putSetting(bucket: string, setting: BucketSetting, document: string): Promise<void> {
    await this.#drained({ method: "PUT", bucket, query: [[setting, ""]], body: Buffer.from(document, "utf8") })
  }

  async removeSetting(bucket: string, setting: BucketSetting): Promise<void> {
    await this.#drained({ method: "DELETE", bucket, query: [[setting, ""]] })
  }

  async removeBucket(bucket: string): Promise<void> {
    await this.#drained({ method: "DELETE", bucket })
  }

  async put(object: { bucket: string; key: string; body: Uint8Array; headers?: Headers }): Promise<{ etag: string }> {
    const { headers = [] } = object
    const answer = await this.#drained({
      method: "PUT",
      bucket: object.bucket,
      key: object.key,
      body: object.body,
      headers,
    })
    return { etag: unquote(answer.headers.etag) }
  }

  /** With `partNumber` the size is that of the part. */
  async head(
    bucket: string,
    key: string,
    { versionId, partNumber }: { readonly versionId?: string | undefined; readonly partNumber?: number } = {},
  ): Promise<ObjectHead> {
    const query: Headers = [
      ...(versionId === undefined ? [] : [["versionId", versionId] as const]),
      ...(partNumber === undefined ? [] : [["partNumber", String(partNumber)] as const]),
    ]
    return headOf(await this.#drained({ method: "HEAD", bucket, key, query }))
  }

  /** The body must be read to its end or left by `break`. */
  async get(
    bucket: string,
    key: string,
    { range, versionId, transform }: ReadOptions = {},
  ): Promise<{ head: ObjectHead; body: AsyncIterable<Uint8Array> }> {
    const headers: Headers = range === undefined ? [] : [["range", `bytes=${range}`]]
    const query: Headers = [
      ...(versionId === undefined ? [] : [["versionId", versionId] as const]),
      ...(transform === undefined ? [] : [[TRANSFORM, transform] as const]),
    ]
    const answer = await this.#answer({ method: "GET", bucket, key, query, headers })
    return { head: headOf(answer), body: answer.body }
  }

  /**
   * What an object has from this offset on, once it has anything; undefined: it had nothing for 20 seconds. `stream`: of the
   * object, as an earlier answer named it; another object fails with 412.
   */
  async follow(
    { bucket, key }: ObjectName,
    offset: number,
    stream: string | undefined,
  ): Promise<{ stream: string | undefined; body: AsyncIterable<Uint8Array> } | undefined> {
    const asked: Headers = stream === undefined ? [] : [["stream", stream]]
    const query: Headers = [["follow", ""], ["offset", String(offset)], ...asked]
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

  async getTags(bucket: string, key: string, versionId?: string): Promise<Headers> {
    const version: Headers = versionId === undefined ? [] : [["versionId", versionId]]
    const root = await this.#document({ method: "GET", bucket, key, query: [["tagging", ""], ...version] })
    return childrenOf(root, "TagSet")
      .flatMap(all => childrenOf(all, "Tag"))
      .map(tag => [textOf(tag, "Key") ?? "", textOf(tag, "Value") ?? ""])
  }

  /** `ifMatch`: only the object with this ETag; another one fails with 412. */
  async remove(bucket: string, key: string, ifMatch?: string): Promise<void> {
    const headers: Headers = ifMatch === undefined ? [] : [["if-match", `"${ifMatch}"`]]
    await this.#drained({ method: "DELETE", bucket, key, headers })
  }

  /**
   * Copies an object within the store: the one with the ETag `ifMatch`; another one fails with 412. `attributes` replace
   * those of the source.
   */
  async copy(from: ObjectName, ifMatch: string, to: ObjectName, attributes?: Headers): Promise<{ etag: string }> {
    const replaced: Headers = attributes === undefined ? [] : [...attributes, ["x-amz-metadata-directive", "REPLACE"]]
    const headers = [...copySourceOf(from, ifMatch), ...replaced]
    const root = await this.#document({ method: "PUT", ...to, headers })
    return { etag: unquote(textOf(completed(root), "ETag")) }
  }

  /**
   * Gives an object another key of its bucket, if its ETag is `ifMatch`. `clientToken` makes the request repeatable: a store
   * that has done it answers again as before.
   */
  async rename(from: ObjectName, ifMatch: string, to: string, clientToken: string): Promise<void> {
    const { bucket } = from
    const headers: Headers = [
      ["x-amz-rename-source", encodedName(from)],
      ["x-amz-rename-source-if-match", `"${ifMatch}"`],
      ["x-amz-client-token", clientToken],
    ]
    await this.#drained({ method: "PUT", bucket, key: to, query: [["renameObject", ""]], headers })
  }

  /** Removes up to `DELETE_KEYS_MAX` keys. Throws `RemoteFailure` for the first that the store refused. */
  async removeMany(bucket: string, keys: readonly string[]): Promise<void> {
    const objects = keys.map(key => `<Object><Key>${escapeXml(key)}</Key></Object>`).join("")
    const body = Buffer.from(
      `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${objects}</Delete>`,
    )
    const root = await this.#document({ method: "POST", bucket, query: [["delete", ""]], body })
    const [error] = childrenOf(root, "Error")
    if (error !== undefined) throw remoteFailure(200, error, undefined)
  }

  async list(
    bucket: string,
    request: { prefix: string; delimiter: string; token?: string | undefined; max?: number; after?: string },
  ): Promise<KeyPage> {
    const query: [string, string][] = [
      ["list-type", "2"],
      ["encoding-type", "url"],
      ["prefix", request.prefix],
      ["delimiter", request.delimiter],
      ["max-keys", String(request.max ?? 1000)],
    ]
    if (request.token !== undefined) query.push(["continuation-token", request.token])
    if (request.after !== undefined) query.push(["start-after", request.after])
    return pageOf(await this.#document({ method: "GET", bucket, query }))
  }

  /** All keys with a prefix, page by page. */
  async *keys(bucket: string, prefix: string): AsyncGenerator<ListedKey> {
    let token: string | undefined
    do {
      const page = await this.list(bucket, { prefix, delimiter: "", token })
      yield* page.keys
      token = page.next
    } while (token !== undefined)
  }

  /** All versions and delete markers with a prefix: by key, and of a key the newest first. */
  async *versions(bucket: string, prefix: string): AsyncGenerator<ListedVersion> {
    let from: Headers | undefined = []
    while (from !== undefined) {
      const query: Headers = [["versions", ""], ["encoding-type", "url"], ["prefix", prefix], ...from]
      const root = await this.#document({ method: "GET", bucket, query })
      yield* versionsOf(root)
      from = nextVersions(root)
    }
  }

  /** Not interruptible: an upload with an unknown id could not be aborted. */
  async createMultipart({ bucket, key }: ObjectName, headers: Headers = []): Promise<string> {
    const { signal } = new AbortController()
    const root = await this.#document({ method: "POST", bucket, key, query: [["uploads", ""]], headers, signal })
    const id = textOf(root, "UploadId")
    if (id === undefined || id === "") throw new BrokenAnswer("the store returned no upload id")
    return id
  }

  async putPart(part: {
    bucket: string
    key: string
    uploadId: string
    partNumber: number
    body: Uint8Array
  }): Promise<string> {
    const query: [string, string][] = [
      ["partNumber", String(part.partNumber)],
      ["uploadId", part.uploadId],
    ]
    const answer = await this.#drained({ method: "PUT", bucket: part.bucket, key: part.key, query, body: part.body })
    return unquote(answer.headers.etag)
  }

  /** A part with bytes of another object, of the one with the ETag `ifMatch`; `last` is inclusive. */
  async putPartCopy(
    { uploadId, partNumber, ...to }: ObjectName & { readonly uploadId: string; readonly partNumber: number },
    from: ObjectName,
    ifMatch: string,
    { first, last }: { readonly first: number; readonly last: number },
  ): Promise<string> {
    const query: Headers = [
      ["partNumber", String(partNumber)],
      ["uploadId", uploadId],
    ]
    const range = ["x-amz-copy-source-range", `bytes=${first}-${last}`] as const
    const headers = [...copySourceOf(from, ifMatch), range]
    const root = await this.#document({ method: "PUT", ...to, query, headers })
    return unquote(textOf(completed(root), "ETag"))
  }

  async complete(upload: {
    bucket: string
    key: string
    uploadId: string
    etags: readonly string[]
  }): Promise<{ etag: string }> {
    return this.#complete(
      upload,
      upload.etags.map(etag => `<ETag>"${etag}"</ETag>`),
    )
  }

  /** The object consists of the bytes of others of its bucket, which are not copied. Only Hayloft does this. */
  async join(to: ObjectName, keys: readonly string[], headers: Headers): Promise<{ etag: string }> {
    const uploadId = await this.createMultipart(to, headers)
    const named = keys.map(key => encodedName({ bucket: to.bucket, key }))
    try {
      return await this.#complete(
        { ...to, uploadId },
        named.map(name => `<CopySource>${escapeXml(name)}</CopySource>`),
      )
    } catch (error) {
      await this.abort({ ...to, uploadId }).catch(() => undefined)
      throw error
    }
  }

  async #complete(
    { bucket, key, uploadId }: ObjectName & { readonly uploadId: string },
    parts: readonly string[],
  ): Promise<{ etag: string }> {
    const numbered = parts.map((part, i) => `<Part><PartNumber>${i + 1}</PartNumber>${part}</Part>`)
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${numbered.join("")}</CompleteMultipartUpload>`,
    )
    const root = await this.#document({ method: "POST", bucket, key, query: [["uploadId", uploadId]], body })
    return { etag: unquote(textOf(completed(root), "ETag")) }
  }

  /** Sent even after the client's signal has fired: the parts of an abandoned upload would occupy space permanently. */
  async abort(upload: { bucket: string; key: string; uploadId: string }): Promise<void> {
    const { bucket, key } = upload
    const query = [["uploadId", upload.uploadId]] as const
    await this.#drained({ method: "DELETE", bucket, key, query, signal: new AbortController().signal })
  }

  async #drained(request: Request): Promise<Answer> {
    const answer = await this.#answer(request)
    await answer.document()
    return answer
  }

  async #document(request: Request): Promise<XmlElement> {
    const answer = await this.#answer(request)
    return readXml((await answer.document()).toString("utf8"))
  }

  /** Sends the request, with retries if they may help; throws for anything but success. */
  async #answer(request: Request): Promise<Answer> {
    const attemptsMax = this.options.attemptsMax ?? ATTEMPTS_MAX
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.#send(request)
        if (answer.status < 300) return answer
        throw await failureOf(answer, request)
      } catch (error) {
        if (attempt >= attemptsMax || !mayHelp(error) || this.signal.aborted) throw error
        await this.clock.sleep(BACK_OFF_MS * 2 ** (attempt - 1), this.signal)
      }
    }
  }

  #send(request: Request): Promise<Answer> {
    const headers = [...(request.headers ?? [])]
    const { body } = request
    if (body !== undefined || request.method === "PUT" || request.method === "POST") {
      headers.push(["content-length", String(body?.length ?? 0)])
    }
    if (body !== undefined && (this.options.md5 !== false || request.method === "POST" || request.key === undefined)) {
      headers.push(["content-md5", createHash("md5").update(body).digest("base64")])
    }
    const signed = signedCall(this.access, this.#host, { ...request, headers }, this.clock.wallMs())
    const { method, rawTarget, rawHeaders } = signed
    return this.#caller.call({ method, rawTarget, rawHeaders, body, signal: request.signal ?? this.signal })
  }
}

const encodedName = ({ bucket, key }: ObjectName): string => `/${bucket}/${percentEncode(byteString(key), true)}`

const copySourceOf = (from: ObjectName, ifMatch: string): Headers => [
  ["x-amz-copy-source", encodedName(from)],
  ["x-amz-copy-source-if-match", `"${ifMatch}"`],
]

/** S3 responds with 200 before it is done, and may send an error document in the body. */
function completed(root: XmlElement): XmlElement {
  if (root.name === "Error") throw remoteFailure(500, root, undefined)
  return root
}

const mayHelp = (error: unknown): boolean =>
  (error instanceof RemoteFailure && (error.status === 500 || error.status === 503)) ||
  (error instanceof Unreachable && /ECONNRESET|EPIPE|socket hang up/.test(error.reason))

async function failureOf(answer: Answer, request: Request): Promise<RemoteFailure> {
  const text = (await answer.document()).toString("utf8")
  const requestId = String(answer.headers["x-amz-request-id"] ?? "") || undefined
  if (text.includes("<Error")) return remoteFailure(answer.status, readXml(text), requestId)
  const what = request.key === undefined ? (request.bucket ?? "the store") : `${request.bucket ?? ""}/${request.key}`
  const plain =
    answer.status === 404 ? "does not exist" : answer.status === 403 ? "access denied" : `status ${answer.status}`
  return new RemoteFailure(answer.status, `http-${answer.status}`, `${what}: ${plain}`, requestId)
}

function remoteFailure(status: number, error: XmlElement, requestId: string | undefined): RemoteFailure {
  const code = textOf(error, "Code") ?? `http-${status}`
  const message = textOf(error, "Message") ?? code
  const resource = textOf(error, "Resource")
  const of = textOf(error, "Key") ?? textOf(error, "BucketName") ?? (resource === "/" ? undefined : resource)
  const text = `${message.replace(/\.$/, "")} (${code})`
  return new RemoteFailure(status, code, of ? `${of}: ${text}` : text, requestId)
}

function headOf({ headers }: Answer): ObjectHead {
  const etag = unquote(headers.etag)
  const encrypted =
    headers["x-amz-server-side-encryption"] ?? headers["x-amz-server-side-encryption-customer-algorithm"]
  return {
    sizeBytes: Number(headers["content-length"] ?? 0),
    hasSize: headers["content-length"] !== undefined,
    etag,
    etagIsMd5:
      headers["content-range"] === undefined &&
      /^[0-9a-f]{32}$/.test(etag) &&
      (encrypted === undefined || encrypted === "AES256"),
    lastModifiedMs: parseDate(headers["last-modified"] ?? ""),
    contentType: headers["content-type"],
    attributes: headersLike(headers, ATTRIBUTE),
    locks: headersLike(headers, LOCK),
    isRange: headers["content-range"] !== undefined,
    hasRename: /^Hayloft\//.test(String(headers["server"] ?? "")),
  }
}

const ATTRIBUTE = /^(cache-control|content-(disposition|encoding|language|type)|expires|x-amz-meta-.*)$/
const LOCK = /^x-amz-object-lock-/

const headersLike = (headers: Answer["headers"], wanted: RegExp): Headers =>
  Object.entries(headers).flatMap(([name, value]) =>
    wanted.test(name) && typeof value === "string" ? [[name, value] as const] : [],
  )

const timeOf = (text: string | undefined): number => parseDate(text ?? "") ?? 0
const decodeKey = (text: string, coded: boolean): string =>
  coded ? Buffer.from(percentDecode(text.replace(/\+/g, "%20")), "latin1").toString("utf8") : text

const keyOf = (entry: XmlElement, coded: boolean): ListedKey => ({
  key: decodeKey(textOf(entry, "Key") ?? "", coded),
  sizeBytes: Number(textOf(entry, "Size") ?? 0),
  etag: unquote(textOf(entry, "ETag")),
  lastModifiedMs: timeOf(textOf(entry, "LastModified")),
})

const isCoded = (root: XmlElement): boolean => textOf(root, "EncodingType") === "url"

const versionsOf = (root: XmlElement): readonly ListedVersion[] =>
  root.children
    .filter(({ name }) => name === "Version" || name === "DeleteMarker")
    .map(entry => ({
      ...keyOf(entry, isCoded(root)),
      versionId: textOf(entry, "VersionId") ?? "null",
      isMarker: entry.name === "DeleteMarker",
    }))

/** Where the next page begins; undefined after the last one. */
function nextVersions(root: XmlElement): Headers | undefined {
  if (textOf(root, "IsTruncated") !== "true") return undefined
  const key = textOf(root, "NextKeyMarker")
  if (key === undefined)
    throw new BrokenAnswer("the store returned a page of versions without the place of the next one")
  const versionId = textOf(root, "NextVersionIdMarker")
  const marker = ["key-marker", decodeKey(key, isCoded(root))] as const
  return versionId === undefined || versionId === "" ? [marker] : [marker, ["version-id-marker", versionId]]
}

function pageOf(root: XmlElement): KeyPage {
  const coded = isCoded(root)
  return {
    keys: childrenOf(root, "Contents").map(entry => keyOf(entry, coded)),
    prefixes: childrenOf(root, "CommonPrefixes").map(entry => decodeKey(textOf(entry, "Prefix") ?? "", coded)),
    next: textOf(root, "IsTruncated") === "true" ? textOf(root, "NextContinuationToken") : undefined,
  }
}
