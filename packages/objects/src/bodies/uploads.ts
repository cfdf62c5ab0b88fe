/**
 * Uploads: ids for incoming bodies, and the cleanup of refused ones.
 *
 * An id contains the incarnation of the process that assigned it, so that the collector can recognise uploads of ended
 * processes. While an upload is held (being written or re-encoded), only the holder decides about its needles.
 * Limits  UPLOADS_IN_DOUBT_MAX; ownership of further ones is resolved after the next start.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseUploadId, type BucketId, type Incarnation, type ObjectKey, type UploadId } from "@hayloft/base/ids.js"
import type { Blocks, WrittenBody } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { UPLOAD_MARK_DIGITS, type UploadMark } from "@hayloft/engine/format/metadata-backup.js"
import { COUNTERS_OF_THREADS, incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { readNamings } from "../commands/pending-deletion-commands-core.js"

const UPLOADS_IN_DOUBT_MAX = 10_000

/** A refused upload that a row may reference all the same, or whose needles could not be removed. */
interface UploadInDoubt {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly extent: Extent
}

function markOf(incarnation: Incarnation, number: number): UploadMark {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(incarnation, 0)
  head.writeUInt32BE(number, 4)
  return hexOf(head)
}

export class Uploads {
  private readonly random: Random
  private counter = 0
  /** The counter has wrapped around: its value does not limit earlier ids any more. */
  private hasWrapped = false
  private readonly held = new Set<UploadId>()
  private readonly doubts: UploadInDoubt[] = []

  constructor(
    random: Random,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly log: Log,
  ) {
    this.random = random.fork("uploads")
  }

  /** 4 bytes of incarnation, 4 of a counter, 8 random. The upload is held until it is released. */
  nextId(): UploadId {
    const { own, hasNeighbours = false } = this.metadata.incarnations
    if (this.counter === 0xffff_ffff) this.hasWrapped = true
    this.counter = Math.max((this.counter + 1) >>> 0, hasNeighbours ? COUNTERS_OF_THREADS : 0)
    const uploadId = parseUploadId(markOf(own, this.counter) + hexOf(this.random.bytes(8)))
    this.hold(uploadId)
    return uploadId
  }

  /** Uploads with lower ids are referenced by their rows by now, or never will be. */
  get decidedBelow(): UploadMark {
    const { own, oldestLive } = this.metadata.incarnations
    // Another process that is running decides about its uploads itself.
    if (oldestLive < own) return markOf(oldestLive, 0)
    let least = markOf(own, this.hasWrapped || this.counter === 0xffff_ffff ? 0 : this.counter + 1)
    for (const uploadId of this.held) {
      const mark = uploadId.slice(0, UPLOAD_MARK_DIGITS)
      // A held upload of an earlier process is already in its row, and is being re-encoded.
      if (this.isOwn(uploadId) && mark < least) least = mark
    }
    return least
  }

  hold(uploadId: UploadId): void {
    this.held.add(uploadId)
  }

  /** Call it once the upload is in its row, or can no longer get there. */
  release(uploadId: UploadId): void {
    this.held.delete(uploadId)
  }

  /**
   * Runs `work` with exclusive access to an upload's needles; returns false immediately if the upload is held, or may
   * be young.
   */
  async exclusively(uploadId: UploadId, work: () => Promise<void>): Promise<boolean> {
    if (this.isHeld(uploadId) || this.mayBeYoung(uploadId)) return false
    this.hold(uploadId)
    try {
      await work()
      return true
    } finally {
      this.release(uploadId)
    }
  }

  heldNow(): readonly UploadId[] {
    return [...this.held]
  }

  private isOwn(uploadId: UploadId): boolean {
    return incarnationOf(uploadId) === this.metadata.incarnations.own
  }

  /** Returns true if this process is working on the upload. */
  isHeld(uploadId: UploadId): boolean {
    return this.held.has(uploadId)
  }

  /** Returns true if this process assigned the id, and rows reference the upload by now or never will. */
  isDecided(uploadId: UploadId): boolean {
    const isInDoubt = this.doubts.some(({ extent }) => extent.uploadId === uploadId)
    return this.isOwn(uploadId) && !this.isHeld(uploadId) && !isInDoubt
  }

  /**
   * Returns true if another process that is running assigned the id: a row may reference the upload yet, if none does.
   */
  mayBeYoung(uploadId: UploadId): boolean {
    return !this.isOwn(uploadId) && this.isOfLiveProcess(uploadId)
  }

  /** While the process that assigned the id is running, only that process resolves the ownership. */
  isOfLiveProcess(uploadId: UploadId): boolean {
    return !this.metadata.incarnations.isOver(incarnationOf(uploadId))
  }

  /**
   * Discards the bytes of a refused request. Best effort: if the refusal is not certain, or a device does not answer,
   * the ownership of the upload is resolved later.
   */
  async discard(bucketId: BucketId, key: ObjectKey, body: WrittenBody, refusal: unknown): Promise<void> {
    const { content } = body
    if (content.kind === "runs") {
      for (const { extent } of content.runs) await this.discardExtent({ bucketId, key, extent }, refusal)
    } else if (content.kind === "extent") await this.discardExtent({ bucketId, key, extent: content.extent }, refusal)
  }

  private async discardExtent(doubt: UploadInDoubt, refusal: unknown): Promise<void> {
    const { bucketId, key, extent } = doubt
    // A process that has begun another incarnation may not know the outcome: the bytes are orphans of the earlier one.
    if (!this.isOwn(extent.uploadId)) return
    if (isFailure(refusal, "indeterminate", "stopping", "deviceFailed")) {
      this.leaveInDoubt(doubt)
      return
    }
    try {
      // Only this request could have made a row reference the upload, and it was refused.
      const namings = await this.metadata.run(readNamings({ bucketId, key, uploadId: extent.uploadId }))
      if (namings.length === 0 && !(await this.blocks.remove(extent))) this.leaveInDoubt(doubt)
    } catch (error) {
      this.leaveInDoubt(doubt)
      this.log.debug("discarded_upload_left_in_doubt", { error: String(error) })
    }
  }

  private leaveInDoubt(doubt: UploadInDoubt): void {
    if (this.doubts.length < UPLOADS_IN_DOUBT_MAX) this.doubts.push(doubt)
  }

  /** The next upload whose ownership must be resolved; undefined if there is none. */
  takeDoubt(): UploadInDoubt | undefined {
    for (;;) {
      const doubt = this.doubts.shift()
      if (doubt === undefined || this.isOwn(doubt.extent.uploadId)) return doubt
    }
  }

  /** Keeps an upload whose ownership could not be resolved now. */
  putBack(doubt: UploadInDoubt): void {
    this.leaveInDoubt(doubt)
  }
}
