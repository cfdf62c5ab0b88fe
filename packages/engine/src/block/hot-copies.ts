/**
 * Hot copies: pieces of blocks that are read often are kept in memory, so that their readers need no device.
 *
 * Readers ask for a copy of the piece that they read next. While a copy is being made, by one read of the devices, all
 * readers of its unit wait for it. A copy is lent to any number of readers at the same time: a thousand slow clients of one
 * object hold its bytes once.
 *
 * Promises  Only verified bytes are copied. A reader never gets bytes of a copy that is incomplete or freed. If a copy
 *           cannot be made, its readers read the devices themselves, as they would without copies.
 * Limits    `hot-copies-core.ts`. Nothing is reserved before a unit is hot. Nothing of it outlives the process.
 */
import { freeBuffer } from "@hayloft/base/memory/free-memory.js"
import { must } from "@hayloft/base/assert.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import {
  CopyLedger,
  hottestExtents,
  hottestOfAll,
  keyOfUnit,
  lengthInUnit,
  unitAt,
  type HotCopy,
  type HotCopyCounts,
  type HotCopyTerms,
  type HotExtent,
  type Unit,
} from "./hot-copies-core.js"
import type { ExtentRange } from "./read-plan-core.js"

/** Reads a range from the devices into memory of its length. */
type FillRange = (range: ExtentRange, into: Uint8Array) => Promise<void>

interface Held {
  readonly bytes: Uint8Array
  /** Resolves with false if the copy could not be made. */
  readonly ready: Promise<boolean>
}

export interface HotCopyFigures extends HotCopyCounts {
  readonly budgetBytes: number
  readonly readsPerMinute: number
  readonly usedBytes: number
  /** Copies that readers can get, or wait for. */
  readonly copies: number
}

/** The copies of a thread, or of several. */
export interface CopiesReport {
  readonly figures: HotCopyFigures
  readonly hottest: readonly HotExtent[]
}

export class HotCopies {
  /** Asks the other threads of the process; `max`: of the hottest extents of each. */
  others: (max: number) => Promise<readonly CopiesReport[]> = () => Promise.resolve([])
  private readonly ledger: CopyLedger
  private readonly held = new Map<HotCopy, Held>()
  /** By the memory of the copy: readers return views of it. */
  private readonly byMemory = new Map<ArrayBufferLike, HotCopy>()

  constructor(
    private readonly clock: Pick<Clock, "monotonicMs">,
    terms: HotCopyTerms,
    private readonly fill: FillRange,
  ) {
    this.ledger = new CopyLedger(terms, copy => this.free(copy))
  }

  /** For one reader. */
  reader(): CopyReader {
    return new CopyReader(this)
  }

  /** Returns whether the view was lent by a copy, which takes it back. */
  give({ buffer }: Uint8Array): boolean {
    const copy = this.byMemory.get(buffer)
    if (copy !== undefined) this.ledger.giveBack(copy)
    return copy !== undefined
  }

  /** Drops copies that were cold for some minutes. */
  dropCold(): void {
    this.ledger.dropCold(this.clock.monotonicMs())
  }

  get figures(): HotCopyFigures {
    const { terms, usedBytes, counts } = this.ledger
    return { ...terms, usedBytes, copies: this.held.size, ...counts }
  }

  /** The copies of this thread, with at most `max` of the hottest extents. */
  own(max: number): CopiesReport {
    return { figures: this.figures, hottest: hottestExtents(this.ledger, this.clock.monotonicMs(), max) }
  }

  /** The same for all threads of the process together. */
  async report(max: number): Promise<CopiesReport> {
    const own = this.own(max)
    const all = [own, ...(await this.others(max))]
    const sum = (of: (figures: HotCopyFigures) => number): number =>
      all.reduce((before, { figures }) => before + of(figures), 0)
    const figures = {
      readsPerMinute: own.figures.readsPerMinute,
      budgetBytes: sum(of => of.budgetBytes),
      usedBytes: sum(of => of.usedBytes),
      copies: sum(of => of.copies),
      hits: sum(of => of.hits),
      hitBytes: sum(of => of.hitBytes),
      misses: sum(of => of.misses),
      made: sum(of => of.made),
      failed: sum(of => of.failed),
      evicted: sum(of => of.evicted),
      cooled: sum(of => of.cooled),
    }
    const hottest = hottestOfAll(
      all.map(each => each.hottest),
      max,
    )
    return { figures, hottest }
  }

  /**
   * The beginning of the range, as far as the unit goes, if the unit has a copy; a promise if the copy is being made.
   * The promise resolves with undefined if it could not be made.
   */
  lend(range: ExtentRange, unit: Unit, key: string, isCounted: boolean): Soon<Uint8Array | undefined> {
    const { ledger } = this
    const nowMs = this.clock.monotonicMs()
    const isHot = !isCounted && ledger.note(key, nowMs)
    const copy = ledger.find(key) ?? (isHot ? this.make(key, unit, nowMs) : undefined)
    if (copy === undefined || copy.state === "failed") {
      if (!isCounted) ledger.counts.misses += 1
      return undefined
    }
    if (!isCounted) {
      copy.hits += 1
      ledger.counts.hits += 1
    }
    const { bytes, ready } = must(this.held.get(copy), "a copy has memory until it is freed")
    const from = range.offsetBytes - unit.offsetBytes
    const wanted = bytes.subarray(from, from + lengthInUnit(range))
    ledger.lend(copy)
    ledger.counts.hitBytes += wanted.length
    return copy.state === "made" ? wanted : ready.then(isMade => (isMade ? wanted : undefined))
  }

  private make(key: string, unit: Unit, nowMs: number): HotCopy | undefined {
    const copy = this.ledger.admit(key, unit, nowMs)
    if (copy === undefined) return undefined
    const bytes = Buffer.allocUnsafeSlow(unit.lengthBytes)
    this.byMemory.set(bytes.buffer, copy)
    this.held.set(copy, { bytes, ready: this.filled(copy, bytes) })
    return copy
  }

  private async filled(copy: HotCopy, bytes: Uint8Array): Promise<boolean> {
    try {
      await this.fill(copy.unit, bytes)
    } catch {
      // Its readers find out what is wrong: what they read may be intact.
      this.ledger.failed(copy, this.clock.monotonicMs())
      return false
    }
    this.ledger.made(copy)
    return true
  }

  private free(copy: HotCopy): void {
    const { bytes } = must(this.held.get(copy), "a copy is freed once")
    this.held.delete(copy)
    this.byMemory.delete(bytes.buffer)
    if (bytes.buffer instanceof ArrayBuffer) freeBuffer(bytes.buffer)
  }
}

/** The requests of one reader. It counts as one read of each unit, in however many pieces it reads it. */
export class CopyReader {
  private lastKey = ""

  constructor(private readonly all: HotCopies) {}

  /** See `HotCopies.lend`. */
  ask(range: ExtentRange): Soon<Uint8Array | undefined> {
    const unit = unitAt(range)
    const key = keyOfUnit(unit)
    const isCounted = key === this.lastKey
    this.lastKey = key
    return this.all.lend(range, unit, key, isCounted)
  }
}
