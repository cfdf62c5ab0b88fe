/**
 * Write plan: which policy a block is written under, which slot goes to which device, and when enough
 * is durable. Pure.
 *
 * Let L be the writable devices among the partition's slots. With L >= k+1 the block keeps its policy
 * and the missing slots are noted; the acknowledgement needs max(k+1, n-1-down) durable shards (one
 * for a single copy). With fewer, the block is written under the default policy of L devices, which
 * its reference records; re-encoding restores the policy later.
 */
import { fail } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import { defaultPolicy, shardCount, shardsNeeded, type Policy } from "../base/policy.js"

export interface SlotDevice {
  readonly id: DeviceId
  readonly isWritable: boolean
}

/** `asFits`: as many devices as can be written. `whole`: all of the policy's, or not at all. */
export type WriteCare = "asFits" | "whole"

export interface WritePlan {
  readonly policy: Policy
  /** By slot: the device to write to; undefined where the slot's device is down. */
  readonly targets: readonly (DeviceId | undefined)[]
  /** Where the policy is another: the device of every slot. */
  readonly placedSlots: readonly (readonly [slot: number, deviceId: DeviceId])[]
  readonly missingSlots: readonly number[]
  /** Devices of the partition that are down: they owe it what the policy asks of them. */
  readonly owing: readonly DeviceId[]
  /** Durable shards that an acknowledgement needs. */
  readonly durableMin: number
}

/** Throws `deviceFailed` where no device of the partition can be written, or not all that it takes. */
export function planWrite(policy: Policy, slots: readonly SlotDevice[], care: WriteCare = "asFits"): WritePlan {
  const n = shardCount(policy)
  // A layout may be narrower than the policy for a while: the slots that it lacks are as good as down.
  const wanted = slots.slice(0, n)
  const writable = wanted.filter(slot => slot.isWritable)
  if (writable.length === 0) throw fail("deviceFailed", { message: "no device of the partition can be written" })
  const needed = shardsNeeded(policy)
  const owing = wanted.filter(slot => !slot.isWritable).map(slot => slot.id)
  if (care === "whole" && writable.length < n)
    throw fail("deviceFailed", { message: "not all devices of the partition can be written" })
  const keepsPolicy = writable.length === n || writable.length >= needed + 1
  if (keepsPolicy) {
    const targets = Array.from({ length: n }, (_, slot) => (wanted[slot]?.isWritable ? wanted[slot].id : undefined))
    const missingSlots = targets.flatMap((target, slot) => (target === undefined ? [slot] : []))
    const durableMin = n === 1 ? 1 : Math.max(needed + 1, n - 1 - missingSlots.length)
    return { policy, targets, placedSlots: [], missingSlots, owing, durableMin: Math.min(durableMin, writable.length) }
  }
  const narrow = defaultPolicy(writable.length, policy.kind === "ec" ? policy.matrix : "cauchy")
  // In one order and all of them named, so that neighbouring blocks can be described together.
  const devices = writable.map(slot => slot.id).sort()
  const targets = devices.slice(0, shardCount(narrow))
  const placedSlots = targets.map((id, slot): [number, DeviceId] => [slot, id])
  return { policy: narrow, targets, placedSlots, missingSlots: [], owing, durableMin: targets.length }
}

export type AckVerdict = "wait" | "ack" | "fail"

/** Whether a block is written, given how its shard writes stand. */
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
