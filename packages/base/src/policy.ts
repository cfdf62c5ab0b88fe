/**
 * Policies: how a block becomes shards. `replica:n` keeps n copies, `ec:k+m` keeps k data and m parity
 * shards under a named matrix. A policy is recorded with every block reference, so it can change.
 */
import { fail } from "./failures.js"
import { roundUp } from "./text/round.js"
import { SHARD_ALIGN_BYTES, SHARDS_MAX } from "./limits.js"

export type MatrixKind = "cauchy" | "vandermonde" | "xor"

export type Policy =
  | { readonly kind: "replica"; readonly copies: number }
  | { readonly kind: "ec"; readonly k: number; readonly m: number; readonly matrix: MatrixKind }

export const shardCount = (policy: Policy): number => (policy.kind === "replica" ? policy.copies : policy.k + policy.m)

/** How many shards a read needs. */
export const shardsNeeded = (policy: Policy): number => (policy.kind === "replica" ? 1 : policy.k)

/** The length of each shard of a block (of at least 1 byte) with this many data shards: equal slices, zero-padded. */
export const shardBytesOfBlock = (dataShards: number, blockLengthBytes: number): number =>
  roundUp(Math.ceil(blockLengthBytes / dataShards), SHARD_ALIGN_BYTES)

/** How many devices may fail together without loss. */
export const tolerance = (policy: Policy): number => shardCount(policy) - shardsNeeded(policy)

/** How the open end of an object with appends is kept: as copies that survive as many lost devices. */
export const policyOfOpenEnd = (policy: Policy): Policy =>
  policy.kind === "replica" ? policy : { kind: "replica", copies: tolerance(policy) + 1 }

export function textOfPolicy(policy: Policy): string {
  if (policy.kind === "replica") return `replica:${policy.copies}`
  return `ec:${policy.k}+${policy.m}${policy.matrix === "cauchy" ? "" : `/${policy.matrix}`}`
}

/** Parses `replica:n`, `ec:k+m` or `ec:k+m/matrix`. Throws `invalidConfig`. */
export function parsePolicy(text: string, matrix: MatrixKind = "cauchy"): Policy {
  const replica = /^replica:(\d{1,2})$/.exec(text)
  const coded = /^ec:(\d{1,2})\+(\d{1,2})(?:\/(cauchy|vandermonde|xor))?$/.exec(text)
  if (replica) return checkPolicy({ kind: "replica", copies: Number(replica[1]) })
  if (coded) {
    const named = coded[3] === "vandermonde" || coded[3] === "xor" || coded[3] === "cauchy" ? coded[3] : matrix
    return checkPolicy({ kind: "ec", k: Number(coded[1]), m: Number(coded[2]), matrix: named })
  }
  throw fail("invalidConfig", { message: `not a redundancy: "${text}" (try replica:2 or ec:4+2)` })
}

function checkPolicy(policy: Policy): Policy {
  const shards = shardCount(policy)
  if (shardsNeeded(policy) < 1 || shards < 1 || shards > SHARDS_MAX || (policy.kind === "ec" && policy.m < 1)) {
    throw fail("invalidConfig", {
      message: `redundancy out of range: ${textOfPolicy(policy)} (at most ${SHARDS_MAX} shards)`,
    })
  }
  if (policy.kind === "ec" && policy.matrix === "xor" && policy.m !== 1) {
    throw fail("invalidConfig", { message: `the xor matrix has one parity shard, not ${policy.m}` })
  }
  return policy
}

const BY_DEVICES: readonly (readonly [k: number, m: number])[] = [
  [2, 1],
  [2, 2],
  [3, 2],
  [4, 2],
  [4, 3],
  [5, 3],
  [6, 3],
  [7, 3],
  [8, 3],
]

/** The default policy for a number of devices: one copy, two copies, 2+1, 2+2, 3+2 … 8+3. */
export function defaultPolicy(devices: number, matrix: MatrixKind = "cauchy"): Policy {
  if (devices <= 2) return { kind: "replica", copies: Math.max(1, devices) }
  const [k, m] = BY_DEVICES[Math.min(devices, 11) - 3] ?? [8, 3]
  return { kind: "ec", k, m, matrix: matrix === "xor" && m !== 1 ? "cauchy" : matrix }
}

/** How many devices hold each metadata row: 1 on one device, 2 on two, otherwise m+1 or the next odd number. */
export function defaultMetaCopies(devices: number, policy: Policy): number {
  if (devices <= 2) return Math.max(1, devices)
  const least = tolerance(policy) + 1
  return Math.min(devices, least % 2 === 1 ? least : least + 1)
}

/** Every policy that a block may be written under: this one, and those for fewer devices while some are offline. */
export function policiesInUse(policy: Policy): readonly Policy[] {
  const matrix = policy.kind === "ec" ? policy.matrix : "cauchy"
  return [policy, ...Array.from({ length: shardCount(policy) - 1 }, (_, i) => defaultPolicy(i + 1, matrix))]
}
