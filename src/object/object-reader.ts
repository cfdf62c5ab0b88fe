/**
 * Object reader: finds a version, judges the request against it, and streams its verified bytes.
 *
 * The row's content is fixed at the moment the row is read: inline bytes are fetched at once, and what
 * lies in blocks is pinned until the body is closed, so that a reader sees one version, whole.
 */
import { fail } from "../base/failures.js"
import type { ObjectKey } from "../base/ids.js"
import { owned } from "../base/lent.js"
import { streamOf } from "../base/pieces.js"
import { withRows } from "../base/rows-needed.js"
import { objectRowKey } from "../format/row-key.js"
import type { Blocks, PieceOwner } from "../block/index.js"
import type { Tablet } from "../tablet/index.js"
import { judgeRead } from "./conditions-core.js"
import type { Bucket, ByteRange, GetRequest, ObjectBody, RangeRequest, StoredChecksum } from "./contract.js"
import { partByNumber } from "./manifest-core.js"
import { openVersion, type OpenVersion } from "./object-info-core.js"
import { resolveRange } from "./range-core.js"
import type { ReadPin, ReadPins } from "./read-pins.js"
import type { FoundVersion } from "./row-editor-core.js"
import { extentRangesOf, manifestOf } from "./stored-bytes.js"
import { requireVersion } from "./version-commands-core.js"

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

export class ObjectReader {
  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
  ) {}

  async open(request: GetRequest): Promise<OpenObject> {
    const { bucket, key } = request
    const row = objectRowKey(bucket.id, key)
    const warm = this.tablet.warm("current", [row])
    if (warm) await warm
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const { found, opened, chosen } = await withRows(() => this.find(request))
      const pin = this.pins.open(this.tablet.committedPosition)
      const inline = await this.inlineBytes(request, opened, found).catch((error: unknown) => {
        pin.close()
        throw error
      })
      if (inline !== "changed") return new OpenBody(this.tablet, this.blocks, bucket, key, opened, chosen, pin, inline)
      pin.close()
    }
    throw fail("conflict")
  }

  private find(request: GetRequest): { found: FoundVersion; opened: OpenVersion; chosen: Chosen } {
    const { bucket, key } = request
    const found = requireVersion(this.tablet.committed, bucket.id, key, request.versionId)
    const opened = openVersion(this.tablet.committed, bucket, key, found)
    const { etag, lastModifiedMs: modifiedMs } = opened.info
    const failure = judgeRead(request.conditions, { etag, modifiedMs })
    if (failure) throw failure
    return { found, opened, chosen: this.choose(request, opened) }
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

  private async inlineBytes(
    { bucket, key, headersOnly }: GetRequest,
    { record }: OpenVersion,
    found: FoundVersion,
  ): Promise<Uint8Array | undefined | "changed"> {
    if (record.content.kind !== "inline" || headersOnly) return undefined
    if (!found.row.payload)
      throw fail("corruptRow", { bucket: bucket.name, key, reason: "the inline payload has no place" })
    return (await owned(this.tablet.payload(found.family, found.rowKey, found.row))) ?? "changed"
  }
}

function rangeHolds(ifRange: NonNullable<GetRequest["ifRange"]>, { info }: OpenVersion): boolean {
  if ("etag" in ifRange) return ifRange.etag === info.etag
  return Math.floor(info.lastModifiedMs / 1000) * 1000 <= ifRange.unmodifiedSinceMs
}

class OpenBody implements OpenObject {
  readonly info
  readonly range
  readonly partChecksum

  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly bucket: Bucket,
    private readonly key: ObjectKey,
    readonly opened: OpenVersion,
    private readonly chosen: Chosen,
    private readonly pin: ReadPin,
    private readonly inline: Uint8Array | undefined,
  ) {
    this.info = opened.info
    this.range = chosen.range
    this.partChecksum = chosen.partChecksum
  }

  withRange(range: ByteRange): ObjectBody {
    const { tablet, blocks, bucket, key, opened, chosen, pin, inline } = this
    return new OpenBody(tablet, blocks, bucket, key, opened, { ...chosen, range }, pin, inline)
  }

  get whole(): Uint8Array | undefined {
    const { first, lengthBytes } = this.wanted()
    return this.inline?.subarray(first, first + lengthBytes)
  }

  private wanted(): ByteRange {
    return this.range ?? { first: 0, lengthBytes: this.info.sizeBytes }
  }

  read(signal: AbortSignal, pieces: PieceOwner = "caller"): AsyncGenerator<Uint8Array> {
    return this.pin.during(this.bytes(signal, pieces))
  }

  private async *bytes(signal: AbortSignal, pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    const range = this.wanted()
    if (range.lengthBytes === 0) return
    if (this.whole) yield this.whole
    const ranges = extentRangesOf(this.tablet.committed, this.bucket, this.key, this.opened.record, range)
    yield* streamOf(this.blocks.read(ranges, signal, pieces))
  }

  close(): void {
    this.pin.close()
  }
}
