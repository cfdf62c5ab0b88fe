/**
 * Shard store: the block layer's access to a device's shards. A local device answers synchronously, by direct calls to
 * its volumes, which implement this interface; a remote one answers with a promise.
 *
 * An answer may be outdated when it arrives. So answers of `has` and `indexed` only show where to look and what to
 * mend; a shard may be removed only after another device's shard was read, whole (`mender.ts`). Hints
 * (`ShardDevice.isWritable`, `isFull`, `refusing`) are known locally without a request: they may be wrong, and spare
 * attempts that would fail.
 */
import type { Failure } from "@hayloft/base/failures.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { CachedPlace, IndexedNeedle, NeedleId, NeedleRange, Volumes } from "../volume/contract.js"

/** Throws the failures of `Volumes`, and `deviceFailed` if a device cannot be reached. */
export interface ShardStore extends Pick<Volumes, "append" | "read" | "fetch" | "headerOf" | "remove"> {
  /** Returns true if it has the shard, and false also for a suspect one. Throws `corruptRow`. */
  has(id: NeedleId): Soon<boolean>
  /** See `Volumes.markSuspect`. */
  markSuspect(ids: readonly NeedleId[]): Soon<void>
  /**
   * The needles of a key range in index order: all of them, or at least the first `needlesMin`. A synchronous result
   * must be read within one turn. The call or the iteration throws `corruptRow`.
   */
  indexed(range: KeyRange, needlesMin: number): Soon<Iterable<IndexedNeedle>>
  /** See `KeptVolumes.cachedPlaceOf`; absent if this process does not have the volumes. */
  cachedPlaceOf?(id: NeedleId, range: NeedleRange): CachedPlace | undefined
  /** See `KeptVolumes.removedVolumes`. */
  readonly removedVolumes?: number
  /** A hint: why it accepts no needles any more. */
  readonly refusing: Failure | undefined
}
