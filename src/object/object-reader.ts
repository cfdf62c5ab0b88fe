/**
 * Object reader: finds a version, judges the request against it, and streams its verified bytes.
 *
 * The row's content is fixed at the moment the row is read: inline bytes are fetched at once, and what
 * lies in blocks is pinned until the body is closed, so that a reader sees one version, whole.
 */
import { fail } from "../base/failures.js"
import type { ObjectKey } from "../base/ids.js"
import { objectRowKey } from "../format/row-key.js"
import type { Blocks, PieceOwner } from "../block/index.js"
import type { Tablet } from "../tablet/index.js"
import { judgeRead } from "./conditions-core.js"
import type { Bucket, GetRequest, ObjectBody, RangeRequest, StoredChecksum } from "./contract.js"
import { extentsOfRange, partByNumber, type ManifestAddress } from "./manifest-core.js"
import { openVersion, type OpenVersion } from "./object-info-core.js"
import { resolveRange, type ByteRange } from "./range-core.js"
import type { ReadPin, ReadPins } from "./read-pins.js"
import type { FoundVersion } from "./row-editor-core.js"
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
      const found = requireVersion(this.tablet.committed, bucket.id, key, request.versionId)
      const opened = openVersion(this.tablet.committed, bucket, key, found)
      const { etag, lastModifiedMs: modifiedMs } = opened.info
      const failure = judgeRead(request.conditions, { etag, modifiedMs })
      if (failure) throw failure
      const chosen = this.choose(request, opened)
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
    return (await this.tablet.payload(found.family, found.rowKey, found.row)) ?? "changed"
  }
}

function rangeHolds(ifRange: NonNullable<GetRequest["ifRange"]>, { info }: OpenVersion): boolean {
  if ("etag" in ifRange) return ifRange.etag === info.etag
  return Math.floor(info.lastModifiedMs / 1000) * 1000 <= ifRange.unmodifiedSinceMs
}

export function manifestOf(
  bucket: Bucket,
  key: ObjectKey,
  { head, content }: OpenVersion["record"],
): ManifestAddress | undefined {
  if (content.kind !== "segments") return undefined
  return { bucketId: bucket.id, key, multipartId: content.multipartId, parts: head.parts }
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

  async *read(signal: AbortSignal, pieces: PieceOwner = "caller"): AsyncGenerator<Uint8Array> {
    try {
      const { first, lengthBytes } = this.wanted()
      for await (const bytes of this.bytesOf(first, lengthBytes, signal, pieces)) {
        this.pin.progress()
        yield bytes
      }
    } finally {
      this.close()
    }
  }

  private async *bytesOf(
    first: number,
    lengthBytes: number,
    signal: AbortSignal,
    pieces: PieceOwner,
  ): AsyncGenerator<Uint8Array> {
    const { content } = this.opened.record
    if (lengthBytes === 0) return
    if (this.whole) yield this.whole
    const range = { offsetBytes: first, lengthBytes }
    if (content.kind === "extent") yield* this.blocks.read(content.extent, range, signal, pieces)
    const address = manifestOf(this.bucket, this.key, this.opened.record)
    if (!address) return
    const ranges = extentsOfRange(this.tablet.committed, address, first, lengthBytes)
    yield* this.blocks.readAll(ranges, signal, pieces)
  }

  close(): void {
    this.pin.close()
  }
}
