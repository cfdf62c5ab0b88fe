/**
 * Uploads: ids for bodies on their way in, and the end of those that came to nothing.
 *
 * An id carries the incarnation of the process that gave it out, so that the collector knows which
 * ones belong to lives that are over. While an upload is held (on its way in, or being coded anew)
 * nobody else decides about its needles.
 * Limits  UPLOADS_IN_DOUBT_MAX; beyond, the next start judges.
 */
import { hexOf } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import {
  parseIncarnation,
  parseUploadId,
  type BucketId,
  type Incarnation,
  type ObjectKey,
  type UploadId,
} from "../base/ids.js"
import type { Blocks, WrittenBody } from "../block/index.js"
import type { Extent } from "../format/extent.js"
import { UPLOAD_MARK_DIGITS, type UploadMark } from "../format/metadata-backup.js"
import { objectRowKey, uploadRowKey } from "../format/row-key.js"
import type { Random } from "../seams/random/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Metadata } from "../metadata/index.js"
import { dropRows, resolveUpload } from "./commands/pending-deletion-commands-core.js"

export const UPLOADS_IN_DOUBT_MAX = 10_000

export const incarnationOf = (uploadId: UploadId): Incarnation => parseIncarnation(parseInt(uploadId.slice(0, 8), 16))

/** An upload that was refused and may be in a row all the same, or whose needles could not be removed. */
export interface UploadInDoubt {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly extent: Extent
}

export class Uploads {
  private readonly random: Random
  private given = 0
  /** Numbers began anew in this life: they say nothing of what came first. */
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

  /** 4 bytes of incarnation, 4 of a counter, 8 random. Held until it is let go. */
  nextId(): UploadId {
    this.given = (this.given + 1) >>> 0
    if (this.given === 0) this.hasWrapped = true
    const uploadId = parseUploadId(this.markOf(this.given) + hexOf(this.random.bytes(8)))
    this.hold(uploadId)
    return uploadId
  }

  private markOf(number: number): UploadMark {
    const head = Buffer.alloc(8)
    head.writeUInt32BE(this.metadata.incarnations.own, 0)
    head.writeUInt32BE(number, 4)
    return hexOf(head)
  }

  /** Uploads whose ids sort below are in their rows by now, or will never be. */
  get decidedBelow(): UploadMark {
    let least = this.markOf(this.hasWrapped || this.given === 0xffff_ffff ? 0 : this.given + 1)
    for (const uploadId of this.held) {
      const mark = uploadId.slice(0, UPLOAD_MARK_DIGITS)
      // What is held of an earlier life is in its row already, and about to be coded anew.
      if (this.isOwn(uploadId) && mark < least) least = mark
    }
    return least
  }

  hold(uploadId: UploadId): void {
    this.held.add(uploadId)
  }

  /** It is in its row, or nobody will ever put it there. */
  letGo(uploadId: UploadId): void {
    this.held.delete(uploadId)
  }

  /** Does something to an upload's needles that nobody else may meanwhile; false, at once, where it is held. */
  async alone(uploadId: UploadId, work: () => Promise<void>): Promise<boolean> {
    if (this.isHeld(uploadId)) return false
    this.hold(uploadId)
    try {
      await work()
      return true
    } finally {
      this.letGo(uploadId)
    }
  }

  heldNow(): readonly UploadId[] {
    return [...this.held]
  }

  private isOwn(uploadId: UploadId): boolean {
    return incarnationOf(uploadId) === this.metadata.incarnations.own
  }

  /** This process does something to the upload, or another one may, which gave out its id and is not over. */
  isHeld(uploadId: UploadId): boolean {
    return this.held.has(uploadId) || (!this.isOwn(uploadId) && this.isOfLiveProcess(uploadId))
  }

  /** The process that gave out the id resolves its ownership, by itself, for as long as it is not over. */
  isOfLiveProcess(uploadId: UploadId): boolean {
    return !this.metadata.incarnations.isOver(incarnationOf(uploadId))
  }

  /**
   * Gives up what a refused request has written. Best effort: where the refusal is not certain, or a
   * device does not answer, the upload is judged later.
   */
  async discard(bucketId: BucketId, key: ObjectKey, body: WrittenBody, refusal: unknown): Promise<void> {
    if (body.content.kind !== "extent") return
    const { extent } = body.content
    const doubt = { bucketId, key, extent }
    if (isFailure(refusal, "indeterminate", "stopping", "deviceFailed")) {
      this.leaveInDoubt(doubt)
      return
    }
    try {
      const verdict = await this.metadata.run(resolveUpload({ bucketId, key, uploadId: extent.uploadId }))
      if (verdict !== "void") return
      await this.blocks.remove(extent)
      // The commit has been refused for good: nobody else can name this upload.
      const mark = uploadRowKey(objectRowKey(bucketId, key), extent.uploadId)
      await this.metadata.run(dropRows([["voids", mark]]))
    } catch (error) {
      this.leaveInDoubt(doubt)
      this.log.debug("an upload that was given up is left to the collector", { error: String(error) })
    }
  }

  private leaveInDoubt(doubt: UploadInDoubt): void {
    if (this.doubts.length < UPLOADS_IN_DOUBT_MAX) this.doubts.push(doubt)
  }

  /** The next upload in doubt, to be judged; undefined where there is none. */
  takeDoubt(): UploadInDoubt | undefined {
    return this.doubts.shift()
  }

  /** It could not be judged now. */
  putBack(doubt: UploadInDoubt): void {
    this.leaveInDoubt(doubt)
  }
}
