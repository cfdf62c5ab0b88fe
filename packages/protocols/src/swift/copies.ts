/** Copies of objects by Swift: what a link points to, and the bytes of a large object, unless the request asks for what is stored. */
import { httpDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { percentDecode, percentEncode } from "@hayloft/base/http/uri.js"
import type {
  BodySource,
  ByteRange,
  CopySource,
  ObjectAttributes,
  ObjectBody,
  ObjectInfo,
} from "@hayloft/objects/contract.js"
import { makeCopy, openFound, operationAs, storeObject, type S3Answer, type ObjectCall } from "../s3/index.js"
import { emptyAnswer } from "./answers.js"
import { expiryIn } from "./middleware/expiry-core.js"
import { asksForManifest } from "./middleware/large-objects.js"
import { checkedMetadata, isTrue, metadataFields, OBJECT_METADATA } from "./metadata-core.js"
import { metadataHeaders, statedContent, writtenFields } from "./object-headers.js"
import { requestAt, requirePinned, segmentsBelow, tooManyLinks, type DynamicObject } from "./middleware/pointers.js"
import { LINKS_MAX, pointerOf } from "./middleware/pointers-core.js"
import { timesOf, containerAt, infoAt, type SwiftObjectRequest, type SwiftContext } from "./requests.js"
import { oneRange, severalRanges } from "./middleware/ranges-core.js"
import { DEFAULT_TYPE, requireQuota } from "./stored-files.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export const isCopy = ({ exchange }: SwiftObjectRequest): boolean =>
  exchange.method === "COPY" || exchange.header("x-copy-from") !== undefined

/** `container/object`, with or without a slash before it. Throws `invalidUri`. */
function parseObjectPath(text: string, header: string): { readonly container: string; readonly object: string } {
  const [, container, object] = /^\/?([^/]+)\/(.+)$/s.exec(percentDecode(text)) ?? []
  if (container === undefined || object === undefined)
    throw fail("invalidUri", { message: `${header} header must be of the form <container name>/<object name>` })
  return { container: textOfObjectKey(container), object }
}

type Place = SwiftObjectRequest["target"]

/** Writes at a place as a PUT does, with headers by which it replaces what it may. */
type Replacing = (
  request: SwiftObjectRequest,
  place: Place,
  write: (more: readonly string[]) => Soon<S3Answer>,
) => Soon<S3Answer>

/** The place where the bytes of a copy are. */
interface CopiedFrom {
  /** Its target and its query are those of the object. */
  readonly request: SwiftObjectRequest
  /** It is undefined for the object itself, or its segment list. */
  readonly dynamic: DynamicObject | undefined
}

/** In a copy they are conditions on its source, as in Swift. */
const SOURCE_CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]

/** The bytes of the source that a copy takes; undefined: all. Throws `invalidRange`, `notImplemented`, `invalidRequest`. */
function rangeOfCopy(request: SwiftObjectRequest, { sizeBytes, partsCount }: ObjectInfo): ByteRange | undefined {
  if (partsCount !== undefined && request.query.has("part-number") && !asksForManifest(request, "get"))
    throw fail("notImplemented", {
      message: "a copy of one segment of a large object (part-number) is not implemented",
    })
  const text = request.exchange.header("range")
  if (text === undefined) return undefined
  if (severalRanges(text) !== undefined)
    throw fail("notImplemented", { message: "a copy of several ranges of an object is not implemented" })
  if (asksForManifest(request, "get"))
    throw fail("invalidRequest", { message: "a manifest is copied as a whole, without Range" })
  return oneRange(text, sizeBytes)
}

/** Returns the conditions of a copy: `If-None-Match: *` is about the new object, the others are about the source. */
function conditionsOfCopy(request: SwiftObjectRequest): string[] {
  if (request.exchange.header("if-none-match")?.trim() === "*") return ["if-none-match", "*"]
  return SOURCE_CONDITIONS.flatMap(name => {
    const value = request.exchange.header(name)
    return value === undefined ? [] : [`x-amz-copy-source-${name}`, value]
  })
}

export class Copies {
  constructor(
    private readonly context: SwiftContext,
    private readonly replacing: Replacing,
  ) {}

  /** COPY of the object that the request addresses. Throws `invalidUri`, and as a read and a write. */
  to(request: SwiftObjectRequest): Soon<S3Answer> {
    const { exchange, target } = request
    const destination = exchange.header("destination")
    if (destination === undefined || destination === "")
      throw fail("invalidUri", { message: "Destination header required" })
    const account = exchange.header("destination-account") ?? target.account
    return this.copy(request, target, { account, ...parseObjectPath(destination, "Destination") })
  }

  /** PUT with `X-Copy-From`, which has no body of its own. Throws as `to`. */
  from(request: SwiftObjectRequest, text: string): Soon<S3Answer> {
    const { exchange, target } = request
    if ((exchange.contentLength ?? 0) > 0)
      throw fail("invalidRequest", { message: "Copy requests require a zero byte body" })
    const account = exchange.header("x-copy-from-account") ?? target.account
    return this.copy(request, { account, ...parseObjectPath(text, "X-Copy-From") }, target)
  }

  /** PUT with `version-id`: that version is the current one again, as it was stored. Throws `invalidRequest`, and as a write. */
  restoreVersion(request: SwiftObjectRequest): Soon<S3Answer> {
    if (request.exchange.contentLength !== 0)
      throw fail("invalidRequest", { message: "PUT version-id requests require a zero byte body" })
    const handle = async (call: ObjectCall): Promise<S3Answer> => {
      let isLarge = false
      const termsFor = async (source: CopySource) => {
        const { segmentListBytes, headers, userMetadata, sizeBytes } = await storedInfo(call, source)
        isLarge = segmentListBytes !== undefined
        await requireQuota(this.context, call, sizeBytes)
        return { attributes: { headers, userMetadata } }
      }
      const { result } = await makeCopy(call, termsFor, "segmentList")
      return emptyAnswer(201, writtenFields(call, result, isLarge))
    }
    return this.copyAs(request, request.target, handle)
  }

  private async copy(request: SwiftObjectRequest, from: Place, to: Place): Promise<S3Answer> {
    const source = await this.sourceOf({ ...request, target: from })
    const { dynamic } = source
    return asPromise(() =>
      dynamic === undefined ? this.copyStored(source.request, to) : this.copyDynamic(source.request, dynamic, to),
    )
  }

  /** Follows links. Throws `conflict`, and as a read. */
  private async sourceOf(request: SwiftObjectRequest, links = 0): Promise<CopiedFrom> {
    const { account, container } = request.target
    await containerAt(this.context, account, container)
    const info = await infoAt(this.context, request, request.target, request.query.get("version-id"))
    const pointer = info && pointerOf(info.headers, request.query)
    if (info === undefined || pointer === undefined) return { request, dynamic: undefined }
    if (pointer.kind === "segments")
      return { request, dynamic: await segmentsBelow(this.context, request, pointer, info) }
    if (links >= LINKS_MAX) throw tooManyLinks()
    const target = requestAt(request, pointer.to)
    await requirePinned(this.context, target, pointer.to)
    return this.sourceOf(target, links + 1)
  }

  private copyStored(request: SwiftObjectRequest, to: Place): Soon<S3Answer> {
    return this.copyAs(request, to, call => this.copyObject(call, request))
  }

  private copyAs(request: SwiftObjectRequest, to: Place, handle: (call: ObjectCall) => Soon<S3Answer>): Soon<S3Answer> {
    const from = request.target
    const version = request.query.get("version-id")
    const source = `/${percentEncode(byteStringOfText(from.container))}/${percentEncode(from.object, true)}`
    const headers = [
      "x-amz-copy-source",
      version === undefined ? source : `${source}?versionId=${percentEncode(version)}`,
      ...conditionsOfCopy(request),
    ]
    const operation = operationAs("CopyObject", { kind: "object", handle })
    return this.write(request, to, operation, headers)
  }

  private write(
    request: SwiftObjectRequest,
    to: Place,
    operation: ReturnType<typeof operationAs>,
    headers: readonly string[],
  ): Soon<S3Answer> {
    const translation = { operation, bucket: to.container, rawKey: to.object }
    return this.replacing(request, to, more =>
      this.context.calls.run(request.request, request.caller, { ...translation, headers: [...headers, ...more] }),
    )
  }

  private async copyObject(call: ObjectCall, request: SwiftObjectRequest): Promise<S3Answer> {
    let sourceInfo: ObjectInfo | undefined
    const ofWhat = asksForManifest(request, "get") ? "segmentList" : "bytes"
    const stated = expiryIn(request.exchange.headers, timesOf(this.context))
    const termsFor = async (source: CopySource) => {
      const info = await storedInfo(call, source)
      sourceInfo = info
      const isOther = source.bucket.owner !== call.bucket.owner
      if (isOther && ofWhat === "segmentList" && info.segmentListBytes !== undefined)
        throw fail("invalidRequest", { message: "the segments of the manifest are in another account: copy the bytes" })
      const range = rangeOfCopy(request, info)
      await requireQuota(this.context, call, range?.lengthBytes ?? info.sizeBytes)
      const expiresAtSeconds = stated ?? info.expiresAtSeconds
      return { attributes: attributesOfCopy(request, info), expiresAtSeconds, range }
    }
    const { result } = await makeCopy(call, termsFor, ofWhat)
    const isLarge = ofWhat === "segmentList" && sourceInfo?.segmentListBytes !== undefined
    return emptyAnswer(201, [...writtenFields(call, result, isLarge), ...copiedFields(request, sourceInfo)])
  }

  /** Its segments become one object. Throws `notImplemented` for conditions on the source. */
  private copyDynamic(request: SwiftObjectRequest, found: DynamicObject, to: Place): Soon<S3Answer> {
    const conditions = conditionsOfCopy(request)
    if (conditions.some(text => text.startsWith("x-amz-copy-source-")))
      throw fail("notImplemented", { message: "conditions on the copy of a dynamic large object are not implemented" })
    const handle = async (call: ObjectCall): Promise<S3Answer> => {
      const { info } = found
      const range = rangeOfCopy(request, info)
      await requireQuota(this.context, call, range?.lengthBytes ?? info.sizeBytes)
      const { symlink: _link, segmentPrefix: _segments, ...headers } = attributesOfCopy(request, info).headers
      const attributes = { ...attributesOfCopy(request, info), headers }
      const expiresAtSeconds = expiryIn(request.exchange.headers, timesOf(this.context))
      const body = info.sizeBytes === 0 ? undefined : await openFound(call, found, false, partOf(info, range))
      try {
        const { stored } = await storeObject(call, [], {
          attributes,
          expiresAtSeconds,
          body: sourceOf(call, body, info),
        })
        return emptyAnswer(201, [...writtenFields(call, stored), ...copiedFields(request, info)])
      } finally {
        body?.close()
      }
    }
    return this.write(request, to, operationAs("PutObject", { kind: "object", handle }), conditions)
  }
}

/** The source of a copy as it is stored: the bytes that are copied are of that one. Throws `preconditionFailed`, and as a read. */
const storedInfo = ({ services, permissions }: ObjectCall, source: CopySource): Promise<ObjectInfo> =>
  permissions.readSeen(async () => {
    const body = await services.objects.get({ ...source, headersOnly: true, isForServer: true })
    body.close()
    return body.info
  })

/** `range`: undefined for all of it. */
const partOf = (
  { etag, sizeBytes }: ObjectInfo,
  { first, lengthBytes }: ByteRange = { first: 0, lengthBytes: sizeBytes },
) => ({ range: { kind: "fromTo", first, last: first + lengthBytes - 1 }, etag }) as const

async function* nothing(): AsyncGenerator<Uint8Array> {}

const sourceOf = ({ client }: ObjectCall, body: ObjectBody | undefined, { sizeBytes }: ObjectInfo): BodySource => ({
  lengthBytes: body?.range?.lengthBytes ?? sizeBytes,
  open: pieces => body?.read(client.signal, pieces) ?? nothing(),
  gather: () => (body === undefined ? new Uint8Array() : undefined),
  declaredChecksum: () => undefined,
})

const copiedFields = (request: SwiftObjectRequest, source: ObjectInfo | undefined): HeaderField[] => {
  const { account, container, object } = request.target
  return [
    ["X-Copied-From", `${percentEncode(byteStringOfText(container))}/${percentEncode(object, true)}`],
    ["X-Copied-From-Account", account],
    ...(source === undefined ? [] : [["X-Copied-From-Last-Modified", httpDate(source.lastModifiedMs)] as const]),
    ...metadataFields(attributesOfCopy(request, source).userMetadata, OBJECT_METADATA),
  ]
}

/**
 * Returns the attributes that the request states, plus those of the source unless `X-Fresh-Metadata` is true. A copied
 * symlink or manifest stays one.
 */
function attributesOfCopy(request: SwiftObjectRequest, source: ObjectInfo | undefined): ObjectAttributes {
  const { exchange } = request
  const isFresh = isTrue(exchange.header("x-fresh-metadata")) || source === undefined
  const { symlink, segmentPrefix } = source?.headers ?? {}
  const pointers = { ...(symlink !== undefined && { symlink }), ...(segmentPrefix !== undefined && { segmentPrefix }) }
  const kept = isFresh ? pointers : source.headers
  const type = exchange.header("content-type") ?? source?.headers.contentType ?? DEFAULT_TYPE
  const metadata = new Map([...(isFresh ? [] : source.userMetadata), ...metadataHeaders(request)])
  const headers = { ...kept, ...statedContent(request), contentType: type }
  return { headers, userMetadata: checkedMetadata([...metadata]) }
}
