/**
 * Mending: the steps after which each shard of a block is stored on the device that should have it, and only there.
 * Pure.
 *
 * A shard belongs on the device that the block's reference lists, if that is one of the partition's devices, otherwise
 * on the device of its slot in the layout. No device gets two shards of one block while another device of the partition
 * has none. A copy elsewhere is removed only after the right device has the shard.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, type Policy } from "@hayloft/base/policy.js"
import type { BlockShape } from "./read-plan-core.js"
import type { BlockGroup, HeldShard } from "./shard-scan-core.js"

/** A shard to write. */
export interface MendWrite {
  readonly slot: number
  readonly to: DeviceId
  /** Devices with a copy; if empty, the shard must be rebuilt. */
  readonly from: readonly DeviceId[]
}

export interface MendPlan {
  readonly writes: readonly MendWrite[]
  /** Copies on the wrong device, with the device that must have the shard before the copy is removed. */
  readonly surplus: readonly (HeldShard & { readonly onceOn: DeviceId })[]
  /** Devices that lack a shard and cannot be written now. */
  readonly waitingFor: readonly DeviceId[]
}

/** `slots`: the partition's devices. `isWritable`: whether a device can be written now. */
export function planMend(
  group: BlockGroup,
  shape: Pick<BlockShape, "policy" | "exception">,
  slots: readonly DeviceId[],
  isWritable: (deviceId: DeviceId) => boolean,
): MendPlan {
  return planFor(group, targetsOf(group, shape, slots), isWritable)
}

/**
 * Like `planMend`, only for shards that devices in `from` have. A slot for which the layout has no device of its own goes
 * to one that has another shard of the block: nothing stays on the devices in `from`.
 */
export function planMoveAway(
  group: BlockGroup,
  policy: Policy,
  slots: readonly DeviceId[],
  from: ReadonlySet<DeviceId>,
  isWritable: (deviceId: DeviceId) => boolean,
): MendPlan {
  const isLeaving = ({ deviceId }: HeldShard): boolean => from.has(deviceId)
  const leaving = new Set(group.shards.filter(isLeaving).map(({ slot }) => slot))
  const targets = targetsOf(group, { policy, exception: undefined }, slots)
  const wanted = targets.map((target, slot) => (leaving.has(slot) ? (target ?? slots[slot % slots.length]) : undefined))
  const { writes, surplus, waitingFor } = planFor(group, wanted, isWritable)
  return { writes, surplus: surplus.filter(isLeaving), waitingFor }
}

/** `targets`: by slot, the device that should have the shard; nothing happens to other slots. */
function planFor(
  group: BlockGroup,
  targets: readonly (DeviceId | undefined)[],
  isWritable: (deviceId: DeviceId) => boolean,
): MendPlan {
  const writes: MendWrite[] = []
  const surplus: (HeldShard & { onceOn: DeviceId })[] = []
  const waitingFor: DeviceId[] = []
  for (const [slot, to] of targets.entries()) {
    if (to === undefined) continue
    const copies = group.shards.filter(shard => shard.slot === slot)
    const elsewhere = copies.filter(({ deviceId }) => deviceId !== to)
    const isThere = elsewhere.length < copies.length
    if (!isThere && !isWritable(to)) waitingFor.push(to)
    else if (!isThere) writes.push({ slot, to, from: elsewhere.map(({ deviceId }) => deviceId) })
    const damaged = group.damaged.filter(shard => shard.slot === slot && shard.deviceId !== to)
    if (isThere || isWritable(to)) surplus.push(...[...elsewhere, ...damaged].map(shard => ({ ...shard, onceOn: to })))
  }
  return { writes, surplus, waitingFor }
}

/** By slot: the device that should have the shard; undefined if no device is available. */
export function targetsOf(
  { shards }: Pick<BlockGroup, "shards">,
  { policy, exception }: Pick<BlockShape, "policy" | "exception">,
  slots: readonly DeviceId[],
): readonly (DeviceId | undefined)[] {
  const n = shardCount(policy)
  const targets = new Array<DeviceId | undefined>(n).fill(undefined)
  const taken = new Set<DeviceId>()
  const give = (slot: number, device: DeviceId | undefined): void => {
    if (slot >= n || device === undefined || targets[slot] !== undefined || taken.has(device)) return
    targets[slot] = device
    taken.add(device)
  }
  for (const [slot, device] of exception?.placedSlots ?? []) if (slots.includes(device)) give(slot, device)
  for (let slot = 0; slot < n; slot += 1) give(slot, slots[slot])
  // Each device that the slot could use already has another shard of the block.
  for (let slot = 0; slot < n; slot += 1) {
    const holder = shards.find(
      shard => shard.slot === slot && slots.includes(shard.deviceId) && !taken.has(shard.deviceId),
    )
    give(slot, holder?.deviceId ?? slots.find(device => !taken.has(device)))
  }
  return targets
}
