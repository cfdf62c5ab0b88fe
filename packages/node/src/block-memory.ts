/** The memory of one block: how long the buffers of a process are, for every redundancy that its blocks may get while it runs. */
import { SHARDS_MAX } from "@hayloft/base/limits.js"
import { defaultPolicy, policiesInUse, type Policy } from "@hayloft/base/policy.js"
import { shapeOf } from "@hayloft/engine/block/index.js"
import { slabBytesOf } from "@hayloft/base/seams/compute/index.js"

/** The default policy is the same for any greater number of devices. */
const DEVICES_OF_DEFAULTS = 14

/**
 * The length of a slab in bytes: it holds a block under the policies of the store and its classes, under those for fewer
 * devices, under the defaults for any number of them, and under any policy with no more parity shards than data shards,
 * which a class or a bucket may be given later.
 */
export function slabBytesFor(policies: readonly Policy[], blockBytes: number): number {
  const defaults = Array.from({ length: DEVICES_OF_DEFAULTS }, (_, i) => defaultPolicy(i + 1))
  const given = Array.from({ length: Math.floor(SHARDS_MAX / 2) }, (_, i): Policy => {
    return { kind: "ec", k: i + 1, m: i + 1, matrix: "cauchy" }
  })
  const all = [...policies.flatMap(policiesInUse), ...defaults, ...given]
  return Math.max(...all.map(policy => slabBytesOf(shapeOf(policy), blockBytes)))
}
