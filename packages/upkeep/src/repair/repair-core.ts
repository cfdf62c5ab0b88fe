/**
 * The repairs that one block needs, as far as indexes, layouts and device states show. Pure.
 *
 * A block that is whole by the layout needs nothing, and its ownership is not resolved. The ownership of a block that
 * lacks shards, has copies elsewhere, or is only on returned devices is resolved at its row first.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, PartitionId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import { assignedDeviceOf, type BlockGroup } from "@hayloft/engine/block/index.js"
import type { Layout } from "@hayloft/engine/placement/index.js"
import type { RepairDevice } from "./repair-contract.js"

/** Work that fails with these has changed nothing that must not be, and may succeed later. */
export const isPutOff = (error: unknown): error is Failure =>
  isFailure(error, "deviceFailed", "peerUnreachable", "tooManyInFlight", "conflict")

export type States = ReadonlyMap<DeviceId, RepairDevice>

/** `mend`: a shard is lost. `move`: all shards exist somewhere. `resolve`: the block may be unreferenced. */
type BlockNeed = "nothing" | "resolve" | "move" | "mend"

export interface BlockScan {
  readonly need: BlockNeed
  /** Slots with a copy anywhere, minus those that a read needs; below 0 the block cannot be read. */
  readonly spareShards: number
  /** Online devices that lack their shard. */
  readonly lackingOn: readonly DeviceId[]
  /** Bytes of the shards to write. */
  readonly bytesToWrite: number
  /** Some shard is where neither the current layout nor the previous one puts it. */
  readonly isMisplaced: boolean
  /**
   * Only returned devices have shards of it, and a device that was reported whole has none: as far as known without its
   * row, it was deleted while they were away.
   */
  readonly isDoubtful: boolean
  readonly holders: readonly DeviceId[]
}

export interface LayoutPair {
  readonly current: Layout
  readonly previous: Layout | undefined
}

export const takesPart = (device: RepairDevice | undefined): boolean =>
  device?.state === "active" || device?.state === "rebuilding"

/**
 * The devices of a partition's slots that take part, in the order in which their nodes should visit it. Each partition
 * begins at another slot: after a store has grown node by node, some nodes have the first slot of few partitions.
 */
export function visitorsOf(layout: Layout, partition: PartitionId, states: States): readonly DeviceId[] {
  const slots = Array.from({ length: layout.width }, (_, i) => (partition + i) % layout.width)
  return slots.flatMap(slot => {
    const id = assignedDeviceOf(layout, partition, slot)
    return id === undefined || !takesPart(states.get(id)) ? [] : [id]
  })
}

export const isEmptying = (device: RepairDevice | undefined): boolean =>
  device?.state === "draining" || device?.state === "decommissioning"

export function scanBlock(group: BlockGroup, policy: Policy, layouts: LayoutPair, states: States): BlockScan {
  const n = shardCount(policy)
  const { partition, shards, damaged } = group
  const lackingOn: DeviceId[] = []
  let [distinct, rebuilds, strays] = [0, 0, 0]
  let isMisplaced = shards.some(({ slot }) => slot >= n)
  // The layout has become narrower than the block, and the device with its last shard is to be emptied.
  let isStranded = false
  for (let slot = 0; slot < n; slot += 1) {
    const copies = shards.filter(shard => shard.slot === slot)
    if (copies.length > 0) distinct += 1
    const assigned = assignedDeviceOf(layouts.current, partition, slot)
    const before = layouts.previous && assignedDeviceOf(layouts.previous, partition, slot)
    const isAssigned = copies.some(({ deviceId }) => deviceId === assigned)
    isStranded ||= assigned === undefined && copies.some(({ deviceId }) => isEmptying(states.get(deviceId)))
    const canMove = assigned !== undefined && takesPart(states.get(assigned))
    isMisplaced ||= copies.length > 0 && !copies.some(({ deviceId }) => deviceId === assigned || deviceId === before)
    // While the assigned device is offline, copies elsewhere stay.
    if (isAssigned || canMove) {
      const unwanted = damaged.filter(shard => shard.slot === slot && shard.deviceId !== assigned)
      strays += copies.length - (isAssigned ? 1 : 0) + unwanted.length
    }
    if (isAssigned || !canMove) continue
    lackingOn.push(assigned)
    if (copies.length === 0) rebuilds += 1
  }
  const holders = [...new Set(shards.map(({ deviceId }) => deviceId))]
  const isReturned = holders.every(id => states.get(id)?.state === "rebuilding")
  const shardBytes = shards[0]?.bodyBytes ?? 0
  return {
    need:
      rebuilds > 0
        ? "mend"
        : lackingOn.length > 0 || strays > 0
          ? "move"
          : isReturned || isMisplaced || isStranded
            ? "resolve"
            : "nothing",
    spareShards: distinct - shardsNeeded(policy),
    lackingOn,
    bytesToWrite: lackingOn.length * shardBytes,
    isMisplaced,
    isDoubtful: isReturned && lackingOn.some(id => states.get(id)?.state === "active"),
    holders,
  }
}

/** Returns true if devices changed so that a completed scan is outdated. */
export function haveChanged(before: States, now: States): boolean {
  const known = new Set([...before.keys(), ...now.keys()])
  for (const id of known) {
    const [was, is] = [before.get(id), now.get(id)]
    const isSame = was?.state === is?.state && was?.stateSinceMs === is?.stateSinceMs
    const isWhole = was?.state === "rebuilding" && is?.state === "active"
    if (!isSame && !isWhole) return true
  }
  return false
}
