/**
 * Mending, on the calling thread: verifies the present shards, rebuilds the missing ones
 * and computes their checksums. Synchronous. It works on one sub-block of all shards at a time, which stays in
 * the cache between the steps.
 */
import { assert } from "../../assert.js"
import { SUB_BLOCK_BYTES } from "../../limits.js"
import { CHECKSUM_BYTES, subBlockCount, subBlockSeed } from "../../simd/sub-block.js"
import type { BlockCoder } from "./coder.js"
import type { MendRequest, MendOutcome } from "./contract.js"

/** Operations on the shards, which depend on their memory. */
export interface MendTools extends Pick<BlockCoder, "rebuild"> {
  /** XXH64, of either sign. */
  hash(bytes: Uint8Array, seed: bigint): bigint
}

/** Runs all steps. Throws `invalidConfig` for a code that does not exist. */
export function mendShards(tools: MendTools, request: MendRequest): MendOutcome {
  const steps = mendSteps(tools, request)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** Yields the number of processed bytes after each sub-block, so that other work can run. */
export function* mendSteps(
  tools: MendTools,
  { shape, firstSubBlock = 0, present, wanted }: MendRequest,
): Generator<number, MendOutcome> {
  const shardBytes = present[0]?.bytes.length ?? 0
  const count = subBlockCount(shardBytes)
  for (const { bytes } of [...present, ...wanted]) assert(bytes.length === shardBytes, "shards are of equal length")
  const known = present.map(({ checksums }) => new DataView(checksums.buffer, checksums.byteOffset, checksums.length))
  const made = wanted.map(() => new DataView(new ArrayBuffer(count * CHECKSUM_BYTES)))
  const damaged = new Set<number>()
  for (let n = 0; n < count; n += 1) {
    if (n > 0) yield present.length * SUB_BLOCK_BYTES
    const from = n * SUB_BLOCK_BYTES
    const part = (bytes: Uint8Array): Uint8Array => bytes.subarray(from, from + SUB_BLOCK_BYTES)
    const hash = (bytes: Uint8Array, seed: bigint): bigint =>
      BigInt.asUintN(64, tools.hash(part(bytes), subBlockSeed(seed, firstSubBlock + n)))
    for (const [i, { slot, bytes, seed }] of present.entries()) {
      if (hash(bytes, seed) !== known[i]?.getBigUint64(n * CHECKSUM_BYTES, true)) damaged.add(slot)
    }
    if (damaged.size > 0 || wanted.length === 0) continue
    if (shape.kind === "code") {
      const inputs = new Map(present.map(({ slot, bytes }) => [slot, part(bytes)]))
      tools.rebuild(shape, inputs, new Map(wanted.map(({ slot, bytes }) => [slot, part(bytes)])))
    }
    for (const [i, { bytes, seed }] of wanted.entries()) {
      if (seed !== undefined) made[i]?.setBigUint64(n * CHECKSUM_BYTES, hash(bytes, seed), true)
    }
  }
  return { damaged: [...damaged], checksums: made.map(({ buffer }) => new Uint8Array(buffer)) }
}
