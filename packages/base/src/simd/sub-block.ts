/**
 * Sub-blocks: the units of 64 KiB in which shards are checksummed, read and verified.
 *
 * Each has an XXH64 whose seed combines the needle's seed with the sub-block's number, so that
 * bytes of another needle, or of another place in this one, are refused like damaged bytes.
 * An empty body has no checksums.
 */
import { SUB_BLOCK_BYTES } from "../limits.js"
import { xxh64Into } from "./xxh64.js"

export const CHECKSUM_BYTES = 8
const MASK = 0xffff_ffff_ffff_ffffn
/** 2^64 over the golden ratio: neighbouring numbers land far apart (as in SplitMix64). */
const STEP = 0x9e37_79b9_7f4a_7c15n

export const subBlockCount = (lengthBytes: number): number => Math.ceil(lengthBytes / SUB_BLOCK_BYTES)

/** The seed of one sub-block's XXH64. */
export const subBlockSeed = (seed: bigint, subBlock: number): bigint => (seed + BigInt(subBlock) * STEP) & MASK

/** 8 little-endian bytes for each sub-block of 64 KiB; the last may be shorter. */
export function subBlockChecksums(bytes: Uint8Array, seed: bigint): Uint8Array {
  const count = subBlockCount(bytes.length)
  const checksums = new Uint8Array(count * CHECKSUM_BYTES)
  for (let i = 0; i < count; i += 1) {
    const piece = bytes.subarray(i * SUB_BLOCK_BYTES, (i + 1) * SUB_BLOCK_BYTES)
    xxh64Into(piece, subBlockSeed(seed, i), checksums, i * CHECKSUM_BYTES)
  }
  return checksums
}
