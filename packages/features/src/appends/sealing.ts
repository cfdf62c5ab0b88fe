/**
 * Sealing of appended bytes: copies of short appends become erasure-coded blocks behind the writer. A job; it works on the
 * family `openEnds`. Once an hour it also forgets the ids of appends that clients can no longer repeat.
 *
 * Promises  At any moment the segments reference whole bytes. An interruption leaves unreferenced needles, which are removed
 *           like those of any upload. Bytes that readers still use stay until those have ended.
 * Limits    SEALING_LIMITS; memory is the slab pool's.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import {
  parseBucketId,
  type BucketId,
  type MultipartId,
  type ObjectKey,
  type RowKey,
  rowKeyAfter,
} from "@hayloft/base/ids.js"
import { OFFSET_PART } from "@hayloft/base/limits.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { lacksSpace, outcomeAfter } from "@hayloft/base/space/full-disk-core.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Blocks, PieceOwner } from "@hayloft/engine/block/index.js"
import { decodeSegment, type BucketRecord, type SegmentRecord } from "@hayloft/engine/format/records.js"
import {
  bucketRowKey,
  multipartRowKey,
  objectRowKey,
  offsetRowKey,
  parseObjectRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { PassFailed, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import { NEVER } from "@hayloft/base/never.js"
import { query, type Metadata, type RowView } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { isRepeatable, replaceSegments } from "./append-commands-core.js"
import {
  type Core,
  type Ingest,
  isOpenEnd,
  type RateBound,
  type ReadPin,
  type ReadPins,
  shownDueTimeMs,
} from "@hayloft/objects/door/index.js"
import {
  ALL_OBJECT_ROWS,
  bucketOfRow,
  bytesOfParts,
  dropRows,
  extentsOfSegment,
  type RowAsRead,
  referencesTo,
} from "@hayloft/objects/door/rows.js"
import type { BodySource } from "@hayloft/objects/contract.js"
import { planSealing, SEALING_LIMITS } from "./sealing-core.js"

const ID_LIMITS = { rowsPerStep: 256, restMs: 3_600_000 } as const

interface OpenEnd {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  readonly note: RowAsRead
  /** It is undefined if the object is gone. */
  readonly object: { readonly bucket: BucketRecord; readonly storageClass: StorageClass } | undefined
  /** The newest segments, in order. */
  readonly segments: readonly SegmentRecord[]
}

/** The object whose bytes are in segments with this id, or what others need to know that reference them. */
function objectOf(view: RowView, bucketId: BucketId, row: RowKey, multipartId: MultipartId): OpenEnd["object"] {
  const current = view.get("current", row)
  const record = current && decodeVersion(current.value)
  const isObject = record?.content.kind === "segments" && record.content.multipartId === multipartId
  const storageClass = isObject
    ? record.head.storageClass
    : referencesTo(view, multipartRowKey(row, multipartId))?.storageClass
  const bucket = view.get("buckets", bucketRowKey(bucketId))
  return storageClass && bucket && { bucket: bucketOfRow(bucket), storageClass }
}

/** The first open end from a row on. */
export const openEndFrom = query("OpenEndFrom", (view, start: RowKey): (OpenEnd & { next: RowKey }) | undefined => {
  const found = firstOf(view.range("openEnds", { ...ALL_OBJECT_ROWS, start, expectedRows: 1 }))
  if (found === undefined) return undefined
  const [rowKey, { value }] = found
  const { bucketId: id, key, suffix } = parseObjectRowKey(rowKey)
  const bucketId = parseBucketId(id)
  const multipartId = multipartIdOfSuffix(suffix)
  const row = objectRowKey(bucketId, key)
  const object = objectOf(view, bucketId, row, multipartId)
  const segments: SegmentRecord[] = []
  const newest = offsetRowKey(row, multipartId, Number.MAX_SAFE_INTEGER)
  const range = { start: newest, end: suffixRange(multipartRowKey(row, multipartId)).end }
  if (object !== undefined)
    for (const [, segment] of view.range("segments", range)) {
      segments.push(decodeSegment(segment.value))
      if (segments.length === SEALING_LIMITS.segmentsPerLook) break
    }
  return {
    bucketId,
    key,
    multipartId,
    note: ["openEnds", rowKey, value],
    segments: segments.reverse(),
    object,
    next: rowKeyAfter(rowKey),
  }
})

/** Rows of appends that are too old to be repeated. */
export const overAppends = query("OverAppends", (view, start: RowKey, nowMs: number) => {
  const over: RowAsRead[] = []
  let rows = 0
  for (const [rowKey, { value }] of view.range("appends", { ...ALL_OBJECT_ROWS, start })) {
    if (rows === ID_LIMITS.rowsPerStep) return { over, next: rowKey }
    rows += 1
    if (!isRepeatable(value, nowMs)) over.push(["appends", rowKey, value])
  }
  return { over, next: undefined }
})

interface SealingSeams extends Pick<Core, "storeClock"> {
  readonly clock: Clock
  readonly metadata: Metadata
  readonly blocks: Pick<Blocks, "read">
  readonly pins: ReadPins
  readonly ingest: Ingest
  readonly log: Log
}

export const SEALING_JOB = "append-sealing"

export class AppendSealing implements Job {
  readonly name = SEALING_JOB
  private from = ALL_OBJECT_ROWS.start
  /** Objects of this pass whose sealing failed, and why the first of them did. */
  private failed: { readonly objects: number; readonly reason: string } | undefined
  private idsFrom: RowKey | undefined
  private idsAtMs = -Infinity
  private sealedBytes = 0

  constructor(
    private readonly seams: SealingSeams,
    private readonly bound: RateBound,
  ) {}

  progress(): string {
    return `${sizeText(this.sealedBytes)} of appended bytes sealed or merged`
  }

  async step(): Promise<StepOutcome> {
    const { clock, metadata } = this.seams
    if (this.bound.isOver(clock.monotonicMs())) return "throttled"
    const found = await metadata.ask(openEndFrom(this.from))
    if (found === undefined) return this.endPass()
    const { object } = found
    const chosen = object && planSealing(found.segments, this.seams.ingest.blockBytes)
    if (object === undefined || chosen === undefined) {
      await metadata.run(dropRows([found.note]))
      this.from = found.next
      return "busy"
    }
    const failure = await this.seal(found, object, chosen)
    if (failure === undefined) return "busy"
    this.from = found.next
    return outcomeAfter(failure)
  }

  /** An object whose sealing failed is tried again after a rest. */
  private async endPass(): Promise<StepOutcome> {
    const { failed } = this
    const isOver = this.from === ALL_OBJECT_ROWS.start
    this.failed = undefined
    this.from = ALL_OBJECT_ROWS.start
    const isForgetting = await this.forget()
    if (failed !== undefined)
      throw new PassFailed(`appended bytes of ${plural(failed.objects, "object")} are not sealed: ${failed.reason}`)
    return isForgetting || !isOver ? "busy" : "idle"
  }

  /** Returns the reason if it was not done. */
  private async seal(
    { bucketId, key, multipartId }: OpenEnd,
    { bucket, storageClass }: NonNullable<OpenEnd["object"]>,
    segments: readonly SegmentRecord[],
  ): Promise<Failure | undefined> {
    const { clock, metadata, pins, ingest, log } = this.seams
    const lengthBytes = segments.reduce((sum, { parts }) => sum + bytesOfParts(parts), 0)
    const pin = pins.open(metadata.position)
    try {
      await ingest.run(
        {
          bucket,
          key,
          part: OFFSET_PART,
          multipartId,
          inlineBytesMax: 0,
          client: { signal: NEVER },
          body: this.bodyOf(segments, lengthBytes, pin),
          checksumAlgorithm: undefined,
          storageClass,
          contentType: "",
          userMetadata: [],
          isMoved: true,
          isSegment: true,
        },
        async ({ content, hints }) => {
          const { extent } = must(content.kind === "extent" ? content : undefined, "moved bytes are in blocks")
          const { policy } = extent
          this.bound.spend((lengthBytes * shardCount(policy)) / shardsNeeded(policy), clock.monotonicMs())
          const isOpen = isOpenEnd(lengthBytes, ingest.blockBytes)
          await metadata.run(replaceSegments({ bucketId, key, multipartId, segments, extent, isOpen, hints }))
        },
      )
      this.sealedBytes += lengthBytes
      return undefined
    } catch (error) {
      if (!isFailure(error)) throw error
      const { kind, message } = error
      log.debug("appends_not_sealed", { reason: message })
      // The job fails neither because a client has replaced or removed the object, nor because the disks are full.
      if (kind === "conflict" || lacksSpace(error)) return error
      this.failed = { objects: (this.failed?.objects ?? 0) + 1, reason: this.failed?.reason ?? message }
      return error
    } finally {
      pin.close()
    }
  }

  private bodyOf(segments: readonly SegmentRecord[], lengthBytes: number, pin: ReadPin): BodySource {
    const ranges = segments.flatMap(segment => [
      ...extentsOfSegment(segment, segment.offsetBytes, bytesOfParts(segment.parts)),
    ])
    const read = async function* (this: AppendSealing, pieces: PieceOwner): AsyncGenerator<Uint8Array> {
      for await (const bytes of streamOf(this.seams.blocks.read(ranges, NEVER, pieces))) {
        pin.progress()
        yield bytes
      }
    }
    return {
      lengthBytes,
      gather: () => undefined,
      declaredChecksum: () => undefined,
      open: (pieces = "reader") => read.call(this, pieces),
    }
  }

  /** Returns true if there is more to do. */
  private async forget(): Promise<boolean> {
    const { clock, metadata } = this.seams
    if (this.idsFrom === undefined && clock.monotonicMs() < this.idsAtMs) return false
    const nowMs = shownDueTimeMs(this.seams)
    if (nowMs === undefined) return false
    const { over, next } = await metadata.ask(overAppends(this.idsFrom ?? ALL_OBJECT_ROWS.start, nowMs))
    if (over.length > 0) await metadata.run(dropRows(over))
    this.idsFrom = next
    if (next !== undefined) return true
    this.idsAtMs = clock.monotonicMs() + ID_LIMITS.restMs
    return false
  }
}
