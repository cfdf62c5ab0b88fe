/**
 * Codes or mends one block in place and checksums its shards, on the calling thread. Synchronous.
 */
import { assert } from "../../assert.js"
import { SHARDS_MAX, SUB_BLOCK_BYTES } from "../../limits.js"
import { sealedBytesOf } from "../../encryption/segments.js"
import { CHECKSUM_BYTES, subBlockCount, subBlockSeed } from "../../simd/sub-block.js"
import { Xxh64Kernel } from "../../simd/xxh64.js"
import type { BlockCoder, MakeCoder } from "./coder.js"
import type { CodedShard, CodingShape, MendOutcome, MendRequest, SealedBlock } from "./contract.js"
import { shardBytesOf, slabBytesOf, slotsOf } from "./layout.js"
import { mendShards } from "./mending.js"
import { sealBlock } from "./sealing.js"

/** A block in the memory: its slab's address and length, the block's length, its code. */
export interface BlockAt {
  readonly slabAt: number
  readonly slabBytes: number
  /** The length of the plaintext, if the block is to be sealed. */
  readonly lengthBytes: number
  readonly seal?: SealedBlock | undefined
  readonly shape: CodingShape
  /** One for each slot. */
  readonly seeds: readonly bigint[]
}

/** The length of a block as it is coded. */
export const codedBytesOf = ({ lengthBytes, seal }: Pick<BlockAt, "lengthBytes" | "seal">): number =>
  seal === undefined ? lengthBytes : sealedBytesOf(lengthBytes)

export class BlockWork {
  private readonly coder: BlockCoder
  private readonly checksum: Xxh64Kernel

  constructor(
    private readonly memory: WebAssembly.Memory,
    makeCoder: MakeCoder,
    scratchAt: number,
  ) {
    this.coder = makeCoder(memory, scratchAt)
    this.checksum = new Xxh64Kernel(memory)
  }

  /**
   * Seals the block if that is ordered, zeroes the padding, fills the parity and returns the sub-block checksums of all
   * slots, slot after slot. Throws `invalidConfig` for a code that does not exist.
   */
  code(block: BlockAt): Uint8Array {
    const { slabAt, slabBytes, shape, seeds } = block
    const lengthBytes = codedBytesOf(block)
    const slots = slotsOf(shape)
    assert(lengthBytes > 0 && slabBytesOf(shape, lengthBytes) <= slabBytes, "the block and its parity fit the slab")
    assert(slots >= 1 && slots <= SHARDS_MAX && seeds.length === slots, "a seed for each slot")
    const shardBytes = shardBytesOf(shape, lengthBytes)
    const dataBytes = shardBytes * (shape.kind === "copies" ? 1 : shape.k)
    if (block.seal) sealBlock(this.view(slabAt, lengthBytes), block.lengthBytes, block.seal)
    new Uint8Array(this.memory.buffer, slabAt + lengthBytes, dataBytes - lengthBytes).fill(0)
    const subBlocks = subBlockCount(shardBytes)
    const checksums = new DataView(new ArrayBuffer(slots * subBlocks * CHECKSUM_BYTES))
    // One sub-block of all shards at a time, so that it is still in the cache when it is hashed.
    for (let n = 0; n < subBlocks; n += 1) {
      const from = n * SUB_BLOCK_BYTES
      const length = Math.min(SUB_BLOCK_BYTES, shardBytes - from)
      const at = (slot: number): number => slabAt + (shape.kind === "copies" ? 0 : slot * shardBytes) + from
      if (shape.kind === "code") {
        const parts = Array.from({ length: slots }, (_, slot) => this.view(at(slot), length))
        this.coder.encode(shape, parts.slice(0, shape.k), parts.slice(shape.k))
      }
      for (const [slot, seed] of seeds.entries()) {
        const hash = this.checksum.hash(at(slot), length, subBlockSeed(seed, n))
        checksums.setBigUint64((slot * subBlocks + n) * CHECKSUM_BYTES, BigInt.asUintN(64, hash), true)
      }
    }
    return new Uint8Array(checksums.buffer)
  }

  /** See `Compute.mend`; all shards are in the memory. */
  mend(request: MendRequest): MendOutcome {
    const tools = {
      hash: ({ byteOffset, length }: Uint8Array, seed: bigint) => this.checksum.hash(byteOffset, length, seed),
      rebuild: this.coder.rebuild.bind(this.coder),
    }
    return mendShards(tools, request)
  }

  view(at: number, lengthBytes: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, lengthBytes)
  }
}

/** Returns true if all shards are in this memory. */
export const liesIn = ({ buffer }: WebAssembly.Memory, { present, wanted }: MendRequest): boolean =>
  [...present, ...wanted].every(({ bytes }) => bytes.buffer === buffer)

/** The shards of a coded block as views into its slab, each with its part of `BlockWork.code`'s checksums. */
export function codedShards(
  slab: Uint8Array,
  lengthBytes: number,
  shape: CodingShape,
  checksums: Uint8Array,
): readonly CodedShard[] {
  const shardBytes = shardBytesOf(shape, lengthBytes)
  const checksumBytes = subBlockCount(shardBytes) * CHECKSUM_BYTES
  return Array.from({ length: slotsOf(shape) }, (_, slot) => {
    const from = shape.kind === "copies" ? 0 : slot * shardBytes
    return {
      bytes: slab.subarray(from, from + shardBytes),
      checksums: checksums.subarray(slot * checksumBytes, (slot + 1) * checksumBytes),
    }
  })
}
