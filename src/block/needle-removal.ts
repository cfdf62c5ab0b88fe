/**
 * Needle removal: removes needles from the devices that hold them. A device that cannot accept tombstones now counts as
 * missing: the ownership of its remaining needles is resolved once it is back.
 */
import { isFailure } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import { shardCount } from "../base/policy.js"
import { blockCount, type Extent } from "../format/extent.js"
import { partitionOf } from "../format/partition.js"
import { mapBounded } from "../life/index.js"
import type { NeedleId } from "../volume/contract.js"
import type { BlockRun, Devices } from "./contract.js"
import { holdersOf } from "./holders.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { blockShape } from "./read-plan-core.js"
import { needleIdOf, type BlockGroup } from "./shard-scan-core.js"

type Batches = Map<DeviceId, NeedleId[]>

/** All needles of these blocks of an extent, on every device to which the layouts or its exceptions lead. */
export async function removeExtent(
  devices: Devices,
  layouts: Layouts,
  extent: Extent,
  runs: readonly BlockRun[] = [{ firstBlock: 0, lastBlock: blockCount(extent) - 1 }],
): Promise<void> {
  let blocks = 0
  let batches: Batches = new Map()
  for (const { firstBlock, lastBlock } of runs) {
    for (let block = firstBlock; block <= lastBlock; block += 1) {
      addBlock(batches, devices, layouts, extent, block)
      blocks += 1
      if (blocks % BLOCK_LIMITS.removeNeedlesMax !== 0) continue
      await removeBatches(devices, batches)
      batches = new Map()
    }
  }
  await removeBatches(devices, batches)
}

export async function removeGroups(devices: Devices, groups: readonly BlockGroup[]): Promise<void> {
  const batches: Batches = new Map()
  for (const group of groups) {
    for (const { deviceId, slot } of [...group.shards, ...group.damaged])
      add(batches, deviceId, needleIdOf(group, slot))
  }
  await removeBatches(devices, batches)
}

function addBlock(batches: Batches, devices: Devices, layouts: Layouts, extent: Extent, block: number): void {
  const { policy, generation, exception } = blockShape(extent, block)
  const { uploadId, part } = extent
  const partition = partitionOf(uploadId, part, block)
  for (let slot = 0; slot < shardCount(policy); slot += 1) {
    const id = { partition, uploadId, part, block, generation, slot }
    // A layout that became narrower since the block was written does not cover its last slots.
    const isBeyond = slot >= layouts.current.width
    const holders = isBeyond ? devices.keys() : holdersOf(layouts, id, exception)
    for (const deviceId of holders) add(batches, deviceId, id)
  }
}

function add(batches: Batches, deviceId: DeviceId, id: NeedleId): void {
  const ids = batches.get(deviceId)
  if (ids) ids.push(id)
  else batches.set(deviceId, [id])
}

async function removeBatches(devices: Devices, batches: Batches): Promise<void> {
  await mapBounded(batches, BLOCK_LIMITS.maxConcurrentShards, async ([deviceId, ids]) => {
    const device = devices.get(deviceId)
    if (device === undefined || device.volumes.refusing !== undefined) return
    try {
      await device.volumes.remove(ids)
    } catch (error) {
      const isGone = devices.get(deviceId) !== device || device.volumes.refusing !== undefined
      if (!isGone && !isFailure(error, "deviceFailed")) throw error
    }
  })
}
