/** Objects of Swift: the objects of S3 with Swift's headers. */
import { httpDate } from "../base/dates.js"
import { bytesOfHex } from "../base/bytes.js"
import { contentTypeOf } from "../base/content-types.js"
import { fail } from "../base/failures.js"
import { byteStringOfText, textOfObjectKey } from "../base/ids.js"
import { after, recover, type Soon } from "../base/soon.js"
import { percentDecode, percentEncode } from "../base/uri.js"
import { HeaderLines } from "../http/index.js"
import type { CopySource, ObjectAttributes, ObjectInfo } from "../object/contract.js"
import {
  makeCopy,
  openObject,
  operationAs,
  storeObject,
  type Answer,
  type ObjectCall,
  type Translation,
} from "../s3/index.js"
import { EMPTY_SWIFT_CONTAINER, type SwiftArchive, type SwiftContainer } from "../format/swift-container.js"
import { policyHeaders } from "./policy-core.js"
import { Archive, changedMeanwhile } from "./archive.js"
import { reportOfDeletion, writeReport } from "./bulk-core.js"
import { formatOf, LISTING_TYPES } from "./listing-core.js"
import { emptyAnswer, textAnswer, linesOf, timestampOf, type Field } from "./answers.js"
import { expiryIn } from "./expiry-core.js"
import { checkedMetadata, metadataFields, metadataIn, OBJECT_METADATA, type Metadata, isTrue } from "./metadata-core.js"
import { severalRanges } from "./ranges-core.js"
import { answerRanges } from "./several-ranges.js"
import { dispositionOfTempUrl, publicMetadata } from "./temp-url-core.js"
import { DEFAULT_TYPE, requireQuota } from "./stored-files.js"
import { containerAt, infoAt, type ObjectRequest, type SwiftContext } from "./requests.js"

/** What S3 stores under the same names. */
const CONTENT_HEADERS = ["content-encoding", "content-disposition", "content-language", "cache-control", "expires"]
const READ_HEADERS = ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]

/** The listed headers of the request, and others, in the form that translations have. */
const headersOf = ({ exchange }: ObjectRequest, names: readonly string[]): string[] =>
  names.flatMap(name => {
    const value = exchange.header(name)
    return value === undefined ? [] : [name, value]
  })

/** Throws `metadataTooLarge`, `invalidRequest`. */
const metadataHeaders = ({ exchange }: ObjectRequest): Metadata =>
  checkedMetadata(metadataIn(exchange.headers, OBJECT_METADATA).filter(([, value]) => value !== ""))

const asS3 = (metadata: Metadata): string[] => metadata.flatMap(([name, value]) => [`x-amz-meta-${name}`, value])

/** As the client states it, or as the name of the object suggests. */
function typeOf({ exchange, target }: ObjectRequest): string {
  const stated = exchange.header("content-type")
  const detects = isTrue(exchange.header("x-detect-content-type"))
  if (stated !== undefined && stated !== "" && !detects) return stated
  return contentTypeOf(textOfObjectKey(target.object)) ?? DEFAULT_TYPE
}

/** Throws `invalidDigest`. */
function digestHeaders({ exchange }: ObjectRequest): string[] {
  const etag = exchange.header("etag")
  if (etag === undefined || etag === "") return []
  const md5 = bytesOfHex(etag.replace(/^"(.*)"$/, "$1").toLowerCase())
  if (md5?.length !== 16)
    throw fail("invalidDigest", { message: "the ETag of an upload is the MD5 of its body in hex" })
  return ["content-md5", Buffer.from(md5).toString("base64")]
}

const translate = (
  { target }: ObjectRequest,
  operation: Translation["operation"],
  headers: readonly string[],
): Translation => ({ operation, bucket: target.container, rawKey: target.object, headers })

/** `version-id` of the query as S3's. */
const versionOf = ({ query }: ObjectRequest): Pick<Translation, "query"> => {
  const version = query.get("version-id")
  return version === undefined ? {} : { query: [["versionId", version]] }
}

const DELETE = operationAs("DeleteObject", { kind: "object", handle: call => deleteObject(call) })

/** All values were checked when they were stored. `contentType` replaces the object's. */
function objectLines(
  call: ObjectCall,
  info: ObjectInfo,
  { tempUrl }: ObjectRequest,
  contentType?: string,
): HeaderLines {
  const { lastModifiedMs, etag, userMetadata, versionId } = info
  const fields: Field[] = [
    ["Etag", etag],
    ["Last-Modified", httpDate(lastModifiedMs)],
    ["X-Timestamp", timestampOf(lastModifiedMs)],
    ...(call.bucket.versioning === "never" ? [] : [["X-Object-Version-Id", versionId] as const]),
    // Multipart objects of S3: clients must not take their ETag for an MD5.
    ...(info.partsCount === undefined ? [] : [["X-Static-Large-Object", "True"] as const]),
    ...(info.expiresAtSeconds === undefined ? [] : [["X-Delete-At", String(info.expiresAtSeconds)] as const]),
    ...metadataFields(tempUrl === undefined ? userMetadata : publicMetadata(userMetadata), OBJECT_METADATA),
  ]
  const headers = {
    ...info.headers,
    ...(contentType !== undefined && { contentType }),
    ...(tempUrl !== undefined && {
      contentDisposition: dispositionOfTempUrl(tempUrl, info.headers.contentDisposition, call.key),
      expires: httpDate(tempUrl.expires * 1000),
    }),
  }
  const shown = contentType === undefined && tempUrl === undefined ? info.headers : headers
  return HeaderLines.ofChecked(call.context.contentLines.of(shown, call.query)).and(linesOf(fields))
}

function readObject(call: ObjectCall, request: ObjectRequest): Soon<Answer> {
  const several = severalRanges(call.headers.get("range"))
  return several === undefined ? readRange(call, request) : readSeveral(call, request, several)
}

const readRange = (call: ObjectCall, request: ObjectRequest): Soon<Answer> =>
  after(openObject(call, false), body =>
    recover(
      (): Answer => {
        const { info, range } = body
        refuseManifest(request, info)
        const lines = objectLines(call, info, request)
        if (range === undefined || range.lengthBytes === 0)
          return { status: 200, headers: lines, body: { kind: "object", body, lengthBytes: info.sizeBytes } }
        const last = range.first + range.lengthBytes - 1
        const shown = lines.and(linesOf([["Content-Range", `bytes ${range.first}-${last}/${info.sizeBytes}`]]))
        return { status: 206, headers: shown, body: { kind: "object", body, lengthBytes: range.lengthBytes } }
      },
      error => {
        body.close()
        throw error
      },
    ),
  )

const readSeveral = (call: ObjectCall, request: ObjectRequest, items: readonly string[]): Soon<Answer> =>
  after(openObject(call, true), head => {
    head.close()
    const { info } = head
    if (!holdsFor(call.headers.get("if-range"), info)) return readRange(call, request)
    const { contentType, body } = answerRanges(call, info, items)
    return { status: 206, headers: objectLines(call, info, request, contentType), body }
  })

/** Throws `notImplemented`: the parts of an object have no names. */
function refuseManifest({ query }: ObjectRequest, { partsCount }: ObjectInfo): void {
  if (partsCount !== undefined && query.get("multipart-manifest") === "get")
    throw fail("notImplemented", {
      message: "the manifest of a multipart object (multipart-manifest=get) is not implemented",
    })
}

/** Whether ranges count: `If-Range` names the object as it is, or is absent. */
const holdsFor = (ifRange: string | undefined, { etag, lastModifiedMs }: ObjectInfo): boolean =>
  ifRange === undefined || ifRange.replaceAll('"', "") === etag || ifRange === httpDate(lastModifiedMs)

const headObject = (call: ObjectCall, request: ObjectRequest): Soon<Answer> =>
  after(openObject(call, true), (body): Answer => {
    body.close()
    const { info } = body
    return {
      status: 200,
      headers: objectLines(call, info, request),
      body: { kind: "omitted", lengthBytes: info.sizeBytes },
    }
  })

const putObject = (call: ObjectCall, expiresAtSeconds: number | undefined): Soon<Answer> =>
  after(storeObject(call, [], expiresAtSeconds), ({ stored }) => emptyAnswer(201, writtenFields(call, stored)))

interface Written {
  readonly etag: string
  readonly lastModifiedMs: number
  readonly versionId: string | undefined
}

const writtenFields = ({ bucket }: ObjectCall, { etag, lastModifiedMs, versionId }: Written): Field[] => [
  ["Etag", etag],
  ["Last-Modified", httpDate(lastModifiedMs)],
  ...(versionId === undefined || bucket.versioning === "never" ? [] : [["X-Object-Version-Id", versionId] as const]),
]

async function postObject(
  { services, bucket, key }: ObjectCall,
  request: ObjectRequest,
  expiresAtSeconds: number | undefined,
): Promise<Answer> {
  const type = request.exchange.header("content-type")
  const headers = { ...statedContent(request), ...(type !== undefined && type !== "" && { contentType: type }) }
  const attributes = { headers, userMetadata: metadataHeaders(request) }
  await services.objects.setAttributes({ bucket, key, attributes, expiresAtSeconds, conditions: {} })
  return emptyAnswer(202)
}

/** Swift reports a missing object, as S3 does not. */
async function deleteObject(call: ObjectCall): Promise<Answer> {
  const { services, bucket, key, query } = call
  const version = query.get("versionId")
  const { versionId } =
    version === undefined
      ? await services.objects.remove({ bucket, key, conditions: { ifMatch: ["*"] } })
      : await removeVersion(call)
  return emptyAnswer(204, versionId === undefined ? [] : [["X-Object-Version-Id", versionId]])
}

async function removeVersion(call: ObjectCall) {
  const { services, bucket, key } = call
  const body = await openObject(call, true)
  body.close()
  return services.objects.remove({ bucket, key, versionId: body.info.versionId, conditions: {} })
}

/** `container/object`, with or without a slash before it. Throws `invalidUri`. */
function parseObjectPath(text: string, header: string): { readonly container: string; readonly object: string } {
  const [, container, object] = /^\/?([^/]+)\/(.+)$/s.exec(percentDecode(text)) ?? []
  if (container === undefined || object === undefined)
    throw fail("invalidUri", { message: `${header} header must be of the form <container name>/<object name>` })
  return { container: textOfObjectKey(container), object }
}

interface CopyPlaces {
  readonly from: { readonly account: string; readonly container: string; readonly object: string }
  readonly to: { readonly account: string; readonly container: string; readonly object: string }
}

export class SwiftObjects {
  private readonly archive: Archive

  constructor(private readonly context: SwiftContext) {
    this.archive = new Archive(context)
  }

  get(request: ObjectRequest): Soon<Answer> {
    const operation = operationAs("GetObject", { kind: "object", handle: call => readObject(call, request) })
    const headers = headersOf(request, READ_HEADERS)
    return this.run(request, { ...translate(request, operation, headers), ...versionOf(request) })
  }

  head(request: ObjectRequest): Soon<Answer> {
    const operation = operationAs("HeadObject", { kind: "object", handle: call => headObject(call, request) })
    const headers = headersOf(request, READ_HEADERS)
    return this.run(request, { ...translate(request, operation, headers), ...versionOf(request) })
  }

  put(request: ObjectRequest): Soon<Answer> {
    const from = request.exchange.header("x-copy-from")
    if (from !== undefined) return this.copyFrom(request, from)
    const expiresAtSeconds = expiryIn(request.exchange.headers, this.context.clock.wallMs())
    const headers = [
      ...["content-type", typeOf(request)],
      ...headersOf(request, [...CONTENT_HEADERS, "if-match", "if-none-match"]),
      ...digestHeaders(request),
      ...asS3(metadataHeaders(request)),
    ]
    const handle = (call: ObjectCall): Soon<Answer> =>
      after(requireQuota(this.context, call, request.exchange.contentLength), () => putObject(call, expiresAtSeconds))
    const operation = operationAs("PutObject", { kind: "object", handle })
    return this.replacing(request, request.target, more =>
      this.run(request, translate(request, operation, [...headers, ...more])),
    )
  }

  /** Replaces all metadata; the type is kept unless another is stated. */
  post(request: ObjectRequest): Soon<Answer> {
    if (request.query.has("version-id"))
      throw fail("invalidRequest", { message: "version-id is not allowed in a POST: it changes the current version" })
    const expiresAtSeconds = expiryIn(request.exchange.headers, this.context.clock.wallMs())
    const handle = (call: ObjectCall) => postObject(call, request, expiresAtSeconds)
    const operation = operationAs("PutObject", { kind: "object", handle })
    return this.run(request, translate(request, operation, []))
  }

  delete(request: ObjectRequest): Soon<Answer> {
    if (request.query.get("multipart-manifest") === "delete") return this.deleteLarge(request)
    const remove = () => this.run(request, { ...translate(request, DELETE, []), ...versionOf(request) })
    if (request.query.has("version-id")) return remove()
    return after(this.containerOf(request.target), ({ archive }) =>
      archive === undefined ? remove() : this.deleteArchived(request, archive),
    )
  }

  /** As clients delete large objects: with a report like that of a bulk delete. */
  private async deleteLarge(request: ObjectRequest): Promise<Answer> {
    const { exchange, query, target } = request
    const format = formatOf(query, exchange.header("accept"))
    const info = await infoAt(this.context, request, target)
    const path = `/${percentEncode(byteStringOfText(target.container))}/${percentEncode(target.object, true)}`
    const isLarge = info?.partsCount !== undefined
    if (isLarge) await this.run(request, translate(request, DELETE, []))
    const errors = info === undefined || isLarge ? [] : [[path, "400 Bad Request"] as const]
    const report = reportOfDeletion({ deleted: isLarge ? 1 : 0, notFound: info === undefined ? 1 : 0, errors })
    return textAnswer(200, LISTING_TYPES[format], writeReport(report, format))
  }

  private async deleteArchived(request: ObjectRequest, archive: SwiftArchive): Promise<Answer> {
    const { target } = request
    if (archive.mode === "stack") {
      const info = await infoAt(this.context, request, target)
      if (info !== undefined && (await this.archive.restore(request, archive, info.etag))) return emptyAnswer(204)
      return this.run(request, translate(request, DELETE, []))
    }
    const etag = await this.archive.keep(request, archive)
    if (etag === undefined) throw fail("noSuchKey", { key: textOfObjectKey(target.object) })
    await this.archive.noteDeletion(request, archive)
    const handle = async ({ services, bucket, key }: ObjectCall): Promise<Answer> => {
      await services.objects.remove({ bucket, key, conditions: { ifMatch: [etag] } })
      return emptyAnswer(204)
    }
    try {
      return await this.run(request, translate(request, operationAs("DeleteObject", { kind: "object", handle }), []))
    } catch (error) {
      throw changedMeanwhile(error)
    }
  }

  private containerOf({ account, container }: ObjectRequest["target"]): Soon<SwiftContainer> {
    return after(containerAt(this.context, account, container), bucket =>
      after(this.context.containers.of(bucket), found => found ?? EMPTY_SWIFT_CONTAINER),
    )
  }

  /**
   * Keeps what an object is before it is replaced, if its container wants that. `write` gets headers by which it replaces
   * nothing else, and stores under the policy of the container.
   */
  private replacing(
    request: ObjectRequest,
    place: ObjectRequest["target"],
    write: (more: readonly string[]) => Soon<Answer>,
  ): Soon<Answer> {
    const { exchange } = request
    return after(this.containerOf(place), container => {
      const { archive } = container
      const policy = policyHeaders(container)
      if (archive === undefined || exchange.header("if-none-match") === "*") return write(policy)
      return this.keepAndWrite({ ...request, target: place }, archive, more => write([...policy, ...more]))
    })
  }

  private async keepAndWrite(
    request: ObjectRequest,
    archive: SwiftArchive,
    write: (more: readonly string[]) => Soon<Answer>,
  ): Promise<Answer> {
    const etag = await this.archive.keep(request, archive)
    const isConditional = request.exchange.header("if-match") !== undefined
    try {
      return await write(isConditional ? [] : etag === undefined ? ["if-none-match", "*"] : ["if-match", etag])
    } catch (error) {
      throw isConditional ? error : changedMeanwhile(error)
    }
  }

  copy(request: ObjectRequest): Soon<Answer> {
    const { exchange, target } = request
    const destination = exchange.header("destination")
    if (destination === undefined || destination === "")
      throw fail("invalidUri", { message: "Destination header required" })
    const account = exchange.header("destination-account") ?? target.account
    return this.runCopy(request, { from: target, to: { account, ...parseObjectPath(destination, "Destination") } })
  }

  /** A copy has no body of its own. */
  private copyFrom(request: ObjectRequest, text: string): Soon<Answer> {
    const { exchange, target } = request
    if ((exchange.contentLength ?? 0) > 0)
      throw fail("invalidRequest", { message: "Copy requests require a zero byte body" })
    const account = exchange.header("x-copy-from-account") ?? target.account
    return this.runCopy(request, { from: { account, ...parseObjectPath(text, "X-Copy-From") }, to: target })
  }

  private runCopy(request: ObjectRequest, { from, to }: CopyPlaces): Soon<Answer> {
    const version = request.query.get("version-id")
    const source = `/${percentEncode(byteStringOfText(from.container))}/${percentEncode(from.object, true)}`
    const headers = [
      ...["x-amz-copy-source", version === undefined ? source : `${source}?versionId=${percentEncode(version)}`],
      ...headersOf(request, ["if-match", "if-none-match"]),
    ]
    const operation = operationAs("CopyObject", { kind: "object", handle: call => this.makeCopy(call, request, from) })
    const translation = { operation, bucket: to.container, rawKey: to.object }
    return after(containerAt(this.context, from.account, from.container), () =>
      this.replacing(request, to, more =>
        this.context.calls.run(request.request, request.caller, { ...translation, headers: [...headers, ...more] }),
      ),
    )
  }

  private makeCopy(call: ObjectCall, request: ObjectRequest, from: CopyPlaces["from"]): Promise<Answer> {
    return copyObject(call, request, from, source => requireQuota(this.context, call, source.sizeBytes))
  }

  private run(request: ObjectRequest, translation: Translation): Soon<Answer> {
    const { account, container } = request.target
    return after(containerAt(this.context, account, container), () =>
      this.context.calls.run(request.request, request.caller, translation),
    )
  }
}

async function copyObject(
  call: ObjectCall,
  request: ObjectRequest,
  from: CopyPlaces["from"],
  check: (source: ObjectInfo) => Soon<void>,
): Promise<Answer> {
  let sourceInfo: ObjectInfo | undefined
  const expiresAtSeconds = expiryIn(request.exchange.headers, call.nowMs)
  const termsFor = async (source: CopySource) => {
    const body = await call.services.objects.get({ ...source, headersOnly: true, isForServer: true })
    body.close()
    sourceInfo = body.info
    await check(body.info)
    const attributes = attributesOfCopy(request, body.info)
    return { attributes, expiresAtSeconds: expiresAtSeconds ?? body.info.expiresAtSeconds }
  }
  const { result } = await makeCopy(call, termsFor)
  return emptyAnswer(201, [
    ...writtenFields(call, result),
    ["X-Copied-From", `${percentEncode(byteStringOfText(from.container))}/${percentEncode(from.object, true)}`],
    ["X-Copied-From-Account", from.account],
    ...(sourceInfo === undefined
      ? []
      : [["X-Copied-From-Last-Modified", httpDate(sourceInfo.lastModifiedMs)] as const]),
    ...metadataFields(attributesOfCopy(request, sourceInfo).userMetadata, OBJECT_METADATA),
  ])
}

/** What the request states, beside what the source has unless the client wants only new metadata. */
function attributesOfCopy(request: ObjectRequest, source: ObjectInfo | undefined): ObjectAttributes {
  const { exchange } = request
  const isFresh = isTrue(exchange.header("x-fresh-metadata")) || source === undefined
  const stated = statedContent(request)
  const kept = isFresh ? {} : source.headers
  const type = exchange.header("content-type") ?? source?.headers.contentType ?? DEFAULT_TYPE
  const metadata = new Map([...(isFresh ? [] : source.userMetadata), ...metadataHeaders(request)])
  return { headers: { ...kept, ...stated, contentType: type }, userMetadata: checkedMetadata([...metadata]) }
}

function statedContent({ exchange }: ObjectRequest): ObjectAttributes["headers"] {
  const stated = {
    contentEncoding: exchange.header("content-encoding"),
    contentDisposition: exchange.header("content-disposition"),
    contentLanguage: exchange.header("content-language"),
    cacheControl: exchange.header("cache-control"),
    expires: exchange.header("expires"),
  }
  return Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined && value !== ""))
}
