/**
 * Object reader: finds a version, checks the request against it, and streams its verified bytes.
 *
 * The content is fixed when the row is read: inline bytes are fetched immediately, and blocks are pinned until the body
 * is closed, so that a reader sees one whole version.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type BucketId, type ObjectKey, type Position, type VersionId } from "@hayloft/base/ids.js"
import { Lent } from "@hayloft/base/memory/lent.js"
import { NEVER } from "@hayloft/base/never.js"
import { isLent, streamOf } from "@hayloft/base/memory/pieces.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import type { Blocks, ExtentRange, LentBytes, PieceOwner } from "@hayloft/engine/block/index.js"
import type { SegmentRecord } from "@hayloft/engine/format/records.js"
import { versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { evaluateRead } from "../commands/conditions-core.js"
import type { ClassMap } from "../class-policies.js"
import { checkReadOfFeatures } from "../door/parts.js"
import { expiryClock, requireUnexpired } from "../commands/expiry-core.js"
import type { BodySource, ByteRange, GetRequest, ObjectBody, ObjectInfo, StoredChecksum } from "../contract.js"
import type { Encryption } from "./encryption.js"
import {
  bytesOfLine,
  endOfSegment,
  endOfSegmentAt,
  extentsOfSegment,
  manifestOf,
  manifestOfSource,
  partByNumber,
  piecesOf,
  readSegment,
  segmentAt,
  type ManifestAddress,
  type PlacedPart,
} from "../queries/manifest-core.js"
import {
  infoOf,
  readVersion,
  segmentsMd5Of,
  StoredHeaders,
  type OpenVersion,
  type VersionRows,
} from "../queries/object-info-core.js"
import { resolveRange } from "../queries/range-core.js"
import type { ReadPin, ReadPins } from "./read-pins.js"
import type { SealedBodies } from "./sealed-body.js"
import { CheckedManifests, checkSealedExtent } from "./sealed-parts.js"
import type { StoreClock } from "../store-clock.js"

const NOT_INLINE: OpenBytes = { inline: undefined, key: undefined }

/** If the row changes during every attempt, the failure is returned to the caller. */
const ATTEMPTS_MAX = 16

interface Chosen {
  readonly range: ByteRange | undefined
  readonly partChecksum: StoredChecksum | undefined
}

/** A body with its record, for copies. */
export interface OpenObject extends ObjectBody {
  readonly opened: OpenVersion
  /** The same body, limited to this range. */
  withRange(range: ByteRange): ObjectBody
}

/** A version's rows, and the part requested by number. */
interface ReadVersion extends VersionRows {
  readonly part: PlacedPart | undefined
}

export const versionAndPart = query(
  "VersionAndPart",
  (
    view,
    bucketId: BucketId,
    key: ObjectKey,
    versionId: VersionId | undefined,
    partNumber: number | undefined,
    _readsPayload: boolean,
  ): ReadVersion => {
    const { found, record, details } = readVersion(view, bucketId, key, versionId)
    const manifest = partNumber === undefined ? undefined : manifestOf(bucketId, key, record)
    const part = manifest && partByNumber(view, manifest, partNumber ?? 0)
    return { found, record, details, part }
  },
  {
    payloadOf: ({ found, record }, _bucketId, _key, _versionId, _partNumber, readsPayload) =>
      readsPayload && record.content.kind === "inline" ? found : undefined,
    isRepeated: true,
  },
)

export const segmentOfOffset = query("SegmentOfOffset", segmentAt)
export const segmentOfManifest = query("SegmentOfManifest", readSegment)

/** A version that satisfies the request, and a pin that keeps its bytes. */
interface Found extends Chosen {
  readonly opened: OpenVersion
  /** It is undefined if the version's bytes are stored with the row, or are not read. */
  readonly pin: ReadPin | undefined
}

/** The dependencies through which the bytes of bodies are read. */
interface BodyReaders {
  readonly clock: Clock
  readonly log: Log
  readonly metadata: Metadata
  readonly blocks: Blocks
  readonly sealedBodies: SealedBodies
}

/** The dependencies through which the bytes of an open body are read. */
interface OpenBodyReaders extends BodyReaders {
  /** The key of a version that was not sealed when it was opened. Throws `conflict` if the version is gone. */
  keySince(target: Pick<GetRequest, "bucket" | "key">, opened: OpenVersion): Promise<Uint8Array>
}

/** The facts known about a version's bytes once it is open. */
interface OpenBytes {
  /** The plaintext that is stored with the row. */
  readonly inline: Uint8Array | undefined
  /** It is undefined if the bytes are not sealed, or are not read. */
  readonly key: Uint8Array | undefined
}

export class ObjectReader {
  private readonly headers = new StoredHeaders()
  private readonly metadata: Metadata
  private readonly manifests: CheckedManifests
  private readonly readers: OpenBodyReaders

  constructor(
    readers: BodyReaders,
    private readonly pins: ReadPins,
    private readonly encryption: Encryption,
    private readonly storeClock: Pick<StoreClock, "shownMs">,
    private readonly classes: Pick<ClassMap, "policyOf">,
  ) {
    this.readers = { ...readers, keySince: (target, opened) => this.keySince(target, opened) }
    this.metadata = readers.metadata
    this.manifests = new CheckedManifests(readers.clock)
  }

  open(request: GetRequest): Soon<OpenObject> {
    return this.attempt(request, 1)
  }

  private attempt(request: GetRequest, attempt: number): Soon<OpenObject> {
    const { bucket, key, versionId, range, headersOnly } = request
    const { position } = this.metadata
    const partNumber = range?.kind === "part" ? range.partNumber : undefined
    const reading = this.metadata.ask(versionAndPart(bucket.id, key, versionId, partNumber, headersOnly !== true))
    const checking = after(reading, rows => this.checkClientKey(request, rows))
    if (!(checking instanceof Promise)) return this.openFound(request, attempt, this.find(request, checking, position))
    // While the rows are being fetched, bytes that they may reference are not deleted.
    const pin = this.pins.open(position)
    return checking
      .then(rows => this.openFound(request, attempt, this.find(request, rows, position)))
      .finally(() => pin.close())
  }

  /** Nobody learns of a version who lacks its key. Throws `invalidRequest`, `accessDenied`. */
  private checkClientKey({ bucket, clientKey, isForServer }: GetRequest, rows: ReadVersion): Soon<ReadVersion> {
    const { sealing } = rows.record
    if (isForServer === true || (sealing === undefined && clientKey === undefined)) return rows
    return after(this.encryption.checkClientKey(bucket.id, sealing, clientKey), () => rows)
  }

  private openFound(request: GetRequest, attempt: number, found: Found): Soon<OpenObject> {
    const { opened, pin } = found
    const opening = recover(
      () =>
        after(request.checkEncryption?.(opened.info.encryption), () =>
          opened.record.sealing === undefined ? this.openPlain(request, opened) : this.openSealed(request, opened),
        ),
      error => {
        pin?.close()
        throw error
      },
    )
    return after(opening, bytes => {
      if (bytes !== "changed") return new OpenBody(this.readers, request, found, bytes)
      pin?.close()
      if (attempt === ATTEMPTS_MAX) throw fail("conflict")
      return this.attempt(request, attempt + 1)
    })
  }

  private openPlain(request: GetRequest, opened: OpenVersion): Soon<OpenBytes | "changed"> {
    return after(this.inlineBytes(request, opened), inline =>
      inline === "changed" ? inline : inline === undefined ? NOT_INLINE : { inline, key: undefined },
    )
  }

  /** With the key, once the record and what it says of the bytes were checked. HEAD needs none. */
  private openSealed(request: GetRequest, opened: OpenVersion): Soon<OpenBytes | "changed"> {
    if (request.headersOnly === true) return NOT_INLINE
    return after(this.inlineBytes({ ...request, lends: true }, opened), sealed => {
      if (sealed === "changed") return sealed
      const opening = this.openKey(request, opened)
      // A payload is read first, since the row may change while the key is waited for.
      const kept = opening instanceof Promise ? sealed && Uint8Array.from(sealed) : sealed
      return after(opening, key => ({ inline: kept && this.readers.sealedBodies.openPayload(kept, key), key }))
    })
  }

  private openKey(request: GetRequest, opened: OpenVersion): Soon<Uint8Array> {
    const { bucket, key, clientKey } = request
    const { record, found } = opened
    return recover(
      () =>
        after(this.encryption.keyOf(bucket.id, key, record, found.row.value, clientKey), objectKey =>
          after(this.checkContent(request, opened), () => must(objectKey, "the version is sealed")),
        ),
      error => {
        if (isFailure(error, "corruptSeal"))
          this.readers.log.error("sealed_record_changed", { bucket: bucket.name, key: textOfObjectKey(key) })
        throw error
      },
    )
  }

  /** Existing objects are encrypted at any time, part by part. */
  private async keySince(
    { bucket, key }: Pick<GetRequest, "bucket" | "key">,
    { record: { head } }: OpenVersion,
  ): Promise<Uint8Array> {
    const { found, record } = await this.metadata.ask(
      versionAndPart(bucket.id, key, versionIdOfHead(head), undefined, false),
    )
    const isSame = found.head.order === head.order && equalBytes(found.head.random, head.random)
    const opened = isSame ? await this.encryption.keyOf(bucket.id, key, record, found.row.value, undefined) : undefined
    if (opened === undefined) throw fail("conflict", { message: "the object was replaced while it was read" })
    return opened
  }

  /** Checks that the extents of a sealed version are whole and in their places. Throws `corruptSeal`. */
  private checkContent({ bucket, key }: GetRequest, { record }: OpenVersion): Soon<void> {
    const { content } = record
    if (content.kind === "extent") return checkSealedExtent(record, content.extent)
    const manifest = manifestOf(bucket.id, key, record)
    if (manifest === undefined) return undefined
    return this.manifests.check(record, manifest, {
      uploaded: number => this.metadata.ask(segmentOfManifest(manifest, number)),
      atOffset: offsetBytes => this.metadata.ask(segmentOfOffset(manifest, offsetBytes)),
    })
  }

  private find(request: GetRequest, { found, record, details, part }: ReadVersion, position: Position): Found {
    const rows = { found, record, details }
    const { bucket, versionId } = request
    requireUnexpired(found, { versionId, versioning: bucket.versioning, nowMs: this.clockMs() })
    const opened = { found, record, details, info: this.infoOf(rows) }
    const { etag, lastModifiedMs: modifiedMs, headers } = opened.info
    const subject = { etag, modifiedMs, segmentsMd5: segmentsMd5Of(opened.info), headers }
    const failure = evaluateRead(request.conditions, subject)
    if (failure) throw failure
    if (request.headersOnly !== true) checkReadOfFeatures(record, () => this.clockMs(), this.classes)
    const { range, partChecksum } = choose(request, opened, part)
    const isRead = record.content.kind !== "inline" && request.headersOnly !== true
    return { opened, range, partChecksum, pin: isRead ? this.pins.open(position) : undefined }
  }

  private infoOf(rows: VersionRows): ObjectInfo {
    const info = infoOf(rows, this.headers.of(rows.details))
    const { restore } = rows.record
    return restore === undefined ? info : { ...info, restore }
  }

  /**
   * The time by which restores end and objects expire: of both clocks the earlier, so that one that is ahead ends none. The
   * store's is 0 while it is unknown: restores that have ended would be valid again.
   */
  clockMs(): number {
    return expiryClock({ nowMs: this.readers.clock.wallMs() }, this.storeClock.shownMs)
  }

  /** The bytes stored with the row; undefined if they are in blocks, or are not read. */
  private inlineBytes(
    { bucket, key, headersOnly, lends }: GetRequest,
    { record, found: { family, rowKey, row } }: OpenVersion,
  ): Soon<Uint8Array | undefined | "changed"> {
    if (record.content.kind !== "inline" || headersOnly === true) return undefined
    if (!row.payload) throw fail("corruptRow", { bucket: bucket.name, key, reason: "the inline payload has no place" })
    const payload = this.metadata.payload(family, rowKey, row)
    if (payload instanceof Lent) return lends === true ? payload.borrow() : Uint8Array.from(payload.borrow())
    return payload.then(bytes => bytes ?? "changed")
  }
}

function choose({ range, ifRange }: GetRequest, opened: OpenVersion, part: PlacedPart | undefined): Chosen {
  if (range === undefined || opened.record.largeObject !== undefined || (ifRange && !rangeHolds(ifRange, opened)))
    return { range: undefined, partChecksum: undefined }
  if (range.kind !== "part") return { range: resolveRange(range, opened.info.sizeBytes), partChecksum: undefined }
  return choosePart(range.partNumber, opened, part)
}

function choosePart(partNumber: number, { record, info }: OpenVersion, placed: PlacedPart | undefined): Chosen {
  const { content, head } = record
  // An object that was put whole may consist of parts inside.
  const isOfParts = content.kind === "segments" && content.byOffset?.uploadedParts !== 0 && head.parts > 0
  if (isOfParts ? placed === undefined : partNumber !== 1)
    throw fail("invalidPartNumber", { partNumber, parts: isOfParts ? head.parts : 1 })
  if (!isOfParts || placed === undefined) {
    const range = info.sizeBytes > 0 ? { first: 0, lengthBytes: info.sizeBytes } : undefined
    return { range, partChecksum: info.checksum }
  }
  const { part, offsetBytes } = placed
  const algorithm = info.checksum?.algorithm
  const partChecksum: StoredChecksum | undefined =
    algorithm && part.checksumValue !== undefined
      ? { algorithm, type: info.checksum?.type ?? "FULL_OBJECT", value: part.checksumValue }
      : undefined
  return { range: { first: offsetBytes, lengthBytes: bytesOfLine(part) }, partChecksum }
}

function rangeHolds(ifRange: NonNullable<GetRequest["ifRange"]>, { info }: OpenVersion): boolean {
  if ("etag" in ifRange) return ifRange.etag === info.etag
  return Math.floor(info.lastModifiedMs / 1000) * 1000 <= ifRange.unmodifiedSinceMs
}

/** A range of a segment, in the segment's own object. */
interface SegmentRange {
  readonly segment: SegmentRecord
  /** The offset of its first byte in the segment's own object. */
  readonly ownOffsetBytes: number
  readonly lengthBytes: number
  /** The offset of its first byte in the object that was asked for. */
  readonly offsetBytes: number
}

/** The segments of a range, with those of other objects in place of what references them. Throws `corruptRecord`. */
export async function* segmentsOfRange(
  metadata: Pick<Metadata, "ask">,
  manifest: ManifestAddress,
  { first, lengthBytes }: ByteRange,
  isReferenced = false,
): AsyncGenerator<SegmentRange> {
  const end = first + lengthBytes
  for (let at = first; at < end;) {
    const found = await metadata.ask(segmentOfOffset(manifest, at))
    const last = Math.min(endOfSegmentAt(found, at), end)
    for (const segment of piecesOf(found)) {
      const next = Math.min(endOfSegment(segment), last)
      if (next <= at) continue
      const { source, offsetBytes } = segment
      if (source === undefined) yield { segment, ownOffsetBytes: at, lengthBytes: next - at, offsetBytes: at }
      else if (isReferenced) throw fail("corruptRecord", { what: "segment", field: "source" })
      else {
        const range = { first: source.offsetBytes + at - offsetBytes, lengthBytes: next - at }
        for await (const each of segmentsOfRange(metadata, manifestOfSource(manifest.bucketId, source), range, true))
          yield { ...each, offsetBytes: at + each.ownOffsetBytes - range.first }
      }
      at = next
    }
  }
}

class OpenBody implements OpenObject {
  readonly info: ObjectInfo
  readonly opened: OpenVersion
  readonly partChecksum: StoredChecksum | undefined

  /** The key of a version that was sealed after it was opened. */
  private keySince: Promise<Uint8Array> | undefined

  constructor(
    private readonly readers: OpenBodyReaders,
    private readonly target: Pick<GetRequest, "bucket" | "key" | "trace">,
    private readonly found: Found,
    private readonly open: OpenBytes,
    readonly range = found.range,
  ) {
    this.opened = found.opened
    this.info = found.opened.info
    this.partChecksum = found.partChecksum
  }

  withRange(range: ByteRange): ObjectBody {
    return new OpenBody(this.readers, this.target, this.found, this.open, range)
  }

  get whole(): Uint8Array | undefined {
    const { first, lengthBytes } = this.wanted()
    return this.open.inline?.subarray(first, first + lengthBytes)
  }

  private wanted(): ByteRange {
    const { segmentListBytes, sizeBytes } = this.info
    return this.range ?? { first: 0, lengthBytes: segmentListBytes ?? sizeBytes }
  }

  lend(): LentBytes | undefined {
    const { content } = this.opened.record
    const { first, lengthBytes } = this.wanted()
    if (content.kind !== "extent") return undefined
    const range = { extent: content.extent, offsetBytes: first, lengthBytes }
    if (this.open.key !== undefined && content.extent.isSealed === true)
      return this.target.trace === undefined ? this.readers.sealedBodies.lend(range, this.open.key) : undefined
    const read = this.readers.blocks.read(range, NEVER, "reader", this.target.trace)
    return isLent(read) ? read : undefined
  }

  read(signal: AbortSignal, pieces: PieceOwner = "caller"): AsyncGenerator<Uint8Array> {
    const { pin } = this.found
    return pin === undefined ? this.bytes(signal, pieces) : pin.during(this.bytes(signal, pieces))
  }

  private async *bytes(signal: AbortSignal, pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    const range = this.wanted()
    if (range.lengthBytes === 0) return
    const { whole } = this
    if (whole !== undefined) yield whole
    const { bucket, key } = this.target
    const { content } = this.opened.record
    const manifest = manifestOf(bucket.id, key, this.opened.record)
    if (content.kind === "extent") {
      const one = { extent: content.extent, offsetBytes: range.first, lengthBytes: range.lengthBytes }
      yield* this.bytesOf(one, this.open.key, signal, pieces)
    } else if (manifest) yield* this.bytesOfParts(manifest, range, signal, pieces)
  }

  private bytesOf(
    ranges: ExtentRange | Iterable<ExtentRange>,
    key: Uint8Array | undefined,
    signal: AbortSignal,
    pieces: PieceOwner,
  ): AsyncIterable<Uint8Array> {
    if (key === undefined) return streamOf(this.readers.blocks.read(ranges, signal, pieces, this.target.trace))
    const { trace } = this.target
    return this.readers.sealedBodies.read("extent" in ranges ? [ranges] : ranges, key, signal, pieces, trace)
  }

  /** One segment after another, each read when it is reached. */
  private async *bytesOfParts(
    manifest: ManifestAddress,
    range: ByteRange,
    signal: AbortSignal,
    pieces: PieceOwner,
  ): AsyncGenerator<Uint8Array> {
    for await (const { segment, ownOffsetBytes, lengthBytes } of segmentsOfRange(
      this.readers.metadata,
      manifest,
      range,
    )) {
      const key = this.open.key ?? (await this.keyFor(segment))
      yield* this.bytesOf(extentsOfSegment(segment, ownOffsetBytes, lengthBytes), key, signal, pieces)
    }
  }

  /** Parts may have been encrypted since the version was opened. */
  private async keyFor({ parts }: SegmentRecord): Promise<Uint8Array | undefined> {
    if (!parts.some(({ extent }) => extent.isSealed)) return undefined
    return (this.keySince ??= this.readers.keySince(this.target, this.opened))
  }

  close(): void {
    this.found.pin?.close()
  }
}

/** A copy's source as a body. */
export function bodyOfSource(source: ObjectBody, signal: AbortSignal): BodySource {
  const { info } = source
  const lengthBytes = source.range?.lengthBytes ?? info.segmentListBytes ?? info.sizeBytes
  return {
    lengthBytes,
    open: pieces => source.read(signal, pieces),
    gather: () => source.whole,
    declaredChecksum: () => undefined,
  }
}
