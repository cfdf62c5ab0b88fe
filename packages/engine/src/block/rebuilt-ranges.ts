/**
 * Rebuilt ranges: the ranges rebuilt for one reader, so that a block that lacks several shards is decoded once, and not
 * once for each shard.
 *
 * Promises  Rebuilt bytes that the reader does not use are freed.
 * Limits    `RANGES_KEPT` ranges of one reader; a range is at most a piece of each of k shards.
 */
import type { Extent } from "../format/needles/extent.js"
import type { ReadPiece } from "./read-plan-core.js"

/** One for the block being sent, one for the block being fetched ahead. */
const RANGES_KEPT = 2

/** The data shards of a block within a range, read or rebuilt from those read. Each is taken once. */
export type DataShards = Map<number, Uint8Array>

interface KeptRange {
  readonly extent: Extent
  readonly block: number
  readonly from: number
  readonly to: number
  readonly shards: Promise<DataShards>
  /** Called when the range is dropped. */
  readonly release: () => void
}

export class RebuiltRanges {
  private kept: KeptRange[] = []
  private isOver = false

  constructor(private readonly give: (bytes: Uint8Array) => void) {}

  /** A shard was lost: the reader should check for further losses before it requests a piece. */
  get isLossy(): boolean {
    return this.kept.length > 0
  }

  /**
   * Takes the piece from a range that was rebuilt earlier. Returns undefined if no range contains it; resolves with
   * undefined if the range could not be rebuilt.
   */
  take(
    extent: Extent,
    { block, slot, offsetBytes, lengthBytes }: ReadPiece,
  ): Promise<Uint8Array | undefined> | undefined {
    const end = offsetBytes + lengthBytes
    // The latest one: an earlier range may have lost the slot already, or never wanted it.
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
    for (const each of this.kept.slice(0, 1 - RANGES_KEPT)) void this.free(each)
    this.kept = [...this.kept.slice(1 - RANGES_KEPT), kept]
    if (this.isOver) void this.free(kept)
  }

  /** The reader has ended; its requests may still be in progress. */
  end(): void {
    this.isOver = true
    for (const each of this.kept.splice(0)) void this.free(each)
  }

  /** Frees the range once the requests for its pieces that this turn of the event loop made are served. */
  private async free({ shards, release }: KeptRange): Promise<void> {
    const left = await shards.catch((): DataShards => new Map())
    release()
    for (const bytes of left.values()) this.give(bytes)
    left.clear()
  }
}
