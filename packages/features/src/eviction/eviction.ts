/**
 * Eviction: keeps a cache within its limit, by removing what was not used for the longest time. While a disk is full the
 * limit shrinks, so that the cache gives way to what is only here; it grows back slowly.
 *
 * Promises  Only items of the cache are removed: all of them can be made or fetched again. Outdated items are removed first.
 * Limits    Memory for a few hundred numbers, however much is cached: one pass counts the bytes by their time of last use, a
 *           second one removes.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { FailuresInARow, Rest, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { CacheRoom } from "./cache-room.js"
import { EVICTION_LIMITS } from "./limits.js"

/** After an eviction so much of the limit is used, so that the next one is not due at once. */
const FILLED_SHARE = 0.9
/** The limit grows by this share, and `growthBytes`, each time. */
const GROWTH_SHARE = 0.02
/** Ages are counted in steps of an eighth of a doubling, from a second on. */
const STEPS_PER_DOUBLING = 8
const SECOND_MS = 1_000

/** An object of a cache. */
export interface EvictableItem {
  readonly chargedBytes: number
  readonly usedMs: number
}

interface Swept {
  /** Items that are left. */
  readonly count: number
  /** Items that were removed whatever the limit. */
  readonly outdated: number
}

interface EvictionParts<Item extends EvictableItem> {
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly room: CacheRoom
  readonly sweepEveryMs: number
  /** Returns true if the store refuses writes, since a disk is full. */
  readonly isStoreFull: () => boolean
  /** Everything that is cached. */
  readonly items: () => AsyncIterable<Item>
  readonly remove: (item: Item) => Promise<void>
  /** Called as a sweep begins; the function that it returns tells which items are removed whatever the limit. */
  readonly outdated: () => Promise<(item: Item) => boolean | Promise<boolean>>
  /** Returns false for an item that must not be evicted now. */
  readonly mayGo: (item: Item, nowMs: number) => boolean
  readonly onSwept?: (swept: Swept) => void
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

/** The limit of a cache until the next sweep. */
export const limitAfter = (
  {
    limitBytes,
    sizeBytes,
    sizeBytesMax,
    growthBytes,
  }: Pick<CacheRoom, "limitBytes" | "sizeBytes" | "sizeBytesMax" | "growthBytes">,
  isStoreFull: boolean,
): number =>
  isStoreFull
    ? Math.min(limitBytes, sizeBytes) * FILLED_SHARE
    : Math.min(sizeBytesMax, limitBytes * (1 + GROWTH_SHARE) + growthBytes)

export class Eviction<Item extends EvictableItem> implements BackgroundService {
  readonly name: string
  private readonly rest: Rest
  private readonly failures: FailuresInARow
  /** When the limit was lowered or raised last: readers that find no room wake a sweep much more often. */
  private adaptedMs = -Infinity
  evictedBytes = 0

  constructor(private readonly parts: EvictionParts<Item>) {
    this.name = parts.name
    this.failures = new FailuresInARow(this.name, parts)
    this.rest = new Rest(parts.clock)
    parts.room.onFull = () => this.rest.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.parts
    await clock.sleep(EVICTION_LIMITS.firstSweepMs, signal)
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
      const { room, isStoreFull } = this.parts
      const isRoomScarce = room.sizeBytes >= room.limitBytes || this.isLowered || isStoreFull()
      await clock.sleep(Math.max(this.failures.restMs, isRoomScarce ? EVICTION_LIMITS.idleSweepMs : SECOND_MS), signal)
      await this.untilDue(signal)
    }
  }

  private get isLowered(): boolean {
    const { room } = this.parts
    return room.limitBytes < room.sizeBytesMax
  }

  /** Resolves when a sweep is due: after a while, or once the cache or a disk is full. */
  private async untilDue(signal: AbortSignal): Promise<void> {
    const { growEveryMs, fullPollMs } = EVICTION_LIMITS
    const { sweepEveryMs, isStoreFull } = this.parts
    const restMs = this.isLowered ? Math.min(sweepEveryMs, growEveryMs) : sweepEveryMs
    for (let restedMs = 0; restedMs < restMs && !signal.aborted; restedMs += fullPollMs) {
      if (isStoreFull() || (await this.rest.until(fullPollMs, signal))) return
    }
  }

  /** Counts what is cached, and removes what has to go. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { room, clock, items, remove, mayGo, onSwept } = this.parts
    const isOutdated = await this.parts.outdated()
    const before = room.sizeBytes
    const nowMs = clock.wallMs()
    const ages = new Map<number, number>()
    let [sizeBytes, count, outdated] = [0, 0, 0]
    for await (const item of items()) {
      if (signal.aborted) return
      if (await isOutdated(item)) {
        await remove(item)
        outdated += 1
        continue
      }
      sizeBytes += item.chargedBytes
      count += 1
      if (!mayGo(item, nowMs)) continue
      const step = stepOf(nowMs - item.usedMs)
      ages.set(step, (ages.get(step) ?? 0) + item.chargedBytes)
    }
    // Bytes that were cached meanwhile may have been counted, or not.
    room.sizeBytes = sizeBytes + Math.max(0, room.sizeBytes - before)
    this.adaptLimit()
    const evicted = await this.evictOver(ages, nowMs, signal)
    onSwept?.({ count: count - evicted, outdated })
  }

  private adaptLimit(): void {
    const { room, clock, isStoreFull } = this.parts
    const nowMs = clock.monotonicMs()
    const isFull = isStoreFull()
    if (!isFull && nowMs - this.adaptedMs < EVICTION_LIMITS.growEveryMs) return
    this.adaptedMs = nowMs
    room.limitBytes = limitAfter(room, isFull)
  }

  /** Removes what is over the limit. Returns how many items that were. */
  private async evictOver(
    bytesOfStep: ReadonlyMap<number, number>,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<number> {
    const { room } = this.parts
    if (room.sizeBytes <= filledOf(room)) return 0
    const movable = [...bytesOfStep.values()].reduce((sum, bytes) => sum + bytes, 0)
    const cut = cutOf(bytesOfStep, Math.max(0, movable - (room.sizeBytes - filledOf(room))))
    const evicted = cut === undefined ? 0 : await this.evict(cut, nowMs, signal)
    room.wantedBytes = 0
    return evicted
  }

  private async evict(cut: number, nowMs: number, signal: AbortSignal): Promise<number> {
    const { name, room, log, items, remove, mayGo } = this.parts
    let [evicted, bytes] = [0, 0]
    for await (const item of items()) {
      if (signal.aborted || room.sizeBytes <= filledOf(room)) break
      if (!mayGo(item, nowMs) || stepOf(nowMs - item.usedMs) < cut) continue
      await remove(item)
      evicted += 1
      bytes += item.chargedBytes
    }
    this.evictedBytes += bytes
    if (evicted > 0) log.info("cache_evicted", { cache: name, bytes })
    return evicted
  }
}

/** So much may be left: what had no room has it then, also in a small cache. */
const filledOf = ({ limitBytes, wantedBytes }: Pick<CacheRoom, "limitBytes" | "wantedBytes">): number =>
  Math.max(0, Math.min(limitBytes * FILLED_SHARE, limitBytes - wantedBytes))
