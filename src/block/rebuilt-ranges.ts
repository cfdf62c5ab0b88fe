/**
 * Rebuilt ranges: what one reader has had rebuilt, so that a block that lacks several shards is decoded once
 * and not for each of them.
 *
 * Promises  What nobody took is given back.
 * Limits    `RANGES_KEPT` ranges of one reader; a range is at most a piece of each of k shards.
 */
import type { Extent } from "../format/extent.js"
import type { ReadPiece } from "./read-plan-core.js"

/** That of the block that is being sent, and of the one that is fetched ahead. */
const RANGES_KEPT = 2

/** The data shards of a block within a range: those that were read, and those that were rebuilt from them. Each is taken once. */
export type DataShards = Map<number, Uint8Array>

export interface KeptRange {
  readonly extent: Extent
  readonly block: number
  readonly from: number
  readonly to: number
  readonly shards: Promise<DataShards>
  /** Called when the range is not kept any more. */
  readonly release: () => void
}

export class RebuiltRanges {
  private kept: KeptRange[] = []
  private isOver = false

  constructor(private readonly give: (bytes: Uint8Array) => void) {}

  /** Something was lost: who reads on should look before it asks for what is not there. */
  get isLossy(): boolean {
    return this.kept.length > 0
  }

  /**
   * Takes the piece, from a range that was asked for before: undefined, at once, where it is in none, and later where
   * that could not be rebuilt.
   */
  take(
    extent: Extent,
    { block, slot, offsetBytes, lengthBytes }: ReadPiece,
  ): Promise<Uint8Array | undefined> | undefined {
    const end = offsetBytes + lengthBytes
    // The latest: of an earlier one the slot may have been taken, or it was not wanted there.
    const kept = this.kept.findLast(
      each => each.extent === extent && each.block === block && each.from <= offsetBytes && end <= each.to,
    )
    return kept?.shards.then(
      shards => {
        const bytes = shards.get(slot)?.subarray(offsetBytes - kept.from, end - kept.from)
        shards.delete(slot)
        return bytes
      },
      () => undefined,
    )
  }

  keep(kept: KeptRange): void {
    for (const each of this.kept.slice(0, 1 - RANGES_KEPT)) void this.letGo(each)
    this.kept = [...this.kept.slice(1 - RANGES_KEPT), kept]
    if (this.isOver) void this.letGo(kept)
  }

  /** The reader has ended; what it asked for may still be on its way. */
  end(): void {
    this.isOver = true
    for (const each of this.kept.splice(0)) void this.letGo(each)
  }

  /** Behind those who have asked for a piece in this turn, at the latest. */
  private async letGo({ shards, release }: KeptRange): Promise<void> {
    const left = await shards.catch((): DataShards => new Map())
    release()
    for (const bytes of left.values()) this.give(bytes)
    left.clear()
  }
}
