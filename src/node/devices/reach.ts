/** Whether a process reaches enough devices of its store. Pure. */
import { shardsNeeded } from "../../base/policy.js"
import type { Devices } from "../../block/index.js"
import type { ControlRecord } from "../../format/control-record.js"

/** Undefined if the devices that respond are enough for a block of the store's policy. */
export function outOfReach({ policy, devices }: ControlRecord, shards: Devices): string | undefined {
  const responding = devices.filter(({ id }) => shards.get(id)?.isWritable === true).length
  const needed = Math.min(shardsNeeded(policy), devices.length)
  return responding >= needed ? undefined : `only ${responding} of ${devices.length} devices respond to this node`
}
