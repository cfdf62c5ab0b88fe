/**
 * Shard store: a device's shards, as the block layer reaches them. A device of this process answers at once, by direct
 * calls to its volumes, which are a shard store as they are; one elsewhere answers with a promise.
 *
 * What a store says it has may be outdated when it is heard. So answers of `has` and `indexed` say where to look and
 * what to mend; that a shard may be removed because another device has it follows only from reading it there, whole
 * (`mender.ts`). Hints (`ShardDevice.isWritable`, `isFull`, `refusing`) are what is known here without asking: they may be
 * wrong, and spare attempts that would fail.
 */
import type { Failure } from "../base/failures.js"
import type { KeyRange } from "../base/key-range.js"
import type { Soon } from "../base/soon.js"
import type { IndexedNeedle, NeedleId, Volumes } from "../volume/contract.js"

/** Failures are those of `Volumes`, and `deviceFailed` wherever a device cannot be asked. */
export interface ShardStore extends Pick<Volumes, "append" | "read" | "fetch" | "headerOf" | "remove"> {
  /** Whether it has the shard: false also for one that is distrusted. Throws `corruptRow`. */
  has(id: NeedleId): Soon<boolean>
  /** See `Volumes.distrust`. */
  distrust(ids: readonly NeedleId[]): Soon<void>
  /**
   * The needles of a range of keys, in the order of the index: all of them, or the first `needlesMin` at least. What
   * was not waited for is to be read within one turn. The call or the reading throws `corruptRow`.
   */
  indexed(range: KeyRange, needlesMin: number): Soon<Iterable<IndexedNeedle>>
  /** A hint: why it takes no needles any more. */
  readonly refusing: Failure | undefined
}
