/**
 * The offsets of a block's shards in its slab, and the checksum of one of their sub-blocks. Pure.
 *
 * A block of `lengthBytes` becomes k slices of equal length, padded with zeros to a multiple of 64; its
 * parity follows. Copies are the block itself, padded likewise.
 */
import { shardBytesOfBlock } from "../../policy.js"
import { subBlockSeed } from "../../simd/sub-block.js"
import { xxh64 } from "../../simd/xxh64.js"
import type { CodingShape } from "./contract.js"

/** How many shards, or copies, a block has. */
export function slotsOf(shape: CodingShape): number {
  return shape.kind === "copies" ? shape.copies : shape.k + shape.m
}

/** The length of each shard of a block of `lengthBytes` (at least 1). */
export const shardBytesOf = (shape: CodingShape, lengthBytes: number): number =>
  shardBytesOfBlock(shape.kind === "copies" ? 1 : shape.k, lengthBytes)

/** The slab size for blocks of up to `blockBytes`: data, padding and parity. */
export function slabBytesOf(shape: CodingShape, blockBytes: number): number {
  return shardBytesOf(shape, blockBytes) * (shape.kind === "copies" ? 1 : shape.k + shape.m)
}

/** The checksum of one sub-block (its bytes, its shard's seed, its number in the shard). */
export function subBlockChecksum(bytes: Uint8Array, seed: bigint, subBlock: number): bigint {
  return xxh64(bytes, subBlockSeed(seed, subBlock))
}
