/**
 * Hot copies: which pieces of blocks are kept in memory, and for how long. Pure.
 *
 * A unit is up to 1 MiB of one block. Its bytes never change: they are determined by its upload, part, block and
 * generation, so that a copy is never stale. A unit that is read often enough gets a copy if the budget has space for it,
 * or if it is clearly hotter than copies of which the space can be taken.
 *
 * Promises  The bytes of all copies, those being made and those that readers still hold included, never exceed the
 *           budget. A unit that is read once, as by a backup, takes no space from others.
 * Limits    The budget, `copiesMax`, `makingMax`, and `victimsMax` for the work of an admission.
 */
import type { UploadId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Extent } from "../format/needles/extent.js"
import { ReadRates, RATE_WINDOW_MS } from "./read-rates-core.js"
import { blockShape, type ExtentRange } from "./read-plan-core.js"

export const HOT_COPY_LIMITS = {
  unitBytes: 1 * MIB,
  /** Copies, and units of which no copy could be made recently. */
  copiesMax: 32_768,
  /** Copies that are being made at the same time. */
  makingMax: 16,
  /** An admission looks at so many of the copies that were not read for longest. */
  victimsMax: 32,
  /** A unit takes the space of copies only if it is read so many times as often as each of them. */
  hotterTimes: 1.5,
  /** A copy is dropped if it was read less than half as often as a unit must be to get one for so long. */
  coldMs: 3 * RATE_WINDOW_MS,
  /** How long no copy is tried after one could not be made. */
  failedMs: RATE_WINDOW_MS,
} as const

export interface HotCopyTerms {
  readonly budgetBytes: number
  /** From this rate on a unit is hot. */
  readonly readsPerMinute: number
}

/** A part of a block. */
export interface Unit {
  readonly extent: Extent
  readonly block: number
  /** In the extent. */
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** The unit at the beginning of a range. */
export function unitAt({ extent, offsetBytes }: ExtentRange): Unit {
  const { unitBytes } = HOT_COPY_LIMITS
  const block = Math.floor(offsetBytes / extent.blockBytes)
  const blockAt = block * extent.blockBytes
  const inBlock = offsetBytes - blockAt
  const at = inBlock - (inBlock % unitBytes)
  const lengthBytes = Math.min(unitBytes, extent.blockBytes - at, extent.lengthBytes - blockAt - at)
  return { extent, block, offsetBytes: blockAt + at, lengthBytes }
}

/** How much of a range is in the unit at its beginning. */
export function lengthInUnit(range: ExtentRange): number {
  const unit = unitAt(range)
  return Math.min(range.lengthBytes, unit.offsetBytes + unit.lengthBytes - range.offsetBytes)
}

/** Units with the same key have the same bytes. */
export function keyOfUnit({ extent, block, offsetBytes }: Unit): string {
  const { generation } = blockShape(extent, block)
  return `${extent.uploadId}.${extent.part}.${block}.${generation}.${offsetBytes % extent.blockBytes}`
}

export interface HotCopy {
  readonly key: string
  readonly unit: Unit
  state: "making" | "made" | "failed"
  /** Readers that hold it, or wait until it is made. */
  readers: number
  /** It is in the list of copies no more; its bytes count until the last reader returns them. */
  isDropped: boolean
  hits: number
  /** When it was last found to be read often enough, or when its making failed. */
  sinceMs: number
}

export interface HotCopyCounts {
  hits: number
  hitBytes: number
  misses: number
  made: number
  failed: number
  /** Dropped to make space for hotter ones. */
  evicted: number
  /** Dropped because they were cold. */
  cooled: number
}

/** All copies of a process. */
export class CopyLedger {
  /** The bytes of all copies. */
  usedBytes = 0
  making = 0
  readonly counts: HotCopyCounts = { hits: 0, hitBytes: 0, misses: 0, made: 0, failed: 0, evicted: 0, cooled: 0 }
  /** The one that was not read for longest comes first. */
  private readonly copies = new Map<string, HotCopy>()
  private readonly rates = new ReadRates()

  /** `onFree`: called once for each copy whose bytes are no longer counted. */
  constructor(
    readonly terms: HotCopyTerms,
    private readonly onFree: (copy: HotCopy) => void,
  ) {}

  get size(): number {
    return this.copies.size
  }

  all(): Iterable<HotCopy> {
    return this.copies.values()
  }

  rateOf({ key }: HotCopy, nowMs: number): number {
    return this.rates.of(key, nowMs)
  }

  /** Counts a read of a unit. Returns whether it is hot. */
  note(key: string, nowMs: number): boolean {
    return this.rates.note(key, nowMs) >= this.terms.readsPerMinute
  }

  /** The copy of a unit, or the note that none could be made. */
  find(key: string): HotCopy | undefined {
    const copy = this.copies.get(key)
    if (copy === undefined) return undefined
    this.copies.delete(key)
    this.copies.set(key, copy)
    return copy
  }

  /** Takes the space for the copy of a hot unit that has none; undefined: there is no space for it. */
  admit(key: string, unit: Unit, nowMs: number): HotCopy | undefined {
    const { copiesMax, makingMax } = HOT_COPY_LIMITS
    if (this.making >= makingMax) return undefined
    const victims = this.victimsFor(unit.lengthBytes, this.rates.of(key, nowMs), nowMs)
    if (victims === undefined || this.copies.size - victims.length >= copiesMax) return undefined
    for (const victim of victims) this.drop(victim)
    this.counts.evicted += victims.length
    const copy: HotCopy = { key, unit, state: "making", readers: 0, isDropped: false, hits: 0, sinceMs: nowMs }
    this.copies.set(key, copy)
    this.usedBytes += unit.lengthBytes
    this.making += 1
    return copy
  }

  made(copy: HotCopy): void {
    this.making -= 1
    this.counts.made += 1
    copy.state = "made"
    this.freeIfUnused(copy)
  }

  /** The readers that waited for it read by themselves. */
  failed(copy: HotCopy, nowMs: number): void {
    this.making -= 1
    this.counts.failed += 1
    copy.state = "failed"
    copy.sinceMs = nowMs
    this.free(copy)
  }

  /** A reader holds the copy, or waits for it. */
  lend(copy: HotCopy): void {
    copy.readers += 1
  }

  giveBack(copy: HotCopy): void {
    copy.readers -= 1
    this.freeIfUnused(copy)
  }

  /** Drops copies that were cold for some minutes. */
  dropCold(nowMs: number): void {
    const { coldMs, failedMs } = HOT_COPY_LIMITS
    for (const copy of this.copies.values()) {
      if (copy.state === "making") continue
      const isWarm = copy.state === "made" && this.rateOf(copy, nowMs) >= this.terms.readsPerMinute / 2
      if (isWarm) copy.sinceMs = nowMs
      else if (nowMs - copy.sinceMs >= (copy.state === "made" ? coldMs : failedMs)) {
        if (copy.state === "made") this.counts.cooled += 1
        this.drop(copy)
      }
    }
  }

  /** Copies of which the space is enough together with what is free; undefined: there are none that are cold enough. */
  private victimsFor(bytes: number, rate: number, nowMs: number): readonly HotCopy[] | undefined {
    const { victimsMax, hotterTimes } = HOT_COPY_LIMITS
    let missing = this.usedBytes + bytes - this.terms.budgetBytes
    if (missing <= 0) return []
    const candidates: (readonly [rate: number, copy: HotCopy])[] = []
    const oldest: HotCopy[] = []
    for (const copy of this.copies.values()) if (oldest.push(copy) === victimsMax) break
    for (const copy of oldest) {
      const own = copy.state === "made" && copy.readers === 0 ? this.rateOf(copy, nowMs) : Infinity
      if (own * hotterTimes <= rate) candidates.push([own, copy])
      // The next admission looks at others.
      else this.find(copy.key)
    }
    candidates.sort(([a], [b]) => a - b)
    const victims: HotCopy[] = []
    for (const [, copy] of candidates) {
      if (missing <= 0) break
      victims.push(copy)
      missing -= copy.unit.lengthBytes
    }
    return missing <= 0 ? victims : undefined
  }

  private drop(copy: HotCopy): void {
    this.copies.delete(copy.key)
    copy.isDropped = true
    this.freeIfUnused(copy)
  }

  private freeIfUnused(copy: HotCopy): void {
    if (copy.isDropped && copy.state === "made" && copy.readers === 0) this.free(copy)
  }

  private free(copy: HotCopy): void {
    this.usedBytes -= copy.unit.lengthBytes
    this.onFree(copy)
  }
}

/** Copies of one extent. */
export interface HotExtent {
  readonly extent: Extent
  readonly uploadId: UploadId
  readonly part: number
  /** One of the blocks that have a copy. */
  readonly block: number
  readonly copies: number
  readonly bytes: number
  readonly hits: number
  /** The reads of its unit that is read most. */
  readonly readsPerMinute: number
}

/** The extents with copies, those that are read most first. */
export function hottestExtents(ledger: CopyLedger, nowMs: number, max: number): readonly HotExtent[] {
  const extents = new Map<string, HotExtent>()
  for (const copy of ledger.all()) {
    if (copy.state !== "made") continue
    const { extent, block, lengthBytes } = copy.unit
    const { uploadId, part } = extent
    const name = `${uploadId}.${part}`
    const before = extents.get(name) ?? { copies: 0, bytes: 0, hits: 0, readsPerMinute: 0 }
    extents.set(name, {
      extent,
      uploadId,
      part,
      block,
      copies: before.copies + 1,
      bytes: before.bytes + lengthBytes,
      hits: before.hits + copy.hits,
      readsPerMinute: Math.max(before.readsPerMinute, ledger.rateOf(copy, nowMs)),
    })
  }
  return inOrder(extents.values(), max)
}

/** The extents with copies in several threads: each has its own copies, and counts its own reads. */
export function hottestOfAll(threads: readonly (readonly HotExtent[])[], max: number): readonly HotExtent[] {
  const extents = new Map<string, HotExtent>()
  for (const one of threads.flat()) {
    const name = `${one.uploadId}.${one.part}`
    const before = extents.get(name)
    const all = before && {
      copies: before.copies + one.copies,
      bytes: before.bytes + one.bytes,
      hits: before.hits + one.hits,
      readsPerMinute: before.readsPerMinute + one.readsPerMinute,
    }
    extents.set(name, { ...one, ...all })
  }
  return inOrder(extents.values(), max)
}

const inOrder = (extents: Iterable<HotExtent>, max: number): readonly HotExtent[] =>
  [...extents].sort((a, b) => b.readsPerMinute - a.readsPerMinute || b.hits - a.hits).slice(0, max)
