/**
 * Aborted brake: how many blocks one process may find aborted before an operator has to check. Pure.
 *
 * An interrupted process leaves few blocks that no row references. Many of them are more likely a loss of metadata than
 * aborted uploads, and removing them would make that loss final.
 */
export const ABORTED_BRAKE = {
  /** The limit is never higher than this … */
  blocksMax: 100,
  /** … nor higher than this share of all blocks … */
  shareMax: 0.001,
  /** … but never lower than this: one interrupted upload leaves fewer. */
  blocksMin: 32,
} as const

/** @param allBlocks undefined until all blocks have been counted: then only `blocksMax` holds. */
export function abortedBlocksMax(allBlocks: number | undefined): number {
  const { blocksMax, blocksMin, shareMax } = ABORTED_BRAKE
  if (allBlocks === undefined) return blocksMax
  return Math.min(blocksMax, Math.max(blocksMin, Math.floor(allBlocks * shareMax)))
}

/** Counts aborted blocks until the process ends. Once it is on, only an operator can release it. */
export class AbortedBrake {
  private readonly names = new Set<string>()
  private allBlocks: number | undefined
  private isReleased = false
  private isTripped = false

  get isOn(): boolean {
    return this.isTripped
  }

  /** Aborted blocks; if the brake is on, at least this many. */
  get blocks(): number {
    return this.names.size
  }

  get blocksMax(): number {
    return abortedBlocksMax(this.allBlocks)
  }

  count(name: string): void {
    // After the release, counting is no longer needed.
    if (!this.isReleased) this.names.add(name)
    this.check()
  }

  /** Sets the latest count of all blocks on devices. */
  setAllBlocks(blocks: number): void {
    this.allBlocks = blocks
    this.check()
  }

  /** Called after an operator has checked: off until the process ends. */
  release(): void {
    this.isReleased = true
    this.isTripped = false
  }

  private check(): void {
    this.isTripped ||= !this.isReleased && this.names.size > this.blocksMax
  }
}
