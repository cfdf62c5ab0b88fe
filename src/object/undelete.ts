/**
 * Undelete: a bucket without versioning that opts in keeps what is deleted or overwritten for some days, and can get it
 * back. No request of S3 shows what is kept.
 *
 * Promises  Before a bucket opts in, the devices refuse earlier releases, which would remove the bytes of what is kept.
 */
import type { BucketId } from "../base/ids.js"
import type { Metadata } from "../metadata/index.js"
import { setUndelete } from "./commands/undelete-commands-core.js"
import { keptOfBuckets, type KeptReport } from "./queries/kept-queries-core.js"

export class Undelete {
  constructor(
    private readonly metadata: Metadata,
    /** Resolves once the devices refuse releases that do not know what is kept. */
    private readonly prepare: () => Promise<void>,
  ) {}

  /** Throws `noSuchBucket`; `invalidArgument` for days that are not 1 to 365, and for a bucket with versioning. */
  async setUndelete(bucketId: BucketId, days: number | undefined): Promise<void> {
    if (days !== undefined) await this.prepare()
    await this.metadata.run(setUndelete({ bucketId, days }))
  }

  /** How much is kept, by bucket. */
  async kept(): Promise<readonly KeptReport[]> {
    return this.metadata.ask(keptOfBuckets())
  }
}
