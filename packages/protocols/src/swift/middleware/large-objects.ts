/**
 * Static large objects: manifests that are put, shown, and deleted with their segments.
 *
 * Limits  `SEGMENTS_CONCURRENT` segments of a manifest are looked at together; `MANIFEST_LIMITS`; as many names are deleted as
 *         by a bulk delete.
 */
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { byteStringOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import { encodeSegmentList, type Segment } from "@hayloft/engine/format/objects/segment-list.js"
import { readBody } from "../../http/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { LARGE_OBJECT_LIMITS, segmentsIn, segmentsMd5Of } from "@hayloft/objects/index.js"
import type { BodySource, ObjectInfo } from "@hayloft/objects/contract.js"
import {
  openSegmentList,
  operationAs,
  segmentInfo,
  storeObject,
  type S3Answer,
  type ObjectCall,
} from "../../s3/index.js"
import { emptyAnswer, textAnswer } from "../answers.js"
import { BULK_LIMITS, writeReport } from "./bulk-core.js"
import { statusOf } from "../failures.js"
import {
  checkSegment,
  largeObjectOf,
  levelsOf,
  MANIFEST_LIMITS,
  md5Of,
  parseManifest,
  rawManifest,
  shownManifest,
  type AskedSegment,
  type FoundObject,
  type SegmentProblem,
} from "./large-objects-core.js"
import { formatOf, LISTING_TYPES } from "../listing-core.js"
import { isTrue } from "../metadata-core.js"
import { writtenFields } from "../object-headers.js"
import { containerAt, type SwiftObjectRequest, type SwiftContext } from "../requests.js"
import { requireQuota } from "../stored-files.js"
import { clientManifest } from "./sync-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const SEGMENTS_CONCURRENT = 8
const DEFAULT_TYPE = "application/octet-stream"

/** Returns true if the request asks for the manifest of a large object instead of its bytes. */
export const asksForManifest = (
  { query }: Pick<SwiftObjectRequest, "query">,
  verb: "get" | "put" | "delete",
): boolean => query.get("multipart-manifest") === verb

/** Returns true if the body is a manifest as another cluster sends it. */
export const isRepeatedManifest = ({ repeats, exchange }: SwiftObjectRequest): boolean =>
  repeats !== undefined && isTrue(exchange.header("x-static-large-object"))

/** Stores the manifest in the body of a request. Throws `invalidRequest`, `entityTooLarge`, `badDigest`, and as a PUT. */
export async function putManifest(
  context: SwiftContext,
  call: ObjectCall,
  request: SwiftObjectRequest,
  expiresAtSeconds: number | undefined,
): Promise<S3Answer> {
  const { exchange, target } = request
  const isRepeated = isRepeatedManifest(request)
  const read = await readBody(exchange, MANIFEST_LIMITS.manifestBytesMax)
  const body = isRepeated ? clientManifest(read) : read
  const own = { container: byteStringOfText(target.container), key: target.object }
  const { segments, problems, levels } = await checkAll(call, parseManifest(body, own))
  if (problems.length > 0) return refusal(request, problems)
  const largeObject = largeObjectOf(segments, levels)
  // Another cluster states that of the manifest.
  const etag = isRepeated ? undefined : exchange.header("etag")?.replace(/^"(.*)"$/, "$1")
  if (etag !== undefined && etag !== "" && etag.toLowerCase() !== Buffer.from(largeObject.md5).toString("hex"))
    throw fail("badDigest", { message: "the ETag is not that of the large object" })
  const bytes = encodeSegmentList(segments)
  await requireQuota(context, call, bytes.length)
  const { stored } = await storeObject(call, [], {
    expiresAtSeconds,
    largeObject,
    body: sourceOf(bytes),
    timestamp: request.repeats,
  })
  const fields = writtenFields(call, stored, true)
  return asksForHeartbeat(request) ? report(request, "201 Created", [], fields) : emptyAnswer(201, fields)
}

const sourceOf = (bytes: Uint8Array): BodySource => ({
  lengthBytes: bytes.length,
  async *open() {
    yield bytes
  },
  gather: () => bytes,
  declaredChecksum: () => undefined,
})

/** All segments of a manifest, or all their problems. */
async function checkAll(call: ObjectCall, asked: readonly AskedSegment[]) {
  const checked = await mapBounded(asked, SEGMENTS_CONCURRENT, async (segment, index) => {
    const found = segment.kind === "data" ? undefined : await foundAt(call, segment.place)
    return { found, result: checkSegment(segment, found, index === asked.length - 1) }
  })
  const results = checked.map(({ result }) => result)
  const segments = results.filter((each): each is Segment => "kind" in each)
  const problems = results.flatMap((each): readonly SegmentProblem[] => ("kind" in each ? [] : each))
  return { segments, problems, levels: levelsOf(checked.map(({ found }) => found)) }
}

/** The bytes stored at a pointer are not those that are read there. */
const POINTER_REFUSED = "Symbolic links and dynamic large objects cannot be segments."

/** A text: the status with which it was not found, or why it cannot be a segment. */
async function foundAt(
  call: ObjectCall,
  place: { readonly container: string; readonly key: string },
): Promise<FoundObject | string> {
  try {
    const info = await segmentInfo(call, { container: textOfObjectKey(place.container), key: place.key })
    const { sizeBytes, etag, headers, lastModifiedMs } = info
    if (headers.symlink !== undefined || headers.segmentPrefix !== undefined) return POINTER_REFUSED
    const md5 = segmentsMd5Of(info)
    const contentType = headers.contentType ?? DEFAULT_TYPE
    const levels = md5 === undefined ? 0 : (info.segmentLevels ?? 1)
    return { sizeBytes, etag: md5 ?? etag, contentType, lastModifiedMs, levels }
  } catch (error) {
    const failure = asFailure(error)
    if (failure.kind === "internal") throw error
    return statusOf(failure)
  }
}

const asksForHeartbeat = ({ query }: SwiftObjectRequest): boolean => isTrue(query.get("heartbeat"))

function refusal(request: SwiftObjectRequest, problems: readonly SegmentProblem[]): S3Answer {
  if (asksForHeartbeat(request)) return report(request, "400 Bad Request", problems)
  const format = formatOf(request.query, request.exchange.header("accept"))
  return textAnswer(400, LISTING_TYPES[format], writeReport({ root: "upload", members: [], errors: problems }, format))
}

/** Returns the response that Swift sends with a heartbeat: the status is in the body. */
function report(
  { query, exchange }: SwiftObjectRequest,
  status: string,
  errors: readonly SegmentProblem[],
  fields: readonly HeaderField[] = [],
): S3Answer {
  const format = formatOf(query, exchange.header("accept"))
  const ofObject = fields.map(([name, value]) => [name.replaceAll("-", " "), value] as const)
  const members = [["Response Status", status], ["Response Body", ""], ...ofObject] as const
  return textAnswer(202, LISTING_TYPES[format], writeReport({ root: "upload", members, errors }, format))
}

/** A manifest as it is shown. */
interface ShownManifest {
  /** The info of the large object, with the ETag of the shown text. */
  readonly info: ObjectInfo
  readonly text: string
}

/** Returns undefined if the object is no large object. Throws as a read. */
export const readManifest = (call: ObjectCall, { query }: SwiftObjectRequest): Soon<ShownManifest | undefined> =>
  after(segmentsOf(call), found => {
    if (found === undefined) return undefined
    const text = query.get("format") === "raw" ? rawManifest(found.segments) : shownManifest(found.segments)
    return { info: { ...found.info, etag: md5Of(text), segmentListBytes: undefined }, text }
  })

interface LargeObjectOfCall {
  readonly info: ObjectInfo
  readonly segments: readonly Segment[]
}

const segmentsOf = (call: ObjectCall): Soon<LargeObjectOfCall | undefined> =>
  after(openSegmentList(call), body => {
    const { info } = body
    if (info.segmentListBytes !== undefined) return segmentsIn(body).then(segments => ({ info, segments }))
    body.close()
    return undefined
  })

/**
 * The names of a large object's segments, and of theirs, each once: byte strings. Undefined: it is no large object. Throws
 * `entityTooLarge`, and as a read.
 */
export async function namesOfSegments(
  context: SwiftContext,
  request: SwiftObjectRequest,
): Promise<readonly string[] | undefined> {
  const { container, object } = request.target
  const search: SegmentSearch = { context, request, names: new Set(), opened: new Map() }
  const isLarge = await addNames(search, { container, object }, 1)
  return isLarge ? [...search.names] : undefined
}

interface SegmentSearch {
  readonly context: SwiftContext
  readonly request: SwiftObjectRequest
  readonly names: Set<string>
  /** The least depth at which each inner large object was opened: lists may have one of them a thousand times on each level. */
  readonly opened: Map<string, number>
}

interface PlaceOfObject {
  readonly container: string
  readonly object: string
}

/** Adds the names of an object's segments, inner ones first. Returns false if it is no large object. */
async function addNames(search: SegmentSearch, place: PlaceOfObject, depth: number): Promise<boolean> {
  const found = await largeObjectAt(search, place)
  if (found === undefined) return false
  const { names, opened } = search
  for (const segment of found.segments) {
    if (segment.kind === "data") continue
    const { container, key, isLarge } = segment
    const name = `/${container}/${key}`
    if (isLarge && depth < Math.min(LARGE_OBJECT_LIMITS.nestingMax, opened.get(name) ?? Infinity)) {
      opened.set(name, depth)
      const inner = { container: textOfObjectKey(container), object: key }
      // An object that is not there any more has no segments.
      await recover(
        () => addNames(search, inner, depth + 1),
        error => {
          // Others would leave segments that nothing names any more.
          if (isFailure(error, "noSuchKey", "noSuchBucket")) return false
          throw error
        },
      )
    }
    names.add(name)
    if (names.size > BULK_LIMITS.deletionsMax)
      throw fail("entityTooLarge", { message: `Maximum Bulk Deletes: ${BULK_LIMITS.deletionsMax} per request` })
  }
  return true
}

/** Returns undefined if the object is no large object. */
async function largeObjectAt(
  { context, request }: SegmentSearch,
  { container, object }: PlaceOfObject,
): Promise<LargeObjectOfCall | undefined> {
  let found: LargeObjectOfCall | undefined
  const handle = (call: ObjectCall): Soon<S3Answer> =>
    after(segmentsOf(call), large => {
      found = large
      return emptyAnswer(204)
    })
  const operation = operationAs("GetObject", { kind: "object", handle })
  const translation = { operation, bucket: container, rawKey: object, headers: [] }
  await containerAt(context, request.target.account, container)
  await context.calls.run(request.request, request.caller, translation)
  return found
}
