/**
 * Needle removal: removes needles from the devices that hold them. If a device cannot accept tombstones now, and is
 * expected back as it is, the removal must be repeated. Another one counts as missing: the ownership of its remaining
 * needles is resolved once it is back.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount } from "@hayloft/base/policy.js"
import { blockCount, type Extent } from "../format/needles/extent.js"
import { partitionOf } from "../format/needles/partition.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { NeedleId } from "../volume/contract.js"
import type { BlockRun, Devices } from "./contract.js"
import { holdersOf } from "./holders.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { blockShape } from "./read-plan-core.js"
import { needleIdOf, type BlockGroup } from "./shard-scan-core.js"

type Batches = Map<DeviceId, NeedleId[]>

/** The devices from which needles are removed. */
export interface RemovalDevices {
  readonly devices: Devices
  readonly isExpectedBack: (id: DeviceId) => boolean
}

/**
 * All needles of these blocks of an extent, on every device to which the layouts or its exceptions lead. Returns false
 * if it must be repeated.
 */
export async function removeExtent(
  from: RemovalDevices,
  layouts: Layouts,
  extent: Extent,
  runs: readonly BlockRun[] = [{ firstBlock: 0, lastBlock: blockCount(extent) - 1 }],
): Promise<boolean> {
  let blocks = 0
  let isComplete = true
  let batches: Batches = new Map()
  for (const { firstBlock, lastBlock } of runs) {
    for (let block = firstBlock; block <= lastBlock; block += 1) {
      addBlock(batches, from, layouts, extent, block)
      blocks += 1
      if (blocks % BLOCK_LIMITS.removeNeedlesMax !== 0) continue
      isComplete = (await removeBatches(from, batches)) && isComplete
      batches = new Map()
    }
  }
  return (await removeBatches(from, batches)) && isComplete
}

/** Returns false if it must be repeated. */
export async function removeGroups(from: RemovalDevices, groups: readonly BlockGroup[]): Promise<boolean> {
  const batches: Batches = new Map()
  for (const group of groups) {
    for (const { deviceId, slot } of [...group.shards, ...group.damaged])
      add(batches, deviceId, needleIdOf(group, slot))
  }
  return removeBatches(from, batches)
}

function addBlock(
  batches: Batches,
  { devices }: RemovalDevices,
  layouts: Layouts,
  extent: Extent,
  block: number,
): void {
  const { policy, generation, exception } = blockShape(extent, block)
  const { uploadId, part } = extent
  const partition = partitionOf(uploadId, part, block)
  for (let slot = 0; slot < shardCount(policy); slot += 1) {
    const id = { partition, uploadId, part, block, generation, slot }
    // A layout that became narrower since the block was written does not cover its last slots.
    const isBeyond = slot >= layouts.current.width
    const holders = isBeyond
      ? new Set([...devices.keys(), ...layouts.current.devices])
      : holdersOf(layouts, id, exception)
    for (const deviceId of holders) add(batches, deviceId, id)
  }
}

function add(batches: Batches, deviceId: DeviceId, id: NeedleId): void {
  const ids = batches.get(deviceId)
  if (ids) ids.push(id)
  else batches.set(deviceId, [id])
}

/** Returns false if a device did not answer that is expected back. */
async function removeBatches({ devices, isExpectedBack }: RemovalDevices, batches: Batches): Promise<boolean> {
  let isComplete = true
  await mapBounded(batches, BLOCK_LIMITS.maxConcurrentShards, async ([deviceId, ids]) => {
    const device = devices.get(deviceId)
    if (device !== undefined && device.volumes.refusing === undefined) {
      try {
        return await device.volumes.remove(ids)
      } catch (error) {
        const isGone = devices.get(deviceId) !== device || device.volumes.refusing !== undefined
        if (!isGone && !isFailure(error, "deviceFailed")) throw error
      }
    }
    if (isExpectedBack(deviceId)) isComplete = false
  })
  return isComplete
}
