/** The groups of shards of a store that are lost together, listed one by one: what tests of its safety compare with. */
import assert from "node:assert/strict"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import type { SafetyInput } from "./safety-core.js"

/** Shards with a shared fate: the disk of each, and how many must remain. */
interface Fate {
  readonly disks: readonly string[]
  readonly needed: number
}

export const isLost = ({ disks, needed }: Fate, failed: readonly string[]): boolean =>
  disks.filter(disk => !failed.includes(disk)).length < needed

/** How many arbitrary disks may fail, by trying every set of those that hold a shard; -1 if lost already. */
export function losses(fate: Fate): number {
  const disks = [...new Set(fate.disks)]
  let fewest = disks.length + 1
  for (let bits = 0; bits < 2 ** disks.length; bits += 1) {
    const failed = disks.filter((_, i) => (bits & (1 << i)) !== 0)
    if (failed.length < fewest && isLost(fate, failed)) fewest = failed.length
  }
  return fewest - 1
}

/** Every group of the store, of blocks and of metadata. */
export function* fatesOf(input: SafetyInput): Generator<Fate> {
  const { layout, previousLayout, metadata, misplacedGroups, policies, lacking } = input
  const devices = new Map(input.devices.map(device => [device.id, device]))
  const isHere = (id: DeviceId) => devices.has(id) && devices.get(id)?.state !== "offline"
  const has = (id: DeviceId | undefined, partition: number): id is DeviceId => {
    if (id === undefined || !isHere(id)) return false
    const flags = lacking.get(id)
    return flags === undefined ? devices.get(id)?.state !== "rebuilding" : flags[partition] === 0
  }
  const fate = (ids: readonly DeviceId[], needed: number): Fate => ({
    disks: ids.filter(isHere).map(id => devices.get(id)?.disk ?? assert.fail("every disk is known")),
    needed,
  })
  if (metadata) yield fate(metadata.replicas, 1)
  for (const { devices: ids, needed } of misplacedGroups) yield fate(ids, needed)
  for (const { policy, isNew } of policies) {
    const needed = shardsNeeded(policy)
    const isSince = previousLayout && (isNew === true || previousLayout.width < needed)
    for (let partition = 0; partition * layout.width < layout.table.length; partition += 1) {
      const holder = (of: typeof layout, slot: number) =>
        slot < of.width ? of.devices[of.table[partition * of.width + slot] ?? 0] : undefined
      const slots = Array.from({ length: Math.min(shardCount(policy), layout.width) }, (_, slot) => slot)
      const before = slots.flatMap(slot => {
        const to = holder(layout, slot)
        const from = holder(previousLayout ?? layout, slot)
        if (has(to, partition) && (to === from || lacking.has(to))) return [to]
        return has(from, partition) ? [from] : []
      })
      if (!isSince) yield fate(before, needed)
      const current = slots.flatMap(slot => holder(layout, slot) ?? [])
      if (previousLayout) yield fate(current, needed)
    }
  }
}
