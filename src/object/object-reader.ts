/**
 * Object reader: finds a version, judges the request against it, and streams its verified bytes.
 *
 * The row's content is fixed at the moment the row is read: inline bytes are fetched at once, and what
 * lies in blocks is pinned until the body is closed, so that a reader sees one version, whole.
 */
import { fail } from "../base/failures.js"
import type { ObjectKey } from "../base/ids.js"
import { Lent } from "../base/lent.js"
import { isLent, streamOf } from "../base/pieces.js"
import { withRows } from "../base/rows-needed.js"
import { after, recover, type Soon } from "../base/soon.js"
import type { Blocks, LentBytes, PieceOwner } from "../block/index.js"
import type { Tablet } from "../tablet/index.js"
import { judgeRead } from "./conditions-core.js"
import type { Bucket, ByteRange, GetRequest, ObjectBody, ObjectInfo, RangeRequest, StoredChecksum } from "./contract.js"
import { partByNumber } from "./manifest-core.js"
import { openVersion, StoredHeaders, type OpenVersion } from "./object-info-core.js"
import { resolveRange } from "./range-core.js"
import type { ReadPin, ReadPins } from "./read-pins.js"
import type { FoundVersion } from "./row-editor-core.js"
import { extentRangesOf, manifestOf } from "./stored-bytes.js"
import { requireVersion } from "./version-commands-core.js"

/** Of reads that are over before anybody could give them up. */
const NEVER = new AbortController().signal

/** A row that changes under every attempt is given back to the caller. */
const ATTEMPTS_MAX = 16

interface Chosen {
  readonly range: ByteRange | undefined
  readonly partChecksum: StoredChecksum | undefined
}

/** A body with the record behind it, for those who copy. */
export interface OpenObject extends ObjectBody {
  readonly opened: OpenVersion
  /** The same body, of this range. */
  withRange(range: ByteRange): ObjectBody
}

/** A version as the row says it is, and a pin that keeps its bytes. */
interface Found extends Chosen {
  readonly found: FoundVersion
  readonly opened: OpenVersion
  /** Undefined if its bytes lie with the row, or are not read. */
  readonly pin: ReadPin | undefined
}

export class ObjectReader {
  private readonly headers = new StoredHeaders()

  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
  ) {}

  open(request: GetRequest): Soon<OpenObject> {
    return this.attempt(request, 1)
  }

  private attempt(request: GetRequest, attempt: number): Soon<OpenObject> {
    return after(
      withRows(() => this.find(request)),
      found => {
        const { opened, pin } = found
        const opening = recover(
          () => this.inlineBytes(request, opened, found.found),
          error => {
            pin?.close()
            throw error
          },
        )
        return after(opening, inline => {
          if (inline !== "changed") return new OpenBody(this.tablet, this.blocks, request, found, inline)
          pin?.close()
          if (attempt === ATTEMPTS_MAX) throw fail("conflict")
          return this.attempt(request, attempt + 1)
        })
      },
    )
  }

  private find(request: GetRequest): Found {
    const { bucket, key } = request
    const { committed, committedPosition } = this.tablet
    const found = requireVersion(committed, bucket.id, key, request.versionId)
    const opened = openVersion(committed, bucket, key, found, this.headers)
    const { etag, lastModifiedMs: modifiedMs } = opened.info
    const failure = judgeRead(request.conditions, { etag, modifiedMs })
    if (failure) throw failure
    const { range, partChecksum } = this.choose(request, opened)
    const isRead = opened.record.content.kind !== "inline" && request.headersOnly !== true
    const pin = isRead ? this.pins.open(committedPosition) : undefined
    return { found, opened, range, partChecksum, pin }
  }

  private choose({ bucket, key, range, ifRange }: GetRequest, opened: OpenVersion): Chosen {
    if (range === undefined || (ifRange && !rangeHolds(ifRange, opened)))
      return { range: undefined, partChecksum: undefined }
    if (range.kind !== "part") return { range: resolveRange(range, opened.info.sizeBytes), partChecksum: undefined }
    return this.choosePart(bucket, key, range, opened)
  }

  private choosePart(
    bucket: Bucket,
    key: ObjectKey,
    { partNumber }: Extract<RangeRequest, { kind: "part" }>,
    { record, info }: OpenVersion,
  ): Chosen {
    const address = manifestOf(bucket, key, record)
    if (!address) {
      if (partNumber !== 1) throw fail("invalidPartNumber", { partNumber, parts: 1 })
      return {
        range: info.sizeBytes > 0 ? { first: 0, lengthBytes: info.sizeBytes } : undefined,
        partChecksum: info.checksum,
      }
    }
    const { part, offsetBytes } = partByNumber(this.tablet.committed, address, partNumber)
    const algorithm = info.checksum?.algorithm
    const partChecksum: StoredChecksum | undefined =
      algorithm && part.checksumValue !== undefined
        ? { algorithm, type: info.checksum?.type ?? "FULL_OBJECT", value: part.checksumValue }
        : undefined
    return { range: { first: offsetBytes, lengthBytes: part.extent.lengthBytes }, partChecksum }
  }

  /** The bytes that lie with the row; undefined if they lie in blocks, or are not read. */
  private inlineBytes(
    { bucket, key, headersOnly, lends }: GetRequest,
    { record }: OpenVersion,
    { family, rowKey, row }: FoundVersion,
  ): Soon<Uint8Array | undefined | "changed"> {
    if (record.content.kind !== "inline" || headersOnly === true) return undefined
    if (!row.payload) throw fail("corruptRow", { bucket: bucket.name, key, reason: "the inline payload has no place" })
    const payload = this.tablet.payload(family, rowKey, row)
    if (payload instanceof Lent) return lends === true ? payload.borrow() : Uint8Array.from(payload.borrow())
    return payload.then(bytes => bytes ?? "changed")
  }
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
    private readonly tablet: Tablet,
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
    return new OpenBody(this.tablet, this.blocks, this.target, this.found, this.inline, range)
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
    const ranges = extentRangesOf(this.tablet.committed, bucket, key, this.opened.record, range)
    yield* streamOf(this.blocks.read(ranges, signal, pieces))
  }

  close(): void {
    this.found.pin?.close()
  }
}
