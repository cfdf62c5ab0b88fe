/**
 * Block cache: verified blocks of tables, one cache for all devices of a process.
 *
 * A table finds its blocks by their place in its own slots, without a lookup here; the cache only decides which blocks
 * are evicted (second chance: a block that was used since the hand last passed stays).
 * Limits    `limitBytes` for the bytes of all blocks, and `BLOCK_IDLE_MS` for unused blocks.
 */
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Block } from "../format/tables/table-block.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { BLOCK_IDLE_MS } from "./limits.js"

interface CachedBlock {
  readonly block: Block
  /** Used since the hand of the cache last passed. */
  isUsed: boolean
}

/** The place where a table keeps its blocks; a slot is undefined if the block is not in memory. */
export type BlockSlots = (CachedBlock | undefined)[]

interface Entry extends CachedBlock {
  readonly slots: BlockSlots
  readonly slot: number
}

export class BlockCache {
  private ring: Entry[] = []
  private hand = 0
  private usedBytes = 0

  constructor(private readonly limitBytes: number) {}

  /** Evicts blocks that have not been used since the last call. */
  private releaseIdle(): void {
    this.ring = this.ring.filter(entry => {
      const isHere = entry.slots[entry.slot] === entry
      if (isHere && entry.isUsed) return true
      if (isHere) entry.slots[entry.slot] = undefined
      this.usedBytes -= entry.block.bytes.length
      return false
    })
    this.hand = 0
    for (const entry of this.ring) entry.isUsed = false
  }

  /** Frees the memory of blocks that were not used for a while: an idle store has none after twice that time. */
  idling(clock: Clock): BackgroundService {
    const run = async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        await clock.sleep(BLOCK_IDLE_MS, signal)
        this.releaseIdle()
      }
    }
    return { name: "block cache", run }
  }

  /** Bytes of the blocks in memory. */
  get bytes(): number {
    return this.usedBytes
  }

  /** Puts a block into a slot. Evicts others if there is no space. */
  put(slots: BlockSlots, slot: number, block: Block): CachedBlock {
    const entry: Entry = { block, isUsed: true, slots, slot }
    slots[slot] = entry
    this.usedBytes += block.bytes.length
    this.ring.push(entry)
    this.shrinkTo(this.limitBytes)
    return entry
  }

  /** Evicts all blocks. */
  clear(): void {
    for (const { slots, slot } of this.ring) slots[slot] = undefined
    this.ring = []
    this.hand = 0
    this.usedBytes = 0
  }

  private shrinkTo(limitBytes: number): void {
    while (this.usedBytes > limitBytes && this.ring.length > 1) {
      if (this.hand >= this.ring.length) this.hand = 0
      const entry = this.ring[this.hand]
      if (entry === undefined) return
      const isHere = entry.slots[entry.slot] === entry
      if (isHere && entry.isUsed) {
        entry.isUsed = false
        this.hand += 1
      } else this.remove(entry, isHere)
    }
  }

  /** The last entry takes the place of the removed one. */
  private remove(entry: Entry, isHere: boolean): void {
    if (isHere) entry.slots[entry.slot] = undefined
    this.usedBytes -= entry.block.bytes.length
    const last = this.ring.pop()
    if (last !== undefined && last !== entry) this.ring[this.hand] = last
  }
}
