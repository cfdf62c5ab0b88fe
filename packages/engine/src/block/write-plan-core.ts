/**
 * Write plan: which policy a block is written under, which slot goes to which device, and when enough shards are
 * durable. Pure.
 *
 * Let L be the writable devices among the partition's slots. With L >= k+1 the block keeps its policy and the missing
 * slots are noted; the acknowledgement needs max(k+1, n-1-down) durable shards (one for a single copy). With fewer, the
 * block is written under the default policy of L devices, which its reference records; re-encoding restores the policy
 * later.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { defaultPolicy, shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"

export interface SlotDevice {
  readonly id: DeviceId
  readonly isWritable: boolean
}

/** `asFits`: as many devices as are writable. `whole`: all devices of the policy, or an error. */
export type WriteCare = "asFits" | "whole"

export interface WritePlan {
  readonly policy: Policy
  /** By slot: the device to write to; undefined where the slot's device is down. */
  readonly targets: readonly (DeviceId | undefined)[]
  /** If the policy differs: the device of every slot. */
  readonly placedSlots: readonly (readonly [slot: number, deviceId: DeviceId])[]
  readonly missingSlots: readonly number[]
  /** Devices of the partition that are down: each lacks its shard. */
  readonly lacking: readonly DeviceId[]
  /** Durable shards that an acknowledgement needs. */
  readonly durableMin: number
}

/** Throws `deviceFailed` if no device of the partition is writable, or, for `whole`, if not all are. */
export function planWrite(policy: Policy, slots: readonly SlotDevice[], care: WriteCare = "asFits"): WritePlan {
  const n = shardCount(policy)
  // A layout may be narrower than the policy for a while: the slots that it lacks count as down.
  const wanted = slots.slice(0, n)
  const writable = wanted.filter(slot => slot.isWritable)
  if (writable.length === 0) throw fail("deviceFailed", { message: "no device of the partition is writable" })
  const needed = shardsNeeded(policy)
  const lacking = wanted.filter(slot => !slot.isWritable).map(slot => slot.id)
  if (care === "whole" && writable.length < n)
    throw fail("deviceFailed", { message: "not all devices of the partition are writable" })
  const keepsPolicy = writable.length === n || writable.length >= needed + 1
  if (keepsPolicy) {
    const targets = Array.from({ length: n }, (_, slot) => (wanted[slot]?.isWritable ? wanted[slot].id : undefined))
    const missingSlots = targets.flatMap((target, slot) => (target === undefined ? [slot] : []))
    const durableMin = n === 1 ? 1 : Math.max(needed + 1, n - 1 - missingSlots.length)
    return {
      policy,
      targets,
      placedSlots: [],
      missingSlots,
      lacking,
      durableMin: Math.min(durableMin, writable.length),
    }
  }
  const narrow = defaultPolicy(writable.length, policy.kind === "ec" ? policy.matrix : "cauchy")
  // Sorted and complete, so that neighbouring blocks share one exception.
  const devices = writable.map(slot => slot.id).sort()
  const targets = devices.slice(0, shardCount(narrow))
  const placedSlots = targets.map((id, slot): [number, DeviceId] => [slot, id])
  return { policy: narrow, targets, placedSlots, missingSlots: [], lacking, durableMin: targets.length }
}

type AckVerdict = "wait" | "ack" | "fail"

/** Decides whether a block is written, given how its shard writes stand. */
export function decideAck(
  plan: Pick<WritePlan, "durableMin">,
  shards: {
    readonly durable: number
    readonly failed: number
    readonly pending: number
    readonly stragglerOver: boolean
  },
): AckVerdict {
  if (shards.durable + shards.pending < plan.durableMin) return "fail"
  if (shards.pending === 0) return "ack"
  return shards.stragglerOver && shards.durable >= plan.durableMin ? "ack" : "wait"
}
