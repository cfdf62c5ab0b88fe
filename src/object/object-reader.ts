/**
 * Object reader: finds a version, checks the request against it, and streams its verified bytes.
 *
 * The content is fixed when the row is read: inline bytes are fetched immediately, and blocks are pinned until the body
 * is closed, so that a reader sees one whole version.
 */
import { fail } from "../base/failures.js"
import type { BucketId, ObjectKey, Position, VersionId } from "../base/ids.js"
import { Lent } from "../base/lent.js"
import { isLent, streamOf } from "../base/pieces.js"
import { after, recover, type Soon } from "../base/soon.js"
import type { Blocks, LentBytes, PieceOwner } from "../block/index.js"
import { query, type Metadata } from "../metadata/index.js"
import { evaluateRead } from "./commands/conditions-core.js"
import type { ByteRange, GetRequest, ObjectBody, ObjectInfo, StoredChecksum } from "./contract.js"
import {
  extentsOfSegment,
  manifestOf,
  partByNumber,
  readSegment,
  segmentAt,
  segmentCount,
  type ManifestAddress,
  type PlacedPart,
} from "./queries/manifest-core.js"
import { infoOf, readVersion, StoredHeaders, type OpenVersion, type VersionRows } from "./queries/object-info-core.js"
import { resolveRange } from "./queries/range-core.js"
import type { ReadPin, ReadPins } from "./read-pins.js"

/** For reads that end before a client could cancel them. */
const NEVER = new AbortController().signal

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
  ): ReadVersion => {
    const { found, record, details } = readVersion(view, bucketId, key, versionId)
    const manifest = partNumber === undefined ? undefined : manifestOf(bucketId, key, record)
    const part = manifest && partByNumber(view, manifest, partNumber ?? 0)
    return { found, record, details, part }
  },
)

export const segmentOfOffset = query("SegmentOfOffset", segmentAt)
export const segmentOfManifest = query("SegmentOfManifest", readSegment)

/** A version that satisfies the request, and a pin that keeps its bytes. */
interface Found extends Chosen {
  readonly opened: OpenVersion
  /** Undefined if its bytes are stored with the row, or are not read. */
  readonly pin: ReadPin | undefined
}

export class ObjectReader {
  private readonly headers = new StoredHeaders()

  constructor(
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
  ) {}

  open(request: GetRequest): Soon<OpenObject> {
    return this.attempt(request, 1)
  }

  private attempt(request: GetRequest, attempt: number): Soon<OpenObject> {
    const { bucket, key, versionId, range } = request
    const { position } = this.metadata
    const partNumber = range?.kind === "part" ? range.partNumber : undefined
    const reading = this.metadata.ask(versionAndPart(bucket.id, key, versionId, partNumber))
    if (!(reading instanceof Promise)) return this.openFound(request, attempt, this.find(request, reading, position))
    // While the rows are being fetched, bytes that they may reference are not deleted.
    const pin = this.pins.open(position)
    return reading
      .then(rows => this.openFound(request, attempt, this.find(request, rows, position)))
      .finally(() => pin.close())
  }

  private openFound(request: GetRequest, attempt: number, found: Found): Soon<OpenObject> {
    const { opened, pin } = found
    const opening = recover(
      () => this.inlineBytes(request, opened),
      error => {
        pin?.close()
        throw error
      },
    )
    return after(opening, inline => {
      if (inline !== "changed") return new OpenBody(this.metadata, this.blocks, request, found, inline)
      pin?.close()
      if (attempt === ATTEMPTS_MAX) throw fail("conflict")
      return this.attempt(request, attempt + 1)
    })
  }

  private find(request: GetRequest, { found, record, details, part }: ReadVersion, position: Position): Found {
    const rows = { found, record, details }
    const opened = { found, record, details, info: infoOf(rows, this.headers.of(details)) }
    const { etag, lastModifiedMs: modifiedMs } = opened.info
    const failure = evaluateRead(request.conditions, { etag, modifiedMs })
    if (failure) throw failure
    const { range, partChecksum } = choose(request, opened, part)
    const isRead = record.content.kind !== "inline" && request.headersOnly !== true
    return { opened, range, partChecksum, pin: isRead ? this.pins.open(position) : undefined }
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
  if (range === undefined || (ifRange && !rangeHolds(ifRange, opened)))
    return { range: undefined, partChecksum: undefined }
  if (range.kind !== "part") return { range: resolveRange(range, opened.info.sizeBytes), partChecksum: undefined }
  return choosePart(range.partNumber, opened, part)
}

function choosePart(partNumber: number, { record, info }: OpenVersion, placed: PlacedPart | undefined): Chosen {
  const isOfParts = record.content.kind === "segments"
  if (isOfParts ? placed === undefined : partNumber !== 1)
    throw fail("invalidPartNumber", { partNumber, parts: isOfParts ? record.head.parts : 1 })
  if (placed === undefined) {
    const range = info.sizeBytes > 0 ? { first: 0, lengthBytes: info.sizeBytes } : undefined
    return { range, partChecksum: info.checksum }
  }
  const { part, offsetBytes } = placed
  const algorithm = info.checksum?.algorithm
  const partChecksum: StoredChecksum | undefined =
    algorithm && part.checksumValue !== undefined
      ? { algorithm, type: info.checksum?.type ?? "FULL_OBJECT", value: part.checksumValue }
      : undefined
  return { range: { first: offsetBytes, lengthBytes: part.extent.lengthBytes }, partChecksum }
}

function rangeHolds(ifRange: NonNullable<GetRequest["ifRange"]>, { info }: OpenVersion): boolean {
  if ("etag" in ifRange) return ifRange.etag === info.etag
  return Math.floor(info.lastModifiedMs / 1000) * 1000 <= ifRange.unmodifiedSinceMs
}

class OpenBody implements OpenObject {
  readonly info: ObjectInfo
  readonly opened: OpenVersion
  readonly partChecksum: StoredChecksum | undefined

  constructor(
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly target: Pick<GetRequest, "bucket" | "key">,
    private readonly found: Found,
    private readonly inline: Uint8Array | undefined,
    readonly range = found.range,
  ) {
    this.opened = found.opened
    this.info = found.opened.info
    this.partChecksum = found.partChecksum
  }

  withRange(range: ByteRange): ObjectBody {
    return new OpenBody(this.metadata, this.blocks, this.target, this.found, this.inline, range)
  }

  get whole(): Uint8Array | undefined {
    const { first, lengthBytes } = this.wanted()
    return this.inline?.subarray(first, first + lengthBytes)
  }

  private wanted(): ByteRange {
    return this.range ?? { first: 0, lengthBytes: this.info.sizeBytes }
  }

  lend(): LentBytes | undefined {
    const { content } = this.opened.record
    const { first, lengthBytes } = this.wanted()
    if (content.kind !== "extent") return undefined
    const read = this.blocks.read({ extent: content.extent, offsetBytes: first, lengthBytes }, NEVER, "reader")
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
      yield* streamOf(this.blocks.read(one, signal, pieces))
    } else if (manifest) yield* this.bytesOfParts(manifest, range, signal, pieces)
  }

  /** One segment after another, each read when it is reached. */
  private async *bytesOfParts(
    manifest: ManifestAddress,
    { first, lengthBytes }: ByteRange,
    signal: AbortSignal,
    pieces: PieceOwner,
  ): AsyncGenerator<Uint8Array> {
    let number = await this.metadata.ask(segmentOfOffset(manifest, first))
    for (; number < segmentCount(manifest); number += 1) {
      const segment = await this.metadata.ask(segmentOfManifest(manifest, number))
      if (segment.offsetBytes >= first + lengthBytes) return
      yield* streamOf(this.blocks.read(extentsOfSegment(segment, first, lengthBytes), signal, pieces))
    }
  }

  close(): void {
    this.found.pin?.close()
  }
}
