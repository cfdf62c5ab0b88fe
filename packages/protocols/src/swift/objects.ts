/** Objects of Swift: the objects of S3 with Swift's headers. */
import { httpDate } from "@hayloft/base/text/dates.js"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { contentTypeOf } from "@hayloft/base/http/content-types.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { after, asPromise, recover, type Soon } from "@hayloft/base/soon.js"
import { textOfTimestamp, type Timestamp } from "@hayloft/base/text/timestamp.js"
import { HeaderLines } from "../http/index.js"
import type { ContentHeaders, ObjectBody, ObjectInfo, PutRequest } from "@hayloft/objects/contract.js"
import { segmentsMd5Of, timestampOfInfo } from "@hayloft/objects/index.js"
import {
  openFound,
  openObject,
  operationAs,
  parseVersion,
  storeObject,
  type S3Answer,
  type ObjectCall,
  type PartOfObject,
  type Translation,
} from "../s3/index.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { decodeSymlink, encodeSymlink } from "@hayloft/engine/format/objects/symlink.js"
import {
  EMPTY_SWIFT_CONTAINER,
  type SwiftArchive,
  type SwiftContainer,
} from "@hayloft/engine/format/swift/swift-container.js"
import { policyHeaders } from "./middleware/policy-core.js"
import { Archive, changedMeanwhile } from "./middleware/archive.js"
import type { SwiftCallers } from "./callers.js"
import { LISTING_TYPES } from "./listing-core.js"
import { asksForManifest, isRepeatedManifest, putManifest, readManifest } from "./middleware/large-objects.js"
import { emptyAnswer, textAnswer, headerLinesOf } from "./answers.js"
import { expiryIn } from "./middleware/expiry-core.js"
import { metadataFields, OBJECT_METADATA, type SwiftMetadata, isTrue } from "./metadata-core.js"
import { followLink, newLink, segmentsBelow, type DynamicObject } from "./middleware/pointers.js"
import { pathOfLink, pointerFields, pointerOf, statedPrefix, SYMLINK_TYPE } from "./middleware/pointers-core.js"
import { Copies, isCopy } from "./copies.js"
import { metadataHeaders, shownEtag, statedContent, versionFields, writtenFields } from "./object-headers.js"
import { severalRanges } from "./middleware/ranges-core.js"
import { answerRanges } from "./middleware/several-ranges.js"
import { dispositionOfTempUrl, publicMetadata } from "./middleware/temp-url-core.js"
import { DEFAULT_TYPE, requireQuota } from "./stored-files.js"
import { unlessOlder } from "./middleware/sync-requests.js"
import { timesOf, containerAt, infoAt, type SwiftObjectRequest, type SwiftContext } from "./requests.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** The headers that S3 stores under the same names. */
const CONTENT_HEADERS = ["content-encoding", "content-disposition", "content-language", "cache-control", "expires"]
const READ_HEADERS = ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]

/** The listed headers of the request, and others, in the form that translations have. */
const headersOf = ({ exchange }: Pick<SwiftObjectRequest, "exchange">, names: readonly string[]): string[] =>
  names.flatMap(name => {
    const value = exchange.header(name)
    return value === undefined ? [] : [name, value]
  })

const asS3 = (metadata: SwiftMetadata): string[] => metadata.flatMap(([name, value]) => [`x-amz-meta-${name}`, value])

/** Returns the content type that the client states, or else the one that the name of the object suggests. */
function typeOf({ exchange, target }: SwiftObjectRequest, ofKind: string | undefined): string {
  const stated = exchange.header("content-type")
  const detects = isTrue(exchange.header("x-detect-content-type"))
  if (stated !== undefined && stated !== "" && !detects) return stated
  return ofKind ?? contentTypeOf(textOfObjectKey(target.object)) ?? DEFAULT_TYPE
}

/** An ETag is the MD5 of the body, and optional; `Content-MD5`, as S3 has it, is checked too. Throws `invalidDigest`. */
function digestHeaders({ exchange }: SwiftObjectRequest): string[] {
  const etag = exchange.header("etag")
  if (etag === undefined || etag === "") return headersOf({ exchange }, ["content-md5"])
  const md5 = bytesOfHex(etag.replace(/^"(.*)"$/, "$1").toLowerCase())
  if (md5?.length !== 16)
    throw fail("invalidDigest", { message: "the ETag of an upload is the MD5 of its body in hex" })
  return ["content-md5", Buffer.from(md5).toString("base64")]
}

const translate = (
  { target }: SwiftObjectRequest,
  operation: Translation["operation"],
  headers: readonly string[],
): Translation => ({ operation, bucket: target.container, rawKey: target.object, headers })

/** `version-id` of the query as S3's. */
const versionOf = ({ query }: SwiftObjectRequest): Pick<Translation, "query"> => {
  const version = query.get("version-id")
  return version === undefined ? {} : { query: [["versionId", version]] }
}

const DELETE = operationAs("DeleteObject", { kind: "object", handle: call => deleteObject(call) })

/** Returns what is shown of an object beside its content headers. */
function objectFields(call: ObjectCall, info: ObjectInfo, { tempUrl }: SwiftObjectRequest): HeaderField[] {
  const { lastModifiedMs, userMetadata, versionId } = info
  return [
    ["Etag", shownEtag(info)],
    ["Last-Modified", httpDate(lastModifiedMs)],
    ["X-Timestamp", textOfTimestamp(timestampOfInfo(info))],
    ...versionFields(call.bucket, versionId),
    // Also multipart objects of S3: clients must not take their ETag for an MD5.
    ...(info.partsCount === undefined ? [] : [["X-Static-Large-Object", "True"] as const]),
    ...pointerFields(info.headers),
    ...(info.expiresAtSeconds === undefined ? [] : [["X-Delete-At", String(info.expiresAtSeconds)] as const]),
    ...metadataFields(tempUrl === undefined ? userMetadata : publicMetadata(userMetadata), OBJECT_METADATA),
  ]
}

/** All values were checked when they were stored. `contentType` replaces the object's. */
function objectLines(
  call: ObjectCall,
  info: ObjectInfo,
  request: SwiftObjectRequest,
  contentType?: string,
): HeaderLines {
  const { tempUrl } = request
  const headers = {
    ...info.headers,
    ...(contentType !== undefined && { contentType }),
    ...(tempUrl !== undefined && {
      contentDisposition: dispositionOfTempUrl(tempUrl, info.headers.contentDisposition, call.key),
      expires: httpDate(tempUrl.expires * 1000),
    }),
  }
  const shown = contentType === undefined && tempUrl === undefined ? info.headers : headers
  const lines = HeaderLines.ofChecked(call.context.contentLines.of(shown, call.query))
  return lines.and(headerLinesOf(objectFields(call, info, request)))
}

/** An object that a call reads: one that is stored, or the segments of a dynamic one. */
interface Reading {
  readonly call: ObjectCall
  readonly request: SwiftObjectRequest
  readonly open: (headersOnly: boolean, part?: PartOfObject) => Soon<ObjectBody>
}

/** `segment`: the one that the request asks for; undefined: all. */
const storedObject = (call: ObjectCall, request: SwiftObjectRequest, segment: PartOfObject | undefined): Reading => ({
  call,
  request,
  open: (headersOnly, part = segment) => openObject(call, headersOnly, part),
})

/**
 * The segment that `part-number` names, of a large object; undefined: the request names none. Throws `invalidRequest`.
 * Source  `get_valid_part_num` in `common/request_helpers.py`, OpenStack Swift.
 */
function segmentAsked(
  { query }: SwiftObjectRequest,
  call: ObjectCall,
  { partsCount }: ObjectInfo,
): PartOfObject | undefined {
  const text = query.get("part-number")
  if (text === undefined || partsCount === undefined) return undefined
  const refused = (message: string) => fail("invalidRequest", { message, isPlain: true })
  const partNumber = /^\d+$/.test(text) ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : 0
  if (partNumber < 1) throw refused("Part number must be an integer greater than 0")
  if (call.headers.has("range")) throw refused("Range requests are not supported with part number queries")
  return { range: { kind: "part", partNumber } }
}

/** Returns what an answer says of the part of an object that it has. */
function rangeFields({ info, range }: ObjectBody, { query }: SwiftObjectRequest): HeaderField[] {
  const counted: HeaderField[] =
    info.partsCount === undefined || !query.has("part-number") ? [] : [["X-Parts-Count", String(info.partsCount)]]
  if (range === undefined || range.lengthBytes === 0) return counted
  const last = range.first + range.lengthBytes - 1
  return [["Content-Range", `bytes ${range.first}-${last}/${info.sizeBytes}`], ...counted]
}

const dynamicObject = (call: ObjectCall, request: SwiftObjectRequest, found: DynamicObject): Reading => ({
  call,
  request,
  open: (headersOnly, part) => openFound(call, found, headersOnly, part),
})

function readObject(reading: Reading): Soon<S3Answer> {
  const several = severalRanges(reading.call.headers.get("range"))
  return several === undefined ? readRange(reading) : readSeveral(reading, several)
}

const readRange = ({ call, request, open }: Reading): Soon<S3Answer> =>
  after(open(false), body =>
    recover(
      (): S3Answer => {
        const { info, range } = body
        refuseManifest(request, info)
        const lines = objectLines(call, info, request)
        if (range === undefined || range.lengthBytes === 0)
          return { status: 200, headers: lines, body: { kind: "object", body, lengthBytes: info.sizeBytes } }
        const shown = lines.and(headerLinesOf(rangeFields(body, request)))
        return { status: 206, headers: shown, body: { kind: "object", body, lengthBytes: range.lengthBytes } }
      },
      error => {
        body.close()
        throw error
      },
    ),
  )

const readSeveral = (reading: Reading, items: readonly string[]): Soon<S3Answer> =>
  after(reading.open(true), head => {
    head.close()
    const { call, request } = reading
    const { info } = head
    if (!holdsFor(call.headers.get("if-range"), info)) return readRange(reading)
    const { contentType, body } = answerRanges(reading, info, items)
    return { status: 206, headers: objectLines(call, info, request, contentType), body }
  })

/** Throws `notImplemented`: the parts of an object have no names. */
function refuseManifest({ query }: SwiftObjectRequest, { partsCount }: ObjectInfo): void {
  if (partsCount !== undefined && query.get("multipart-manifest") === "get")
    throw fail("notImplemented", {
      message: "the manifest of a multipart object (multipart-manifest=get) is not implemented",
    })
}

/** Returns true if ranges count: `If-Range` names the object as it is, or is absent. */
function holdsFor(ifRange: string | undefined, info: ObjectInfo): boolean {
  if (ifRange === undefined || ifRange === httpDate(info.lastModifiedMs)) return true
  return [info.etag, segmentsMd5Of(info)].includes(ifRange.replaceAll('"', ""))
}

/** The manifest of a large object; of another object, what it is without the question. */
const answerManifest = (
  call: ObjectCall,
  request: SwiftObjectRequest,
  otherwise: () => Soon<S3Answer>,
): Soon<S3Answer> =>
  after(readManifest(call, request), (shown): Soon<S3Answer> => {
    if (shown === undefined) return otherwise()
    // The raw one can be put again as it came, with the type of the object.
    const isRaw = request.query.get("format") === "raw"
    const type = isRaw ? (shown.info.headers.contentType ?? DEFAULT_TYPE) : LISTING_TYPES.json
    const answer = textAnswer(200, type, shown.text, objectFields(call, shown.info, request))
    if (request.exchange.method !== "HEAD") return answer
    const headers = answer.headers.and(headerLinesOf([["Content-Type", type]]))
    return { status: 200, headers, body: { kind: "omitted", lengthBytes: Buffer.byteLength(shown.text) } }
  })

const headObject = ({ call, request, open }: Reading): Soon<S3Answer> =>
  after(open(true), (body): S3Answer => {
    body.close()
    const { info, range } = body
    const lines = objectLines(call, info, request)
    const isPart = range !== undefined && request.query.has("part-number")
    if (!isPart) return { status: 200, headers: lines, body: { kind: "omitted", lengthBytes: info.sizeBytes } }
    const headers = lines.and(headerLinesOf(rangeFields(body, request)))
    return { status: 206, headers, body: { kind: "omitted", lengthBytes: range.lengthBytes } }
  })

type PointingHeaders = Partial<Pick<ContentHeaders, "symlink" | "segmentPrefix">>

/** `points`: where the object does. */
const putObject = (
  call: ObjectCall,
  points: PointingHeaders | undefined,
  { expiresAtSeconds, timestamp }: Pick<PutRequest, "expiresAtSeconds" | "timestamp">,
): Soon<S3Answer> => {
  const stated = points && call.context.attributes.of(call.headers)
  const attributes = stated && { ...stated, headers: { ...stated.headers, ...points } }
  const storing = storeObject(call, [], {
    expiresAtSeconds,
    timestamp,
    mayLackDigest: true,
    ...(attributes && { attributes }),
  })
  return after(storing, ({ stored }) => emptyAnswer(201, writtenFields(call, stored)))
}

async function postObject(
  { services, bucket, key }: ObjectCall,
  request: SwiftObjectRequest,
  expiresAtSeconds: number | undefined,
): Promise<S3Answer> {
  const type = request.exchange.header("content-type")
  const segmentPrefix = statedPrefix(request.exchange.headers)
  const headers = {
    ...statedContent(request),
    ...(type !== undefined && type !== "" && { contentType: type }),
    ...(segmentPrefix !== undefined && { segmentPrefix }),
  }
  const attributes = { headers, userMetadata: metadataHeaders(request) }
  await services.objects.setAttributes({ bucket, key, attributes, expiresAtSeconds, conditions: {} })
  const posted = await services.objects.get({ bucket, key, conditions: {}, headersOnly: true, isForServer: true })
  posted.close()
  const { symlink } = posted.info.headers
  if (symlink === undefined) return emptyAnswer(202)
  const message =
    "The requested POST was applied to a symlink. POST directly to the target to apply requested metadata."
  return textAnswer(307, "text/plain", message, [["Location", pathOfLink(decodeSymlink(symlink))]])
}

/** Swift reports a missing object, as S3 does not. */
async function deleteObject(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, query } = call
  const version = query.get("versionId")
  const { versionId } =
    version === undefined
      ? await services.objects.remove({ bucket, key, conditions: { ifMatch: ["*"] } })
      : await removeVersion(call, version)
  return emptyAnswer(204, versionFields(bucket, versionId))
}

/** A version that marks a deletion is removed like any other. */
async function removeVersion(call: ObjectCall, version: string) {
  const { services, bucket, key } = call
  const found = await asPromise(() => openObject(call, true)).catch((error: unknown) => {
    if (!isFailure(error, "isDeleteMarker")) throw error
    return undefined
  })
  found?.close()
  return services.objects.remove({ bucket, key, versionId: parseVersion(version), conditions: {} })
}

interface HowToRead {
  readonly like: "GetObject" | "HeadObject"
  readonly answer: (reading: Reading) => Soon<S3Answer>
  /** Symbolic links that were followed. */
  readonly links: number
}

/** Returns what is at the key, whatever it points to. */
const storedInfo = ({ services, bucket, key, query }: ObjectCall): Soon<ObjectInfo> => {
  const version = query.get("versionId")
  const named = version === undefined ? {} : { versionId: parseVersion(version) }
  const reading = services.objects.get({ bucket, key, ...named, conditions: {}, headersOnly: true, isForServer: true })
  return after(reading, body => {
    body.close()
    return body.info
  })
}

export class SwiftObjects {
  private readonly archive: Archive
  private readonly copies: Copies

  constructor(
    private readonly context: SwiftContext,
    callers: SwiftCallers,
  ) {
    this.archive = new Archive(context, callers)
    this.copies = new Copies(context, (request, place, write) => this.replacing(request, place, write))
  }

  get(request: SwiftObjectRequest): Soon<S3Answer> {
    return this.read(request, { like: "GetObject", answer: readObject, links: 0 })
  }

  head(request: SwiftObjectRequest): Soon<S3Answer> {
    return this.read(request, { like: "HeadObject", answer: headObject, links: 0 })
  }

  /** Conditions and ranges are about what an object points to, so that is asked first. */
  private read(request: SwiftObjectRequest, how: HowToRead): Soon<S3Answer> {
    let pointing: ObjectInfo | undefined
    const handle = (call: ObjectCall): Soon<S3Answer> =>
      after(storedInfo(call), info => {
        if (pointerOf(info.headers, request.query) !== undefined) {
          pointing = info
          return emptyAnswer(204)
        }
        const read = () => how.answer(storedObject(call, request, segmentAsked(request, call, info)))
        return asksForManifest(request, "get") ? answerManifest(call, request, read) : read()
      })
    return after(this.runRead(request, how, handle), answer =>
      pointing === undefined ? answer : this.readThere(request, how, pointing),
    )
  }

  private readThere(request: SwiftObjectRequest, how: HowToRead, info: ObjectInfo): Soon<S3Answer> {
    const pointer = must(pointerOf(info.headers, request.query), "the object points somewhere")
    if (pointer.kind === "link")
      return followLink(this.context, request, { to: pointer.to, links: how.links }, target =>
        this.read(target, { ...how, links: how.links + 1 }),
      )
    return segmentsBelow(this.context, request, pointer, info).then(found =>
      asPromise(() => this.runRead(request, how, call => how.answer(dynamicObject(call, request, found)))),
    )
  }

  private runRead(
    request: SwiftObjectRequest,
    { like }: HowToRead,
    handle: (call: ObjectCall) => Soon<S3Answer>,
  ): Soon<S3Answer> {
    const operation = operationAs(like, { kind: "object", handle })
    const headers = headersOf(request, READ_HEADERS)
    return this.run(request, { ...translate(request, operation, headers), ...versionOf(request) })
  }

  put(request: SwiftObjectRequest): Soon<S3Answer> {
    const from = request.exchange.header("x-copy-from")
    const isManifest = asksForManifest(request, "put")
    if (from !== undefined && isManifest)
      throw fail("invalidRequest", { message: "Multipart Manifest PUTs cannot be COPY requests" })
    if (from !== undefined) return this.copies.from(request, from)
    if (request.query.has("version-id")) return this.copies.restoreVersion(request)
    const segmentPrefix = statedPrefix(request.exchange.headers)
    if (request.exchange.headers.get("x-symlink-target") === undefined)
      return this.putBody(request, segmentPrefix === undefined ? undefined : { segmentPrefix })
    if (segmentPrefix !== undefined || isManifest)
      throw fail("invalidRequest", { message: "a symbolic link is no large object" })
    return newLink(this.context, request).then(link =>
      asPromise(() => this.putBody(request, link && { symlink: encodeSymlink(link.to) }, link?.contentType)),
    )
  }

  /** `points`: where the object does. `typeOfTarget`: of what a static link is for. */
  private putBody(
    request: SwiftObjectRequest,
    points: PointingHeaders | undefined,
    typeOfTarget: string = SYMLINK_TYPE,
  ): Soon<S3Answer> {
    const isManifest = asksForManifest(request, "put") || isRepeatedManifest(request)
    const expiresAtSeconds = expiryIn(request.exchange.headers, timesOf(this.context))
    const headers = [
      "content-type",
      typeOf(request, points?.symlink === undefined ? undefined : typeOfTarget),
      ...headersOf(request, [...CONTENT_HEADERS, "if-match", "if-none-match"]),
      ...(isManifest ? [] : digestHeaders(request)),
      ...asS3(metadataHeaders(request)),
    ]
    const handle = (call: ObjectCall): Soon<S3Answer> => {
      if (isManifest) return putManifest(this.context, call, request, expiresAtSeconds)
      const { contentLength } = request.exchange
      return after(requireQuota(this.context, call, contentLength), () =>
        putObject(call, points, { expiresAtSeconds, timestamp: request.repeats }),
      )
    }
    const operation = operationAs("PutObject", { kind: "object", handle })
    return unlessOlder(request, () =>
      this.replacing(request, request.target, more =>
        this.run(request, translate(request, operation, [...headers, ...more])),
      ),
    )
  }

  /** Replaces all metadata; the type is kept unless another is stated. */
  post(request: SwiftObjectRequest): Soon<S3Answer> {
    if (request.query.has("version-id"))
      throw fail("invalidRequest", { message: "version-id is not allowed in a POST: it changes the current version" })
    if ((request.exchange.header("x-symlink-target") ?? "") !== "")
      throw fail("invalidRequest", { message: "A PUT request is required to set a symlink target" })
    const expiresAtSeconds = expiryIn(request.exchange.headers, timesOf(this.context))
    const handle = (call: ObjectCall) => postObject(call, request, expiresAtSeconds)
    const operation = operationAs("PutObject", { kind: "object", handle })
    return this.run(request, translate(request, operation, []))
  }

  delete(request: SwiftObjectRequest): Soon<S3Answer> {
    const { repeats } = request
    if (repeats !== undefined) return this.repeatRemoval(request, repeats)
    const remove = () => this.run(request, { ...translate(request, DELETE, []), ...versionOf(request) })
    const { account, container } = request.target
    const version = request.query.get("version-id")
    return after(containerAt(this.context, account, container), bucket => {
      // If versions were never kept, the null version is the object itself, which its archive keeps.
      const isObject = version === undefined || (version === NULL_VERSION && bucket.versioning === "never")
      if (!isObject) return remove()
      return after(this.context.containers.of(bucket), found =>
        found?.archive === undefined ? remove() : this.deleteArchived(request, found.archive),
      )
    })
  }

  private repeatRemoval(request: SwiftObjectRequest, timestamp: Timestamp): Soon<S3Answer> {
    const handle = async ({ services, bucket, key }: ObjectCall): Promise<S3Answer> => {
      await services.objects.remove({ bucket, key, conditions: {}, timestamp })
      return emptyAnswer(204)
    }
    const operation = operationAs("DeleteObject", { kind: "object", handle })
    return unlessOlder(request, () => this.run(request, translate(request, operation, [])))
  }

  private async deleteArchived(request: SwiftObjectRequest, archive: SwiftArchive): Promise<S3Answer> {
    const { target } = request
    if (archive.mode === "stack") {
      const info = await infoAt(this.context, request, target)
      if (await this.archive.restore(request, archive, info?.etag)) return emptyAnswer(204)
      return this.run(request, translate(request, DELETE, []))
    }
    const etag = await this.archive.keep(request, archive)
    if (etag === undefined) throw fail("noSuchKey", { key: textOfObjectKey(target.object) })
    await this.archive.noteDeletion(request, archive)
    const handle = async ({ services, bucket, key }: ObjectCall): Promise<S3Answer> => {
      await services.objects.remove({ bucket, key, conditions: { ifMatch: [etag] } })
      return emptyAnswer(204)
    }
    try {
      return await this.run(request, translate(request, operationAs("DeleteObject", { kind: "object", handle }), []))
    } catch (error) {
      throw changedMeanwhile(error)
    }
  }

  private containerOf({ account, container }: SwiftObjectRequest["target"]): Soon<SwiftContainer> {
    return after(containerAt(this.context, account, container), bucket =>
      after(this.context.containers.of(bucket), found => found ?? EMPTY_SWIFT_CONTAINER),
    )
  }

  /**
   * Keeps what an object is before it is replaced, if its container wants that. `write` gets headers by which it replaces
   * nothing else, and stores under the policy of the container.
   */
  private replacing(
    request: SwiftObjectRequest,
    place: SwiftObjectRequest["target"],
    write: (more: readonly string[]) => Soon<S3Answer>,
  ): Soon<S3Answer> {
    const { exchange } = request
    return after(this.containerOf(place), container => {
      const { archive } = container
      const policy = policyHeaders(container)
      if (archive === undefined || exchange.header("if-none-match") === "*") return write(policy)
      return this.keepAndWrite({ ...request, target: place }, archive, more => write([...policy, ...more]))
    })
  }

  private async keepAndWrite(
    request: SwiftObjectRequest,
    archive: SwiftArchive,
    write: (more: readonly string[]) => Soon<S3Answer>,
  ): Promise<S3Answer> {
    const etag = await this.archive.keep(request, archive)
    const isConditional = !isCopy(request) && request.exchange.header("if-match") !== undefined
    try {
      return await write(isConditional ? [] : etag === undefined ? ["if-none-match", "*"] : ["if-match", etag])
    } catch (error) {
      throw isConditional ? error : changedMeanwhile(error)
    }
  }

  copy(request: SwiftObjectRequest): Soon<S3Answer> {
    return this.copies.to(request)
  }

  private run(request: SwiftObjectRequest, translation: Translation): Soon<S3Answer> {
    const { account, container } = request.target
    return after(containerAt(this.context, account, container), () =>
      this.context.calls.run(request.request, request.caller, translation),
    )
  }
}
