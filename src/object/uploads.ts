/**
 * Uploads: ids for bodies on their way in, and the end of those that came to nothing.
 *
 * An id carries the incarnation of the process that gave it out, so that the collector knows which
 * ones belong to lives that are over.
 */
import { hexOf } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import { parseUploadId, type BucketId, type Incarnation, type ObjectKey, type UploadId } from "../base/ids.js"
import type { Blocks, WrittenBody } from "../block/index.js"
import type { Random } from "../seams/random/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Tablet } from "../tablet/index.js"
import { objectRowKey, uploadRowKey } from "../format/row-key.js"
import { dropRows, judgeUpload } from "./release-commands-core.js"

export const incarnationOf = (uploadId: UploadId): number => parseInt(uploadId.slice(0, 8), 16)

export class Uploads {
  private readonly random: Random
  private given = 0

  constructor(
    readonly incarnation: Incarnation,
    random: Random,
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly log: Log,
  ) {
    this.random = random.fork("uploads")
  }

  /** 4 bytes of incarnation, 4 of a counter, 8 random. */
  nextId(): UploadId {
    this.given = (this.given + 1) >>> 0
    const head = Buffer.alloc(8)
    head.writeUInt32BE(this.incarnation, 0)
    head.writeUInt32BE(this.given, 4)
    return parseUploadId(hexOf(head) + hexOf(this.random.bytes(8)))
  }

  /**
   * Gives up what a refused request has written. Best effort: after a crash, or where the refusal is
   * not certain, the next start finds it.
   */
  async discard(bucketId: BucketId, key: ObjectKey, body: WrittenBody, refusal: unknown): Promise<void> {
    if (body.content.kind !== "extent" || isFailure(refusal, "indeterminate", "stopping", "deviceFailed")) return
    const { extent } = body.content
    try {
      const verdict = await this.tablet.run(judgeUpload({ bucketId, key, uploadId: extent.uploadId }))
      if (verdict !== "void") return
      await this.blocks.remove(extent)
      // The commit has been refused for good: nobody else can name this upload.
      const mark = uploadRowKey(objectRowKey(bucketId, key), extent.uploadId)
      await this.tablet.run(dropRows([["voids", mark]]))
    } catch (error) {
      this.log.debug("an upload that was given up is left to the collector", { error: String(error) })
    }
  }
}
