/**
 * Wholeness: checks the content of the devices for full redundancy: every referenced shard is on its assigned
 * device, every device is in use, metadata has all its replicas, and no change is in progress.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import { needleIdOfKey } from "@hayloft/engine/format/needles/needle.js"
import type { Engine } from "@hayloft/node/engine.js"
import { needleKeysIn, referencedExtents, needlesOf } from "./audit.js"

/** All keys of a family. */
export const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(64)) }

export const describeNeedle = (key: string): string => JSON.stringify(needleIdOfKey(rowKeyOf(key)))

/** The needles of each device, from its index. */
export function holdings(engine: Engine): ReadonlyMap<DeviceId, ReadonlySet<RowKey>> {
  return new Map(engine.devices.map(({ place, rows }) => [place.id, new Set(needleKeysIn(rows))]))
}

/** Describes what the store lacks; returns undefined if it has full redundancy. */
export function missingToBeWhole(engine: Engine): string | undefined {
  const { record } = engine.recordManager
  for (const { id, pathHint, state } of record.devices) {
    if (state !== "active" && state !== "draining") return `device ${id} at ${pathHint} is ${state}`
  }
  if (record.previousLayout) return "a layout transition is in progress"
  for (const { replicas, learners } of record.tablets) {
    const wanted = Math.min(record.metaCopies, record.devices.length)
    if (learners.length > 0 || replicas.length < wanted)
      return `${replicas.length} of ${wanted} devices are metadata replicas`
  }
  try {
    return oddPolicy(engine) ?? missingNeedle(engine)
  } catch (error) {
    if (!isFailure(error)) throw error
    return `a metadata store cannot be read: ${error.message}`
  }
}

function oddPolicy(engine: Engine): string | undefined {
  const policy = textOfPolicy(engine.recordManager.record.policy)
  for (const extent of referencedExtents(engine)) {
    if (textOfPolicy(extent.policy) !== policy)
      return `blocks are stored as ${textOfPolicy(extent.policy)}, not ${policy}`
    if (extent.exceptions.some(each => textOfPolicy(each.policy) !== policy))
      return "blocks are stored under another policy"
  }
  return undefined
}

/** Describes a referenced shard that is not on its assigned device; returns undefined if all are. */
export function missingShard(engine: Engine): string | undefined {
  try {
    return missingNeedle(engine)
  } catch (error) {
    if (!isFailure(error)) throw error
    return undefined
  }
}

/** Describes a difference between metadata replicas; returns undefined if they agree. */
export function differenceOfReplicas(engine: Engine): string | undefined {
  const comparison = must(engine.tablet, "the devices keep the metadata").compareReplicas()
  while (comparison.step());
  const [difference] = comparison.differences
  return difference && `${difference.what} in ${difference.family} on ${difference.id ?? "one of them"}`
}

function missingNeedle(engine: Engine): string | undefined {
  const { record } = engine.recordManager
  const [layout, held] = [layoutOf(record.layout), holdings(engine)]
  for (const extent of referencedExtents(engine)) {
    for (const { key, assigned } of needlesOf(extent, layout)) {
      const isThere = assigned.some(id => held.get(id)?.has(rowKeyOf(key)) === true)
      if (!isThere) return `device ${assigned.join(" or ")} lacks ${describeNeedle(key)}`
    }
  }
  return undefined
}

/** Describes a needle on a device that should not have it; returns undefined if there is none. */
export function leftOver(engine: Engine): string | undefined {
  const layout = layoutOf(engine.recordManager.record.layout)
  const wanted = new Map<string, readonly DeviceId[]>()
  for (const extent of referencedExtents(engine)) {
    for (const { key, assigned } of needlesOf(extent, layout)) wanted.set(key, assigned)
  }
  for (const [deviceId, keys] of holdings(engine)) {
    for (const key of keys) {
      const assigned = wanted.get(key)
      if (assigned === undefined) return `no row references ${describeNeedle(key)} on ${deviceId}`
      if (!assigned.includes(deviceId))
        return `${describeNeedle(key)} is stored on ${deviceId}, which is not its assigned device`
    }
  }
  return undefined
}
