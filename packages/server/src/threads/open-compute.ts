/** The compute threads of a thread that serves, and the memory of bodies that they share. */
import { slabBytesFor } from "@hayloft/node/block-memory.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Policy } from "@hayloft/base/policy.js"
import { partOf } from "@hayloft/base/text/round.js"
import { ThreadCompute } from "@hayloft/base/seams/compute/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"

/** All bodies in flight, data and parity. */
const SLAB_POOL_BYTES = 384 * MIB
/**
 * For the shards of blocks in repair, which the block layer bounds to slightly less than 72 MiB (they have headers),
 * and of blocks that readers have rebuilt: two for each of some readers; and of segments that readers open, which
 * `unsealBytesMax` limits.
 */
const SHARD_MEMORY_BYTES = (72 + 48 + 34) * MIB
const COMPUTE_ENTRY = new URL("./compute-worker.js", import.meta.url)

/** `share`: the part of the memory for bodies that this one of several serving threads has; two blocks at least. */
export function openCompute(
  policies: readonly Policy[],
  blockBytes: number,
  { threads, share }: { readonly threads: number; readonly share: number },
): ThreadCompute {
  const slabBytes = slabBytesFor(policies, blockBytes)
  const poolBytes = Math.max(SLAB_POOL_BYTES * share, 2 * slabBytes)
  const shardMemoryBytes = partOf(SHARD_MEMORY_BYTES, share)
  return new ThreadCompute(makeCodec, COMPUTE_ENTRY, { slabBytes, poolBytes, shardMemoryBytes, threads })
}
