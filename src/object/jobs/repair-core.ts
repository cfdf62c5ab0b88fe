/**
 * What one block needs, as far as indexes, layouts and the states of devices can tell. Pure.
 *
 * A block that is whole by the layout needs nothing, without asking whose it is. One that lacks
 * something, has copies elsewhere, or lies on returned devices only, is judged at its row first.
 */
import type { DeviceId } from "../../base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "../../base/policy.js"
import { assignedDeviceOf, type BlockGroup } from "../../block/index.js"
import type { Layout } from "../../placement/index.js"
import type { RepairDevice } from "./repair-contract.js"

export type States = ReadonlyMap<DeviceId, RepairDevice>

/** `mend`: a shard is nowhere where it should be or was. `move`: all are somewhere. `resolver`: it may be nobody's. */
export type BlockNeed = "nothing" | "judge" | "move" | "mend"

export interface BlockScan {
  readonly need: BlockNeed
  /** Shards to spare, of those that are anywhere; below 0 a read cannot be answered. */
  readonly spareShards: number
  /** Devices that take part and lack their shard. */
  readonly lackingOn: readonly DeviceId[]
  /** Of shards to be written. */
  readonly bytesToWrite: number
  /** Some shard is where neither the layout nor the one before would have it. */
  readonly isMisplaced: boolean
  /**
   * Only devices that have come back have anything of it, and one that was called whole has nothing: it was
   * deleted while they were away, as far as one can tell before its row was asked.
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

export function scanBlock(group: BlockGroup, policy: Policy, layouts: LayoutPair, states: States): BlockScan {
  const n = shardCount(policy)
  const { partition, shards, damaged } = group
  const lackingOn: DeviceId[] = []
  let [distinct, rebuilds, strays] = [0, 0, 0]
  let isMisplaced = shards.some(({ slot }) => slot >= n)
  for (let slot = 0; slot < n; slot += 1) {
    const copies = shards.filter(shard => shard.slot === slot)
    if (copies.length > 0) distinct += 1
    const home = assignedDeviceOf(layouts.current, partition, slot)
    const before = layouts.previous && assignedDeviceOf(layouts.previous, partition, slot)
    const isAssigned = copies.some(({ deviceId }) => deviceId === home)
    const canMove = home !== undefined && takesPart(states.get(home))
    isMisplaced ||= copies.length > 0 && !copies.some(({ deviceId }) => deviceId === home || deviceId === before)
    // While the home of a slot is out, what lies elsewhere stays there.
    if (isAssigned || canMove) {
      const unwanted = damaged.filter(shard => shard.slot === slot && shard.deviceId !== home)
      strays += copies.length - (isAssigned ? 1 : 0) + unwanted.length
    }
    if (isAssigned || !canMove) continue
    lackingOn.push(home)
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
          : isReturned || isMisplaced
            ? "judge"
            : "nothing",
    spareShards: distinct - shardsNeeded(policy),
    lackingOn,
    bytesToWrite: lackingOn.length * shardBytes,
    isMisplaced,
    isDoubtful: isReturned && lackingOn.some(id => states.get(id)?.state === "active"),
    holders,
  }
}

/** Whether devices came or went such that a look at everything no longer tells how it is. */
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
