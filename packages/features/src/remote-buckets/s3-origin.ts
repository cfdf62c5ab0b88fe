/**
 * A bucket of another store that speaks S3, over the client of the command line.
 *
 * Promises  A response is checked before it is used: the range that was asked for, the ETag that was meant, a size. What a remote
 *           says wrongly becomes `remoteRefused`, never bytes of another object.
 * Limits    `REMOTE_LIMITS`: attempts, connections, silence.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { byteStringOfText, objectKeyOfText, textOfObjectKey, type ObjectKey } from "@hayloft/base/ids.js"
import { BrokenAnswer, RemoteFailure, Unreachable, type ObjectHead, type S3Client } from "@hayloft/client/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Conditions, ContentHeaders, UserMetadata } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Origin, OriginEntry, OriginListing, OriginObject, OriginRange, OriginUpload } from "./contract.js"
import { placeOfOriginEntry } from "./origin-pages.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"

const PARTS_CONCURRENT = 4
const META = "x-amz-meta-"

interface OriginPlace {
  readonly bucket: string
  /** Precedes each key. */
  readonly prefix: string
  /** Sent with each write and removal. */
  readonly headers?: HeaderFields | undefined
}

const CONTENT_HEADERS = {
  "content-type": "contentType",
  "cache-control": "cacheControl",
  "content-disposition": "contentDisposition",
  "content-encoding": "contentEncoding",
  "content-language": "contentLanguage",
  expires: "expires",
} as const satisfies Record<string, keyof ContentHeaders>

/** How a remote store has responded. */
export class StoreHealth {
  requests = 0
  failures = 0
  lastError: string | undefined
  lastErrorMs: number | undefined

  constructor(private readonly clock: Pick<Clock, "wallMs">) {}

  noteRequest(): void {
    this.requests += 1
  }

  noteFailure({ message, details }: Failure): void {
    this.failures += 1
    this.lastError = typeof details["message"] === "string" ? details["message"] : message
    this.lastErrorMs = this.clock.wallMs()
  }
}

export class S3Origin implements Origin {
  constructor(
    private readonly client: S3Client,
    private readonly place: OriginPlace,
    private readonly health: StoreHealth,
  ) {}

  async head(key: ObjectKey, signal: AbortSignal): Promise<OriginObject> {
    const head = await this.asked(signal, () => this.client.head(this.place.bucket, this.nameOf(key), { signal }))
    if (!head.hasSize) throw refused("The remote does not say how large the object is.")
    return objectOf(head, head.sizeBytes)
  }

  async get(
    key: ObjectKey,
    { range, etag }: Parameters<Origin["get"]>[1],
    signal: AbortSignal,
  ): ReturnType<Origin["get"]> {
    const wanted = range && `${range.first}-${range.first + range.lengthBytes - 1}`
    const ifMatch = etag === "" ? undefined : etag
    const options = { range: wanted, ifMatch, signal }
    const { head, body } = await this.asked(signal, () => this.client.get(this.place.bucket, this.nameOf(key), options))
    try {
      const object = checked(head, range)
      if (ifMatch !== undefined && object.etag !== ifMatch) throw fail("preconditionFailed", { condition: "If-Match" })
      return { object, body: this.bytesOf(body, signal) }
    } catch (error) {
      await leave(body)
      throw error
    }
  }

  private async *bytesOf(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      yield* body
    } catch (error) {
      throw this.failureOf(error, signal)
    }
  }

  async list(
    { prefix, delimiter, after, max, token }: Parameters<Origin["list"]>[0],
    signal: AbortSignal,
  ): Promise<OriginListing> {
    const request = {
      prefix: this.place.prefix + textOfObjectKey(prefix),
      delimiter: textOfObjectKey(delimiter),
      max,
      signal,
      token,
      ...(after !== "" && token === undefined && { after: this.place.prefix + textOfObjectKey(after) }),
    }
    const page = await this.asked(signal, () => this.client.list(this.place.bucket, request))
    const entries: OriginEntry[] = [
      // A marker of the folder that the prefix is: an object without a name of its own.
      ...page.keys
        .filter(({ key }) => key !== this.place.prefix)
        .map(({ key, ...rest }): OriginEntry => ({ kind: "object", key: this.keyOf(key), ...rest })),
      ...page.prefixes.map((found): OriginEntry => ({ kind: "prefix", prefix: this.textOf(found) })),
    ]
    const isBefore = (a: OriginEntry, b: OriginEntry): boolean => placeOfOriginEntry(a) < placeOfOriginEntry(b)
    return { entries: entries.sort((a, b) => (isBefore(a, b) ? -1 : 1)), next: page.next }
  }

  put(key: ObjectKey, upload: OriginUpload, signal: AbortSignal): Promise<{ readonly etag: string }> {
    return this.asked(signal, () =>
      upload.isMultipart ? this.putParts(key, upload, signal) : this.putWhole(key, upload, signal),
    )
  }

  private putWhole(key: ObjectKey, upload: OriginUpload, signal: AbortSignal): Promise<{ readonly etag: string }> {
    const [part] = upload.parts
    if (part === undefined || upload.parts.length > 1) return this.putParts(key, upload, signal)
    const { sizeBytes: lengthBytes, md5, open } = part
    const body = { lengthBytes, open, ...(md5 !== undefined && { md5: Buffer.from(md5, "hex") }) }
    const headers = [...this.headersOf(upload), ...conditionsOf(upload.conditions)]
    return this.client.put({ bucket: this.place.bucket, key: this.nameOf(key), body, headers, signal })
  }

  private async putParts(
    key: ObjectKey,
    upload: OriginUpload,
    signal: AbortSignal,
  ): Promise<{ readonly etag: string }> {
    const { client } = this
    const name = { bucket: this.place.bucket, key: this.nameOf(key) }
    const target = { ...name, uploadId: await client.createMultipart(name, this.headersOf(upload)) }
    try {
      const etags = await mapBounded(upload.parts, PARTS_CONCURRENT, ({ sizeBytes: lengthBytes, open }, i) =>
        client.putPart({ ...target, partNumber: i + 1, body: { lengthBytes, open }, signal }),
      )
      return await client.complete({
        ...target,
        etags,
        headers: [...this.own, ...conditionsOf(upload.conditions)],
        signal,
      })
    } catch (error) {
      await client.abort(target).catch(() => undefined)
      throw error
    }
  }

  async remove(key: ObjectKey, { ifMatch }: Pick<Conditions, "ifMatch">, signal: AbortSignal): Promise<void> {
    const [etag] = ifMatch ?? []
    try {
      await this.asked(signal, () =>
        this.client.remove(this.place.bucket, this.nameOf(key), { ifMatch: etag, signal, headers: this.own }),
      )
    } catch (error) {
      if (!isFailure(error, "noSuchKey") || etag !== undefined) throw error
    }
  }

  private get own(): HeaderFields {
    return this.place.headers ?? []
  }

  private headersOf(upload: OriginUpload): HeaderFields {
    return [...this.own, ...headersOf(upload)]
  }

  private nameOf(key: ObjectKey): string {
    return this.place.prefix + textOfObjectKey(key)
  }

  /** Without what precedes it there. Throws `remoteRefused` for a name that was not asked for. */
  private textOf(name: string): string {
    const { prefix } = this.place
    if (!name.startsWith(prefix)) throw refused("The remote lists keys that do not begin with the prefix.")
    return byteStringOfText(name.slice(prefix.length))
  }

  private keyOf(name: string): ObjectKey {
    return objectKeyOfText(textOfObjectKey(this.textOf(name)))
  }

  private async asked<Result>(signal: AbortSignal, ask: () => Promise<Result>): Promise<Result> {
    this.health.noteRequest()
    try {
      return await ask()
    } catch (error) {
      throw this.failureOf(error, signal)
    }
  }

  private failureOf(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted && isFailure(signal.reason)) return signal.reason
    if (signal.aborted) return isFailure(error) ? error : fail("stopping", { reason: "the request was ended" }, error)
    const failure = failureOfClient(error, this.place.bucket)
    if (isFailure(failure, "remoteUnavailable", "remoteRefused")) this.health.noteFailure(failure)
    return failure
  }
}

/** Ends the response without the rest of its body. */
async function leave(body: AsyncIterable<Uint8Array>): Promise<void> {
  const iterator = body[Symbol.asyncIterator]()
  // A generator that has not begun would not notice that it is left.
  await iterator.next().catch(() => undefined)
  await iterator.return?.()
}

const refused = (message: string): Failure => fail("remoteRefused", { message })

const UNAVAILABLE: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])

/** Failures of the client in our terms; others, as of the bytes that were to be sent, stay as they are. */
function failureOfClient(error: unknown, bucket: string): unknown {
  if (error instanceof Unreachable || error instanceof BrokenAnswer)
    return fail("remoteUnavailable", { message: `The remote does not respond: ${error.message}.` }, error)
  if (!(error instanceof RemoteFailure)) return error
  const { status, code, message } = error
  // A remote whose own remote refuses: waiting does not help.
  if (UNAVAILABLE.has(status) && code !== "RemoteRefused")
    return fail("remoteUnavailable", { message: `The remote is not available: ${message}.` }, error)
  if (status === 404 && code === "NoSuchBucket") return refused(`The remote has no bucket ${bucket}.`)
  if (status === 404) return fail("noSuchKey", {}, error)
  if (status === 412) return fail("preconditionFailed", { message }, error)
  if (status === 409) return fail("conflict", { reason: `the remote says: ${message}` }, error)
  if (status === 416) return fail("invalidRange", {}, error)
  return refused(`The remote refuses the request: ${message}.`)
}

function objectOf(head: ObjectHead, sizeBytes: number): OriginObject {
  const { etagIsMd5OfObject: etagIsMd5, lastModifiedMs, attributes } = head
  const etag = head.etag.replace(/^W\/"?/, "")
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw refused("The remote does not say how large the object is.")
  if (lastModifiedMs === undefined) throw refused("The remote does not say when the object was modified.")
  const headers: Record<string, string> = {}
  const userMetadata: (readonly [string, string])[] = []
  for (const [name, value] of attributes) {
    if (name.startsWith(META)) userMetadata.push([name.slice(META.length), value])
    else if (isContentHeader(name)) headers[CONTENT_HEADERS[name]] = value
  }
  return { sizeBytes, etag, etagIsMd5, lastModifiedMs, headers, userMetadata: userMetadata satisfies UserMetadata }
}

const isContentHeader = (name: string): name is keyof typeof CONTENT_HEADERS => Object.hasOwn(CONTENT_HEADERS, name)

/** The object of a response to a GET. Throws `remoteRefused` if the bytes cannot be those that were asked for. */
function checked(head: ObjectHead, range: OriginRange | undefined): OriginObject {
  if (range === undefined) {
    if (head.isRange || !head.hasSize) throw refused("The remote does not say how large the object is.")
    return objectOf(head, head.sizeBytes)
  }
  if (!head.isRange) {
    // A whole object that is no longer than the range is as good.
    if (range.first === 0 && head.hasSize && head.sizeBytes <= range.lengthBytes) return objectOf(head, head.sizeBytes)
    throw refused("The remote ignores ranges.")
  }
  const total = head.totalBytes
  if (total === undefined || head.rangeFirst !== range.first)
    throw refused("The remote sends another range than it was asked for.")
  const lengthBytes = Math.min(range.lengthBytes, total - range.first)
  if (head.hasSize && head.sizeBytes !== lengthBytes)
    throw refused("The remote sends another range than it was asked for.")
  return objectOf(head, total)
}

function headersOf({ headers, userMetadata, fields = [] }: OriginUpload): HeaderFields {
  const content = Object.entries(CONTENT_HEADERS).flatMap(([name, member]) => {
    const value = headers[member]
    return value === undefined ? [] : [[name, value] as const]
  })
  return [...content, ...userMetadata.map(([name, value]) => [`${META}${name}`, value] as const), ...fields]
}

const quotedList = (etags: readonly string[]): string =>
  etags.map(etag => (etag === "*" ? etag : `"${etag}"`)).join(", ")

const conditionsOf = ({ ifMatch, ifNoneMatch }: OriginUpload["conditions"]): HeaderFields => [
  ...(ifMatch === undefined ? [] : [["if-match", quotedList(ifMatch)] as const]),
  ...(ifNoneMatch === undefined ? [] : [["if-none-match", quotedList(ifNoneMatch)] as const]),
]
