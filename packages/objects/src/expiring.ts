/**
 * Expiring objects: what is done before one is stored.
 *
 * Promises  Before the first version with an expiry in a bucket, the devices refuse earlier releases, which could not read
 *           it, and the features that remove what has expired know of the bucket.
 * Limits    `bucketsKnown` buckets are remembered; others are noted again.
 */
import type { BucketId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { checkExpiry, expiryClock } from "./commands/expiry-core.js"
import type { StoreClock } from "./store-clock.js"

const BUCKETS_KNOWN = 10_000

interface ExpirySeams {
  readonly clock: Pick<Clock, "wallMs">
  readonly storeClock: Pick<StoreClock, "shownMs">
  /** Features that are told of a bucket before the first version with an expiry is stored in it. */
  readonly told: (bucketId: BucketId) => Promise<void>
}

export class Expiring {
  private readonly noted = new Set<BucketId>()

  constructor(
    private readonly seams: ExpirySeams,
    readonly refuseEarlier: () => Promise<void>,
  ) {}

  /** The time by which objects expire. */
  nowMs(): number {
    return expiryClock({ nowMs: this.seams.clock.wallMs() }, this.seams.storeClock.shownMs)
  }

  /** Returns undefined if nothing has to be waited for. Throws `invalidArgument` for a time that has passed. */
  prepare(bucketId: BucketId, expiresAtSeconds: number | undefined): Promise<void> | undefined {
    if (expiresAtSeconds === undefined) return undefined
    checkExpiry(expiresAtSeconds, this.nowMs())
    return this.noted.has(bucketId) ? undefined : this.note(bucketId)
  }

  private async note(bucketId: BucketId): Promise<void> {
    await this.refuseEarlier()
    await this.seams.told(bucketId)
    if (this.noted.size >= BUCKETS_KNOWN) this.noted.clear()
    this.noted.add(bucketId)
  }
}
