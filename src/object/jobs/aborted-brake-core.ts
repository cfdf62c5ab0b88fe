/**
 * Aborted brake: how many blocks one process may take for aborted before somebody has to look. Pure.
 *
 * An interrupted process leaves few blocks that no row names. Many of them are more likely a loss of metadata than
 * aborted uploads, and to remove them would make that loss final.
 */
export const ABORTED_BRAKE = {
  /** Never more than this. */
  blocksMax: 100,
  /** Nor more than this share of all blocks ... */
  shareMax: 0.001,
  /** ... except in small stores, where it is less than one interrupted upload leaves. */
  blocksMin: 32,
} as const

/** @param allBlocks undefined until all blocks have been counted: then only `blocksMax` holds. */
export function abortedBlocksMax(allBlocks: number | undefined): number {
  const { blocksMax, blocksMin, shareMax } = ABORTED_BRAKE
  if (allBlocks === undefined) return blocksMax
  return Math.min(blocksMax, Math.max(blocksMin, Math.floor(allBlocks * shareMax)))
}

/** Counts aborted blocks for the life of the process. Once it is on, only an operator releases it. */
export class AbortedBrake {
  private readonly names = new Set<string>()
  private allBlocks: number | undefined
  private isReleased = false
  private isTripped = false

  get isOn(): boolean {
    return this.isTripped
  }

  /** Aborted blocks; if the brake is on, at least so many. */
  get blocks(): number {
    return this.names.size
  }

  get blocksMax(): number {
    return abortedBlocksMax(this.allBlocks)
  }

  count(name: string): void {
    // Released, it needs to know nothing more.
    if (!this.isReleased) this.names.add(name)
    this.check()
  }

  /** All blocks that devices hold, as they were counted last. */
  setAllBlocks(blocks: number): void {
    this.allBlocks = blocks
    this.check()
  }

  /** An operator has looked: off until the process ends. */
  release(): void {
    this.isReleased = true
    this.isTripped = false
  }

  private check(): void {
    this.isTripped ||= !this.isReleased && this.names.size > this.blocksMax
  }
}
