/**
 * Refused uploads: bytes of refused requests of this process whose refusal was not certain, or that could not be removed
 * at once. A job. Each process resolves its own: no other knows them before the process has ended.
 *
 * Promises  Bytes are removed only if no row of the newest decision references the upload.
 */
import type { Incarnation } from "@hayloft/base/ids.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { type ObjectBackend, readNamings, type Uploads } from "@hayloft/objects/door/bytes.js"
import { Removals } from "./removals.js"

export class RefusedUploads implements Job {
  readonly name = "refused-uploads"
  private readonly removals = new Removals()
  private removalsOf: Incarnation | undefined
  private removed = 0
  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads

  constructor({ metadata, blocks, uploads }: ObjectBackend) {
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
  }

  progress(): string {
    return `${this.removed} refused uploads removed, ${this.removals.count} wait for a device`
  }

  async step(): Promise<StepOutcome> {
    const { own } = this.metadata.incarnations
    // Removals of an earlier incarnation are dropped: its bytes are orphans.
    if (this.removalsOf !== own) this.removals.clear()
    this.removalsOf = own
    this.removed += await this.removals.run()
    if (this.removals.isFull) return "throttled"
    return (await this.resolveNext()) ? "busy" : "idle"
  }

  /** Resolves one upload; returns false if there is none. */
  private async resolveNext(): Promise<boolean> {
    const doubt = this.uploads.takeDoubt()
    if (doubt === undefined) return false
    const { bucketId, key, extent } = doubt
    try {
      const namings = await this.metadata.run(readNamings({ bucketId, key, uploadId: extent.uploadId }))
      if (namings.length > 0) return true
    } catch (error) {
      this.uploads.putBack(doubt)
      throw error
    }
    this.removals.add(`${extent.uploadId} ${extent.part}`, () => this.blocks.remove(extent))
    return true
  }
}
