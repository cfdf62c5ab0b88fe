/**
 * Says where the objects of a pack are in its one block. Pure.
 *
 * A GET reads and verifies whole sub-blocks of 64 KiB of the shards that it touches. So short objects never lie across the
 * border of a shard or a sub-block: each is read with one read of one device. Longer ones are stored one behind the other,
 * since borders would cost too much of the space that packing saves.
 */
import { KIB, SHARD_ALIGN_BYTES, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { roundUp } from "@hayloft/base/text/round.js"

/** Longer objects may lie across a border. */
export const ALIGNED_BYTES_MAX = 16 * KIB

interface Room {
  /** Data shards of a block. */
  readonly shards: number
  readonly blockBytes: number
  /** Bytes at the end of the pack that are no object's. */
  readonly reserveBytes: number
}

interface PackLayout {
  /** The offset of each object, in the order of `sizes`. */
  readonly offsets: readonly number[]
  /** The length of the pack: all its shards have the same length. */
  readonly lengthBytes: number
}

/** Returns undefined if the objects do not fit. */
export function layoutPack(
  sizes: readonly number[],
  { shards, blockBytes, reserveBytes }: Room,
): PackLayout | undefined {
  const total = sizes.reduce((sum, size) => sum + size, reserveBytes)
  const shardBytesMax = Math.floor(blockBytes / shards / SHARD_ALIGN_BYTES) * SHARD_ALIGN_BYTES
  const first = roundUp(Math.ceil(total / shards), SHARD_ALIGN_BYTES)
  for (let shardBytes = first; shardBytes <= shardBytesMax; shardBytes = longer(shardBytes, shardBytesMax)) {
    const { offsets, end } = place(sizes, shardBytes)
    if (end + reserveBytes <= shards * shardBytes) return { offsets, lengthBytes: shards * shardBytes }
  }
  return undefined
}

/** The last length that is tried is the longest one. */
function longer(shardBytes: number, shardBytesMax: number): number {
  const next = roundUp(shardBytes + Math.max(SHARD_ALIGN_BYTES, shardBytes >> 5), SHARD_ALIGN_BYTES)
  return shardBytes < shardBytesMax ? Math.min(next, shardBytesMax) : next
}

interface Cell {
  at: number
  readonly end: number
}

/** The longest objects first; short ones are placed in the first cell between two borders that has room. */
function place(
  sizes: readonly number[],
  shardBytes: number,
): { readonly offsets: readonly number[]; readonly end: number } {
  const offsets = new Array<number>(sizes.length).fill(0)
  const order = sizes.map((_, i) => i).sort((a, b) => sizeOf(sizes, b) - sizeOf(sizes, a))
  const alignedMax = Math.min(ALIGNED_BYTES_MAX, shardBytes)
  let at = 0
  let end = 0
  const cells: Cell[] = []
  for (const i of order) {
    const size = sizeOf(sizes, i)
    if (size > alignedMax) {
      offsets[i] = at
      at += size
      end = at
      continue
    }
    let cell = cells.find(each => each.at + size <= each.end)
    while (cell === undefined) {
      const added = { at, end: boundaryAfter(at, shardBytes) }
      at = added.end
      cells.push(added)
      if (added.at + size <= added.end) cell = added
    }
    offsets[i] = cell.at
    cell.at += size
    end = Math.max(end, cell.at)
  }
  return { offsets, end }
}

const sizeOf = (sizes: readonly number[], i: number): number => sizes[i] ?? 0

/** Returns the next shard or sub-block boundary after an offset. */
function boundaryAfter(offset: number, shardBytes: number): number {
  const shard = Math.floor(offset / shardBytes) * shardBytes
  const inShard = offset - shard
  return shard + Math.min(shardBytes, (Math.floor(inShard / SUB_BLOCK_BYTES) + 1) * SUB_BLOCK_BYTES)
}
