/**
 * Concatenation: objects made of bytes that others of the bucket have, without writing them again. A copy is one of one
 * source. See decision 82.
 *
 * Promises  The new object is there as a whole or not at all. It keeps its bytes whatever becomes of its sources, which only
 *           grow at their ends. Each source counts as it was at one moment during the request.
 * Refuses   `notImplemented` for encrypted objects and lists of segments, `invalidRequest` for sources of other storage
 *           classes and for more than `CONCATENATION_LIMITS.sourcesMax`.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { SegmentSource } from "@hayloft/engine/format/records.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { VersionHead, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { allowsAppends } from "./append-commands-core.js"
import { inBlocks } from "./append-service.js"
import { checkReadOfFeatures, type Core, type Referring, type ReferringObject } from "@hayloft/objects/door/index.js"
import {
  base64Of,
  combineCrcs,
  endOfSegment,
  endOfSegmentAt,
  evaluateCopySource,
  infoOf,
  isCrc,
  type NewVersion,
  NO_CHECKSUM,
  piecesOf,
  putResultOf,
  requireUnexpired,
  resolveRange,
  segmentOfOffset,
  segmentsMd5Of,
  type SegmentsName,
  segmentsOf,
  versionAndPart,
} from "@hayloft/objects/door/rows.js"
import { concatenate, CONCATENATION_LIMITS, intoSegments, segmentsFrom } from "./concatenation-commands-core.js"
import type { Bucket, ByteRange, NamedSource, PutResult } from "@hayloft/objects/contract.js"

/** If sources are replaced during every attempt, the failure is returned to the caller. */
const ATTEMPTS_MAX = 16
const ETAG_BYTES = 16
/** An ETag that is no MD5 ends in a number of parts. */
const PARTS_SHOWN = 1
/** An object made like this is no completion of an upload. */
const NO_COMPLETION = new Uint8Array(0)

type ConcatenationSeams = Pick<Core, "clock" | "storeClock" | "clockMs" | "metadata" | "reader" | "ingest">

/** A source whose bytes are in segments. */
interface Resolved {
  readonly head: VersionHead
  readonly checksumValue: string | undefined
  readonly isWhole: boolean
  readonly lengthBytes: number
  /** It is undefined if the source has no bytes. */
  readonly through: SegmentsName | undefined
  readonly sources: readonly SegmentSource[]
}

export class Concatenation implements Referring {
  private readonly random: Random

  constructor(
    private readonly seams: ConcatenationSeams,
    random: Random,
  ) {
    this.random = random.fork("concatenation")
  }

  copies(bucket: Parameters<Referring["copies"]>[0], sizeBytes: number): boolean {
    return allowsAppends(bucket) && sizeBytes >= CONCATENATION_LIMITS.copyBytesMin
  }

  async make(request: ReferringObject): Promise<PutResult> {
    await this.seams.ingest.expiring.refuseEarlier()
    const seen = new Map<ObjectKey, VersionRecord>()
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.attempt(request, seen)
      } catch (error) {
        if (!isFailure(error, "conflict") || attempt === ATTEMPTS_MAX || request.read !== undefined) throw error
      }
    }
  }

  /** `seen`: the sources as the first attempt has read them, which is what the caller may read. */
  private async attempt(request: ReferringObject, seen: Map<ObjectKey, VersionRecord>): Promise<PutResult> {
    const { bucket, key, conditions, upload, details, storageClass, expiresAtSeconds } = request
    const { clock, storeClock, metadata } = this.seams
    const found: Resolved[] = []
    for (const source of request.sources) found.push(await this.resolve(request, source, seen))
    const sources = joined(found.flatMap(each => each.sources))
    const { sourcesMax } = CONCATENATION_LIMITS
    if (sources.length > sourcesMax)
      throw fail("invalidRequest", { message: `the sources consist of more than ${sourcesMax} pieces` })
    const sizeBytes = found.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
    if (sizeBytes === 0) throw fail("invalidRequest", { message: "the sources have no bytes" })
    if (request.sizeBytes !== undefined && request.sizeBytes !== sizeBytes)
      throw fail("invalidRequest", { message: "the size differs from the one that the request states", sizeBytes })
    const multipartId = upload?.multipartId ?? multipartIdOf(clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES))
    const lastOffset = sizeBytes - (sources.at(-1)?.lengthBytes ?? 0)
    const content = segmentsOf(multipartId, { lastOffset, uploadedParts: 0, hasSources: true })
    const checksum = checksumOf(found)
    const version = {
      content: { ...content, completion: upload?.completion.token ?? NO_COMPLETION },
      payload: undefined,
      sizeBytes,
      ...this.etagOf(found),
      random: this.random.bytes(RANDOM_BYTES),
      checksum,
      details,
      storageClass,
      isShared: false,
      expiresAtSeconds,
    }
    const through = found.flatMap(each => each.through ?? [])
    const ends = upload && { completion: upload.completion, partsBytes: upload.partsBytes }
    const clockMs = storeClock.nowMs()
    const made = {
      bucketId: bucket.id,
      key,
      conditions,
      clockMs,
      version,
      sources,
      through,
      ...(ends && { upload: ends }),
    }
    return putResultOf(await metadata.run(concatenate(made)), checksum.value)
  }

  /** Returns the ETag of the source if it is the only one and has all its bytes; otherwise one that is no digest. */
  private etagOf([first, ...others]: readonly Resolved[]): Pick<NewVersion, "md5" | "parts"> {
    if (first === undefined || others.length > 0 || !first.isWhole)
      return { md5: this.random.bytes(ETAG_BYTES), parts: PARTS_SHOWN }
    // It has no parts that could be read by their numbers.
    return { md5: first.head.md5, parts: Math.min(first.head.parts, PARTS_SHOWN) }
  }

  private async resolve(
    request: ReferringObject,
    source: NamedSource,
    seen: Map<ObjectKey, VersionRecord>,
  ): Promise<Resolved> {
    const { bucket } = request
    for (;;) {
      const { record, range } = await this.read(request, source)
      if (!isGrown(seen.get(source.key) ?? record, record))
        throw fail("preconditionFailed", { message: "a source was replaced while it was joined" })
      // The source, as it is now that its bytes are in segments, is recognised if it grows.
      seen.set(source.key, record)
      const { head, checksumValue } = request.read ?? record
      const { content } = record
      const isWhole = range.lengthBytes === head.sizeBytes
      const resolved = { head, checksumValue, isWhole, lengthBytes: range.lengthBytes }
      if (range.lengthBytes === 0) return { ...resolved, through: undefined, sources: [] }
      if (content.kind === "segments") {
        const name = { key: source.key, multipartId: content.multipartId }
        const { byOffset } = content
        const whole = { ...name, uploadedParts: byOffset?.uploadedParts ?? record.head.parts }
        if (byOffset?.hasSources && whole.uploadedParts > 0)
          return { ...resolved, through: name, sources: await this.withinParts(bucket, whole, range) }
        if (byOffset?.hasSources) return { ...resolved, through: name, sources: await this.within(bucket, name, range) }
        return { ...resolved, through: name, sources: [sourceOf(whole, range)] }
      }
      await this.intoSegments(request, source.key, record)
    }
  }

  /** Throws `noSuchKey`, `preconditionFailed`, `invalidRange`, `conflict`, and what is refused. */
  private async read({ bucket, storageClass, read }: ReferringObject, source: NamedSource) {
    const { metadata, clockMs, ingest } = this.seams
    const rows = await metadata.ask(versionAndPart(bucket.id, source.key, undefined, undefined, false))
    const { record } = rows
    const nowMs = clockMs()
    requireUnexpired(rows.found, { versionId: undefined, versioning: bucket.versioning, nowMs })
    if (read !== undefined && !isGrown(read, record)) throw fail("conflict")
    const info = infoOf(rows)
    const { etag, lastModifiedMs: modifiedMs } = info
    const failure = evaluateCopySource(source.conditions, { etag, modifiedMs, segmentsMd5: segmentsMd5Of(info) })
    if (failure !== undefined) throw failure
    if (record.sealing !== undefined)
      throw fail("notImplemented", { message: "an encrypted object cannot be referenced: copy its bytes" })
    if (record.largeObject !== undefined)
      throw fail("notImplemented", { message: "a list of segments cannot be referenced: name its segments" })
    checkReadOfFeatures(record, () => nowMs, ingest.classes)
    if (record.head.storageClass !== storageClass)
      throw fail("invalidRequest", {
        message: `a source is in the class ${record.head.storageClass}, not ${storageClass}`,
      })
    const { sizeBytes } = read?.head ?? record.head
    const range: ByteRange =
      source.range === undefined ? { first: 0, lengthBytes: sizeBytes } : resolveRange(source.range, sizeBytes)
    return { record, range }
  }

  /** Returns the sources of a range of an object that consists of the bytes of others, or has some. */
  private async within(
    bucket: Bucket,
    name: SegmentsName,
    { first, lengthBytes }: ByteRange,
  ): Promise<readonly SegmentSource[]> {
    const end = first + lengthBytes
    const sources: SegmentSource[] = []
    const { metadata } = this.seams
    for await (const page of walkPages(0, from => metadata.ask(segmentsFrom(bucket.id, name, from)))) {
      for (const segment of page.segments) {
        const [begin, over] = [Math.max(first, segment.offsetBytes), Math.min(end, endOfSegment(segment))]
        if (begin >= over) continue
        const { source } = segment
        const within = source && { first: source.offsetBytes + begin - segment.offsetBytes, lengthBytes: over - begin }
        if (source && within) sources.push(sourceOf(source, within))
        else sources.push(sourceOf({ ...name, uploadedParts: 0 }, { first: begin, lengthBytes: over - begin }))
      }
      if (page.next !== undefined && page.next >= end) break
    }
    const found = sources.reduce((sum, source) => sum + source.lengthBytes, 0)
    if (found !== lengthBytes) throw fail("conflict")
    return sources
  }

  /** The same of an object that was uploaded in parts, of which some have bytes of others. */
  private async withinParts(
    { id: bucketId }: Bucket,
    whole: SegmentsName & Pick<SegmentSource, "uploadedParts">,
    { first, lengthBytes }: ByteRange,
  ): Promise<readonly SegmentSource[]> {
    const { key, multipartId, uploadedParts: parts } = whole
    const manifest = { bucketId, key, multipartId, parts, lastOffset: Number.MAX_SAFE_INTEGER }
    const end = first + lengthBytes
    const sources: SegmentSource[] = []
    for (let at = first; at < end;) {
      const found = await this.seams.metadata.ask(segmentOfOffset(manifest, at))
      endOfSegmentAt(found, at)
      for (const piece of piecesOf(found)) {
        const over = Math.min(end, endOfSegment(piece))
        if (over <= at) continue
        const { source, offsetBytes } = piece
        const range = { first: at, lengthBytes: over - at }
        if (source === undefined) sources.push(sourceOf(whole, range))
        else sources.push(sourceOf(source, { ...range, first: source.offsetBytes + at - offsetBytes }))
        at = over
      }
    }
    return sources
  }

  private async intoSegments(
    { bucket, signal }: ReferringObject,
    key: ObjectKey,
    record: VersionRecord,
  ): Promise<void> {
    const { clock, storeClock, metadata } = this.seams
    const multipartId = multipartIdOf(clock.wallMs() * 1000, this.random.bytes(RANDOM_BYTES))
    const { order } = record.head
    const into = { bucketId: bucket.id, key, order, multipartId, clockMs: storeClock.nowMs() }
    if (record.content.kind === "extent") return metadata.run(intoSegments({ ...into, moved: undefined, hints: [] }))
    await inBlocks(this.seams, { bucket, key, signal }, record, moved => {
      if (moved.order !== order) throw fail("conflict")
      return metadata.run(intoSegments({ ...into, moved: moved.bytes, hints: moved.hints }))
    })
  }
}

/** Returns true if `now` is the object that was read, or it with more bytes. */
function isGrown({ head, content }: VersionRecord, now: VersionRecord): boolean {
  if (head.order === now.head.order) return true
  return (
    content.kind === "segments" && now.content.kind === "segments" && content.multipartId === now.content.multipartId
  )
}

const sourceOf = (
  { key, multipartId, uploadedParts }: SegmentsName & Pick<SegmentSource, "uploadedParts">,
  { first: offsetBytes, lengthBytes }: ByteRange,
): SegmentSource => ({ key, multipartId, uploadedParts, offsetBytes, lengthBytes })

/** With neighbouring ranges of the same segments as one. */
function joined(sources: readonly SegmentSource[]): readonly SegmentSource[] {
  const found: SegmentSource[] = []
  for (const source of sources) {
    const last = found.at(-1)
    const follows =
      last?.key === source.key &&
      last.multipartId === source.multipartId &&
      last.offsetBytes + last.lengthBytes === source.offsetBytes
    if (follows) found[found.length - 1] = { ...last, lengthBytes: last.lengthBytes + source.lengthBytes }
    else found.push(source)
  }
  return found
}

/** The CRC of all bytes, if each source has all its bytes and the same kind of CRC of them. */
function checksumOf(found: readonly Resolved[]): NewVersion["checksum"] {
  const [first] = found
  const { checksumAlgorithm, checksumType } = first?.head ?? {}
  if (first === undefined || checksumAlgorithm === undefined || checksumType !== "FULL_OBJECT") return NO_CHECKSUM
  const of = (value: string): NewVersion["checksum"] => ({ checksumAlgorithm, checksumType, value })
  if (found.length === 1 && first.isWhole && first.checksumValue !== undefined) return of(first.checksumValue)
  if (!isCrc(checksumAlgorithm)) return NO_CHECKSUM
  const values: { readonly value: Uint8Array; readonly lengthBytes: number }[] = []
  for (const { head, isWhole, checksumValue, lengthBytes } of found) {
    const isSame = head.checksumAlgorithm === checksumAlgorithm && head.checksumType === checksumType
    if (!isSame || !isWhole || checksumValue === undefined) return NO_CHECKSUM
    values.push({ value: Buffer.from(checksumValue, "base64"), lengthBytes })
  }
  return of(base64Of(combineCrcs(checksumAlgorithm, values)))
}
