/**
 * Eviction: keeps the cache of remote buckets within its limit, by removing what was not used for the longest time. While a disk is
 * full the limit shrinks, so that the cache gives way to what is only here; it grows back slowly.
 *
 * Promises  Only what is cached is removed: all of it can be fetched again. What is only here is elsewhere, in the buckets themselves.
 *           What belongs to buckets that are not remote any more is removed first.
 * Limits    Memory for a few hundred numbers, however much is cached: one pass counts the bytes by their time of last use, a second one
 *           removes.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { FailuresInARow, Rest, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { CachedItem, RemoteCache } from "./cache.js"
import { REMOTE_LIMITS } from "./limits.js"

/** After an eviction so much of the limit is used, so that the next one is not due at once. */
const FILLED_SHARE = 0.9
/** The limit grows by this share, and a block, between two sweeps that find no disk full. */
const GROWTH_SHARE = 0.02
/** Ages are counted in steps of an eighth of a doubling, from a second on. */
const STEPS_PER_DOUBLING = 8
const SECOND_MS = 1_000

type Sizes = Pick<RemoteCache, "limitBytes" | "sizeBytes" | "sizeBytesMax">

interface EvictionParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly cache: RemoteCache
  /** Returns true if the store refuses writes, since a disk is full. */
  readonly isStoreFull: () => boolean
  /** The spaces of buckets that are remote. */
  readonly spaces: () => Promise<ReadonlySet<string>>
}

export const stepOf = (ageMs: number): number =>
  Math.max(0, Math.ceil(Math.log2(Math.max(1, ageMs / SECOND_MS)) * STEPS_PER_DOUBLING))

/** The smallest step such that removing all that is at least so old leaves at most `bytesMax`; undefined: nothing has to go. */
export function cutOf(bytesOfStep: ReadonlyMap<number, number>, bytesMax: number): number | undefined {
  const steps = [...bytesOfStep].sort(([a], [b]) => b - a)
  let left = steps.reduce((sum, [, bytes]) => sum + bytes, 0)
  let cut: number | undefined
  for (const [step, bytes] of steps) {
    if (left <= bytesMax) break
    cut = step
    left -= bytes
  }
  return cut
}

/** The limit of the cache until the next sweep. */
export const limitAfter = (
  { limitBytes, sizeBytes, sizeBytesMax, blockBytes }: Sizes & Pick<RemoteCache, "blockBytes">,
  isStoreFull: boolean,
): number =>
  isStoreFull
    ? Math.min(limitBytes, sizeBytes) * FILLED_SHARE
    : Math.min(sizeBytesMax, limitBytes * (1 + GROWTH_SHARE) + blockBytes)

export class Eviction implements BackgroundService {
  readonly name = "remote-eviction"
  private readonly rest: Rest
  private readonly failures: FailuresInARow
  /** When the limit was lowered or raised last: readers that find no room wake a sweep much more often. */
  private adaptedMs = -Infinity
  evictedBytes = 0

  constructor(private readonly parts: EvictionParts) {
    this.failures = new FailuresInARow(this.name, parts)
    this.rest = new Rest(parts.clock)
    parts.cache.onFull = () => this.rest.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.parts
    await clock.sleep(REMOTE_LIMITS.firstSweepMs, signal)
    while (!signal.aborted) {
      this.rest.forget()
      try {
        await this.sweep(signal)
        this.failures.succeeded()
      } catch (error) {
        if (!isFailure(error)) throw error
        this.failures.failed(error)
      }
      // A full cache wakes at once, but a sweep that made no room is not repeated all the time. Space on a disk comes back later.
      const { cache, isStoreFull } = this.parts
      const isRoomScarce = cache.sizeBytes >= cache.limitBytes || cache.limitBytes < cache.sizeBytesMax || isStoreFull()
      await clock.sleep(Math.max(this.failures.restMs, isRoomScarce ? REMOTE_LIMITS.idleSweepMs : SECOND_MS), signal)
      await this.untilDue(signal)
    }
  }

  /** Resolves when a sweep is due: after a while, or once the cache or a disk is full. */
  private async untilDue(signal: AbortSignal): Promise<void> {
    const { sweepEveryMs, fullPollMs } = REMOTE_LIMITS
    for (let restedMs = 0; restedMs < sweepEveryMs && !signal.aborted; restedMs += fullPollMs) {
      if (this.parts.isStoreFull() || (await this.rest.until(fullPollMs, signal))) return
    }
  }

  /** Counts what is cached, and removes what has to go. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { cache, clock } = this.parts
    const spaces = await this.parts.spaces()
    const before = cache.sizeBytes
    const nowMs = clock.wallMs()
    const ages = new Map<number, number>()
    let sizeBytes = 0
    for await (const item of cache.items()) {
      if (signal.aborted) return
      if (!spaces.has(item.space)) {
        await cache.removeItem(item)
        continue
      }
      sizeBytes += item.chargedBytes
      if (!mayGo(item, nowMs)) continue
      const step = stepOf(nowMs - item.usedMs)
      ages.set(step, (ages.get(step) ?? 0) + item.chargedBytes)
    }
    // Bytes that were cached meanwhile may have been counted, or not.
    cache.sizeBytes = sizeBytes + Math.max(0, cache.sizeBytes - before)
    this.adaptLimit()
    if (cache.sizeBytes <= filledOf(cache)) return
    const movable = [...ages.values()].reduce((sum, bytes) => sum + bytes, 0)
    const cut = cutOf(ages, Math.max(0, movable - (cache.sizeBytes - filledOf(cache))))
    if (cut !== undefined) await this.evict(cut, nowMs, signal)
    cache.wantedBytes = 0
  }

  private adaptLimit(): void {
    const { cache, clock, isStoreFull } = this.parts
    const nowMs = clock.monotonicMs()
    const isFull = isStoreFull()
    if (!isFull && nowMs - this.adaptedMs < REMOTE_LIMITS.sweepEveryMs) return
    this.adaptedMs = nowMs
    cache.limitBytes = limitAfter(cache, isFull)
  }

  private async evict(cut: number, nowMs: number, signal: AbortSignal): Promise<void> {
    const { cache, log } = this.parts
    let removedBytes = 0
    for await (const item of cache.items()) {
      if (signal.aborted || cache.sizeBytes <= filledOf(cache)) break
      if (!mayGo(item, nowMs) || stepOf(nowMs - item.usedMs) < cut) continue
      await cache.removeItem(item)
      removedBytes += item.chargedBytes
    }
    this.evictedBytes += removedBytes
    if (removedBytes > 0) log.info("remote_cache_evicted", { bytes: removedBytes })
  }
}

/** So much may be left: what had no room has it then, also in a small cache. */
const filledOf = ({ limitBytes, wantedBytes }: Pick<RemoteCache, "limitBytes" | "wantedBytes">): number =>
  Math.max(0, Math.min(limitBytes * FILLED_SHARE, limitBytes - wantedBytes))

/** A mark that says that an object changes is kept for `changingKeptMs`. */
const mayGo = ({ isMark, usedMs }: CachedItem, nowMs: number): boolean =>
  !isMark || nowMs - usedMs > REMOTE_LIMITS.changingKeptMs
