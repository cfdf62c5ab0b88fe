/**
 * Read plan: which pieces of which shards hold a range of an extent. Pure.
 *
 * A piece lies inside one data shard of one block, ends at a 64 KiB boundary of its shard where it
 * can, and is at most 1 MiB; the first is one sub-block, so that the first byte leaves early.
 */
import { MIB, SUB_BLOCK_BYTES } from "../base/limits.js"
import { shardBytesOfBlock, shardCount, shardsNeeded, type Policy } from "../base/policy.js"
import { exceptionOf, type Extent, type ExtentException } from "../format/extent.js"
import type { CodingShape } from "../seams/compute/contract.js"

export const PIECE_BYTES_MAX = 1 * MIB

export interface ReadPiece {
  readonly block: number
  readonly slot: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** How one block of an extent rests. */
export interface BlockShape {
  readonly lengthBytes: number
  readonly shardBytes: number
  readonly policy: Policy
  readonly generation: number
  readonly exception: ExtentException | undefined
}

export const shapeOf = (policy: Policy): CodingShape =>
  policy.kind === "replica"
    ? { kind: "copies", copies: policy.copies }
    : { kind: "code", k: policy.k, m: policy.m, matrix: policy.matrix }

export function blockShape(extent: Extent, block: number): BlockShape {
  const exception = exceptionOf(extent, block)
  const policy = exception?.policy ?? extent.policy
  const lengthBytes = Math.min(extent.blockBytes, extent.lengthBytes - block * extent.blockBytes)
  const shardBytes = shardBytesOfBlock(shardsNeeded(policy), lengthBytes)
  return { lengthBytes, shardBytes, policy, generation: exception?.generation ?? extent.generation, exception }
}

/** A range of an extent. */
export interface ExtentRange {
  readonly extent: Extent
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Ranges that are read one after another. */
export function* planRead(
  ranges: Iterable<ExtentRange>,
  firstPieceBytesMax = SUB_BLOCK_BYTES,
): Generator<{ readonly extent: Extent; readonly piece: ReadPiece }> {
  let firstBytesMax = firstPieceBytesMax
  for (const range of ranges) {
    for (const piece of planRange(range, firstBytesMax)) yield { extent: range.extent, piece }
    firstBytesMax = PIECE_BYTES_MAX
  }
}

function* planRange({ extent, offsetBytes, lengthBytes }: ExtentRange, firstBytesMax: number): Generator<ReadPiece> {
  let at = offsetBytes
  const end = offsetBytes + lengthBytes
  let pieceMax = firstBytesMax
  while (at < end) {
    const block = Math.floor(at / extent.blockBytes)
    const { lengthBytes: blockLength, shardBytes, policy } = blockShape(extent, block)
    const inBlock = at - block * extent.blockBytes
    // Copies are spread over their holders by block; coded data is in one place.
    const slot = policy.kind === "replica" ? block % shardCount(policy) : Math.floor(inBlock / shardBytes)
    const inShard = policy.kind === "replica" ? inBlock : inBlock % shardBytes
    const shardEnd = policy.kind === "replica" ? blockLength : Math.min(shardBytes, blockLength - slot * shardBytes)
    const boundary = Math.floor(inShard / SUB_BLOCK_BYTES) * SUB_BLOCK_BYTES + pieceMax
    const length = Math.min(end - at, shardEnd - inShard, boundary - inShard)
    yield { block, slot, offsetBytes: inShard, lengthBytes: length }
    at += length
    pieceMax = PIECE_BYTES_MAX
  }
}
