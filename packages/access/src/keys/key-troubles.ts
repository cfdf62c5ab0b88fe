/**
 * Key troubles: the buckets whose keys were unavailable when they were last asked for, for the health of the store.
 *
 * Promises  A bucket counts until its keys are there again, or nobody has asked for `rememberMs`. The log names the bucket
 *           and the cause when it begins to count.
 * Limits    KEY_TROUBLE_LIMITS.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { ObjectKeys } from "./contract.js"

export const KEY_TROUBLE_LIMITS = {
  /** Further buckets are not counted. */
  bucketsMax: 1_000,
  /** Requests for a deleted bucket end. */
  rememberMs: 15 * 60_000,
} as const

export class KeyTroubles {
  /** With the time of the latest failure. */
  private readonly buckets = new Map<BucketId, number>()

  constructor(
    private readonly clock: Pick<Clock, "monotonicMs">,
    private readonly log: Log,
  ) {}

  /** How many buckets lack keys. */
  count(): number {
    const sinceMs = this.clock.monotonicMs() - KEY_TROUBLE_LIMITS.rememberMs
    for (const [bucketId, atMs] of this.buckets) if (atMs <= sinceMs) this.buckets.delete(bucketId)
    return this.buckets.size
  }

  /** The same keys, whose failures count. */
  watching(keys: ObjectKeys): ObjectKeys {
    return {
      create: (bucketId, protection) => this.watch(bucketId, () => keys.create(bucketId, protection)),
      open: (bucketId, sealing, clientKey) => this.watch(bucketId, () => keys.open(bucketId, sealing, clientKey)),
      bind: (sealing, facts) => keys.bind(sealing, facts),
      checkBind: (sealing, facts) => keys.checkBind(sealing, facts),
      rowsOf: (bucketId, sealing) => keys.rowsOf(bucketId, sealing),
      digestKey: (bucketId, storageClass) => this.watch(bucketId, () => keys.digestKey(bucketId, storageClass)),
      openSecret: (bucketId, secret) => keys.openSecret(bucketId, secret),
      restoreSecret: (bucketId, secret) => keys.restoreSecret(bucketId, secret),
      restore: (bucketId, sealing, lost) => keys.restore(bucketId, sealing, lost),
    }
  }

  private watch<T>(bucketId: BucketId, run: () => Soon<T>): Soon<T> {
    const found = recover(run, (error): never => {
      if (isFailure(error, "keysUnavailable")) this.note(bucketId, error.message)
      throw error
    })
    return after(found, value => {
      if (this.buckets.size > 0) this.buckets.delete(bucketId)
      return value
    })
  }

  private note(bucketId: BucketId, error: string): void {
    const isNew = !this.buckets.has(bucketId)
    if (isNew && this.buckets.size >= KEY_TROUBLE_LIMITS.bucketsMax) return
    this.buckets.set(bucketId, this.clock.monotonicMs())
    if (isNew) this.log.error("keys_unavailable", { bucket: bucketId, error })
  }
}
