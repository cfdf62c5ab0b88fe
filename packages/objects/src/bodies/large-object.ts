/**
 * Large objects for their readers: the bytes of their segments, one after another.
 *
 * Promises  A reader gets the segments as they were when the large object was written, or none of what follows a segment that
 *           has changed since. A range opens only the segments that contain it, one at a time; the first is opened before the
 *           body is returned.
 * Limits    `nestingMax` large objects within each other; a segment list is in memory while its body is open.
 */
import { must } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { LentBytes, PieceOwner } from "@hayloft/base/memory/pieces.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import {
  decodeSegmentList,
  lengthOfSegment,
  type Segment,
  type SegmentObject,
} from "@hayloft/engine/format/objects/segment-list.js"
import { evaluateRead } from "../commands/conditions-core.js"
import type { ByteRange, GetRequest, ObjectBody, ObjectInfo, Objects, OpenSegment, RangeRequest } from "../contract.js"
import type { OpenObject } from "./object-reader.js"
import { segmentsMd5Of, type OpenVersion } from "../queries/object-info-core.js"
import { resolveRange } from "../queries/range-core.js"

export const LARGE_OBJECT_LIMITS = { nestingMax: 10 } as const

/** A range of one segment; `first` counts from its beginning. */
interface SegmentPart extends ByteRange {
  readonly index: number
}

/** The parts of segments, given by their lengths, that contain a range of the whole. */
export function partsOfRange(lengths: readonly number[], { first, lengthBytes }: ByteRange): readonly SegmentPart[] {
  const parts: SegmentPart[] = []
  const end = first + lengthBytes
  let start = 0
  for (const [index, length] of lengths.entries()) {
    if (start >= end) break
    const from = Math.max(first, start)
    const to = Math.min(end, start + length)
    if (from < to) parts.push({ index, first: from - start, lengthBytes: to - from })
    start += length
  }
  return parts
}

const ofPart = (range: GetRequest["range"]): boolean => range?.kind === "part"

/**
 * Works like `Objects.get`, but the body of a large object consists of the bytes of its segments. Throws what
 * `Objects.get` throws, and `segmentChanged` if the first segment of the range is not what it was.
 */
export const openSegments = (
  objects: Pick<Objects, "get">,
  request: GetRequest,
  openSegment: OpenSegment,
): Soon<ObjectBody> =>
  after(objects.get(request), body =>
    body.info.segmentListBytes === undefined ? body : openLarge(objects, request, body, openSegment),
  )

async function openLarge(
  objects: Pick<Objects, "get">,
  request: GetRequest,
  listed: ObjectBody,
  openSegment: OpenSegment,
): Promise<ObjectBody> {
  const { info } = listed
  const range = holdsFor(request.ifRange, info) ? request.range : undefined
  if (request.headersOnly === true && !ofPart(range)) {
    const resolved = range === undefined || range.kind === "part" ? undefined : resolveRange(range, info.sizeBytes)
    return { ...bodyWithout(info), range: resolved }
  }
  const segments = await segmentsIn(request.headersOnly === true ? await reopened(objects, request, info) : listed)
  return openResolved({ info, segments, openSegment }, range, request.headersOnly)
}

/** A large object without a list of its own: `info` is of all its segments together. Throws as `openSegments`. */
export async function openListed(
  of: SegmentsOfObject,
  { conditions, range, ifRange, headersOnly }: Pick<GetRequest, "conditions" | "range" | "ifRange" | "headersOnly">,
): Promise<ObjectBody> {
  const { info } = of
  const { etag, lastModifiedMs: modifiedMs, headers } = info
  const subject = { etag, modifiedMs, segmentsMd5: segmentsMd5Of(info), headers }
  const failure = evaluateRead(conditions, subject)
  if (failure !== undefined) throw failure
  return openResolved(of, holdsFor(ifRange, info) ? range : undefined, headersOnly)
}

async function openResolved(
  of: SegmentsOfObject,
  range: RangeRequest | undefined,
  headersOnly: boolean | undefined,
): Promise<ObjectBody> {
  const { info, segments } = of
  const resolved = range && resolve(range, segments, info.sizeBytes)
  if (headersOnly === true) return { ...bodyWithout(info), range: resolved }
  const body = new LargeObjectBody(of, resolved)
  await body.openFirst()
  return body
}

const resolve = (range: RangeRequest, segments: readonly Segment[], sizeBytes: number): ByteRange =>
  range.kind === "part" ? rangeOfPart(segments, range.partNumber) : resolveRange(range, sizeBytes)

/** The object with its bytes, which a request for its headers has not opened. */
const reopened = (objects: Pick<Objects, "get">, request: GetRequest, info: ObjectInfo): Soon<ObjectBody> =>
  objects.get({
    bucket: request.bucket,
    key: request.key,
    versionId: request.versionId,
    clientKey: request.clientKey,
    checkEncryption: request.checkEncryption,
    conditions: { ifMatch: [info.etag] },
  })

/** Its segment list. The body is closed. */
export async function segmentsIn(body: ObjectBody): Promise<readonly Segment[]> {
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of body.read(new AbortController().signal)) pieces.push(Uint8Array.from(piece))
  } finally {
    body.close()
  }
  return decodeSegmentList(concatBytes(pieces), body.info.sizeBytes)
}

function holdsFor(ifRange: GetRequest["ifRange"], info: ObjectInfo): boolean {
  if (ifRange === undefined) return true
  if ("etag" in ifRange) return ifRange.etag === info.etag || ifRange.etag === segmentsMd5Of(info)
  return Math.floor(info.lastModifiedMs / 1000) * 1000 <= ifRange.unmodifiedSinceMs
}

/** Throws `invalidPartNumber`. */
function rangeOfPart(segments: readonly Segment[], partNumber: number): ByteRange {
  const segment = segments[partNumber - 1]
  if (segment === undefined) throw fail("invalidPartNumber", { partNumber, parts: segments.length })
  const first = segments.slice(0, partNumber - 1).reduce((sum, before) => sum + lengthOfSegment(before), 0)
  return { first, lengthBytes: lengthOfSegment(segment) }
}

const bodyWithout = (info: ObjectInfo): ObjectBody => ({
  info,
  range: undefined,
  partChecksum: undefined,
  lend: () => undefined,
  async *read() {},
  close: () => undefined,
})

export interface SegmentsOfObject {
  readonly info: ObjectInfo
  readonly segments: readonly Segment[]
  readonly openSegment: OpenSegment
}

/** Returns undefined if the bytes of the part are in the list. */
async function openPart(
  { segments, openSegment }: SegmentsOfObject,
  part: SegmentPart,
): Promise<ObjectBody | undefined> {
  const segment = must(segments[part.index], "a part is of a segment")
  if (segment.kind === "data") return undefined
  const first = part.first + (segment.span?.first ?? 0)
  return unchanged(segment, () => openSegment(segment, { first, lengthBytes: part.lengthBytes }))
}

/** Throws `segmentChanged` where the segment is not there as it was. */
async function unchanged(segment: SegmentObject, open: () => Soon<ObjectBody>): Promise<ObjectBody> {
  const changed = (reason: string) =>
    fail("segmentChanged", { segment: textOfObjectKey(`/${segment.container}/${segment.key}`), reason })
  try {
    const body = await open()
    if (body.info.sizeBytes === segment.sizeBytes) return body
    body.close()
    throw changed("its size differs")
  } catch (error) {
    if (isFailure(error, "preconditionFailed")) throw changed("its ETag differs")
    if (isFailure(error, "noSuchKey") || isFailure(error, "noSuchBucket")) throw changed("it does not exist")
    throw error
  }
}

class LargeObjectBody implements ObjectBody {
  readonly partChecksum = undefined
  readonly info: ObjectInfo
  private readonly parts: readonly SegmentPart[]
  /** The body of the part that is read now, or next. */
  private current: ObjectBody | undefined

  constructor(
    protected readonly of: SegmentsOfObject,
    readonly range: ByteRange | undefined,
  ) {
    const { info, segments } = of
    this.info = info
    this.parts = partsOfRange(segments.map(lengthOfSegment), range ?? { first: 0, lengthBytes: info.sizeBytes })
  }

  /** Checks whether the body can be read, as far as that is known before its end. */
  async openFirst(): Promise<void> {
    const [first] = this.parts
    if (first !== undefined) this.current = await openPart(this.of, first)
  }

  /** Returns the bytes of a range within one segment. */
  get whole(): Uint8Array | undefined {
    return this.parts.length === 1 ? this.current?.whole : undefined
  }

  lend(): LentBytes | undefined {
    return this.parts.length === 1 ? this.current?.lend() : undefined
  }

  async *read(signal: AbortSignal, pieces?: PieceOwner): AsyncGenerator<Uint8Array> {
    try {
      for (const part of this.parts) {
        this.current ??= await openPart(this.of, part)
        if (this.current === undefined) yield this.dataOf(part)
        else yield* this.current.read(signal, pieces)
        this.close()
      }
    } finally {
      this.close()
    }
  }

  private dataOf({ index, first, lengthBytes }: SegmentPart): Uint8Array {
    const segment = this.of.segments[index]
    return segment?.kind === "data" ? segment.bytes.subarray(first, first + lengthBytes) : new Uint8Array()
  }

  close(): void {
    this.current?.close()
    this.current = undefined
  }
}

/** The source of a copy: it is copied as an object that is put whole. Its segments are opened when they are read. */
export class LargeSource extends LargeObjectBody implements OpenObject {
  private constructor(
    of: SegmentsOfObject,
    readonly opened: OpenVersion,
  ) {
    super(of, undefined)
  }

  /** Closes the source whose segments it reads. */
  static async open(source: OpenObject, openSegment: OpenSegment): Promise<LargeSource> {
    const segments = await segmentsIn(source)
    const { segmentListBytes: _ofList, partsCount: _ofSegments, ...info } = source.info
    return new LargeSource({ info: { ...info, partsCount: undefined }, segments, openSegment }, source.opened)
  }

  withRange(range: ByteRange): ObjectBody {
    return new LargeObjectBody(this.of, range)
  }
}
