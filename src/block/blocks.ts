/** Blocks of one node: bodies in, ranges out, extents removed. See `contract.ts` for the promises. */
import type { DeviceId, PartitionId } from "../base/ids.js"
import { must } from "../base/assert.js"
import { shardCount } from "../base/policy.js"
import { blockCount, type Extent } from "../format/extent.js"
import { partitionOf } from "../format/partition.js"
import { mapBounded } from "../life/index.js"
import { slotsOf, type Layout } from "../placement/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute } from "../seams/compute/contract.js"
import type { Metrics } from "../seams/telemetry/contract.js"
import type { NeedleId, NeedleOwner } from "../volume/contract.js"
import { BlockReader } from "./block-reader.js"
import { BlockWriter, type Devices } from "./block-writer.js"
import { writeBody } from "./body-writer.js"
import type { Blocks, HeldUpload, PieceOwner, WriteRequest, WrittenBody } from "./contract.js"
import { heldUploads, ownerOfHeld, removeHeld } from "./held-uploads.js"
import { BLOCK_LIMITS } from "./limits.js"
import { blockShape } from "./read-plan-core.js"

export class LocalBlocks implements Blocks {
  private readonly writer: BlockWriter
  private readonly reader: BlockReader

  constructor(
    private readonly clock: Clock,
    private readonly compute: Compute,
    private readonly layout: Layout,
    private readonly devices: Devices,
    metrics: Metrics,
  ) {
    this.writer = new BlockWriter(devices, layout, clock)
    const rebuilt = metrics.counter(
      "hayloft_shard_pieces_rebuilt_total",
      "Pieces read from other shards because one was missing or corrupt",
    )
    this.reader = new BlockReader(devices, layout, compute, rebuilt)
  }

  write(request: WriteRequest): Promise<WrittenBody> {
    return writeBody(this.clock, this.compute, this.writer, request, extent => this.remove(extent))
  }

  read(
    extent: Extent,
    range: { offsetBytes: number; lengthBytes: number },
    signal: AbortSignal,
    pieces: PieceOwner = "caller",
  ): AsyncIterable<Uint8Array> {
    return this.reader.read(extent, range, signal, pieces)
  }

  async remove(extent: Extent): Promise<void> {
    const byDevice = new Map<DeviceId, NeedleId[]>()
    const flush = async () => {
      const batches = [...byDevice]
      byDevice.clear()
      await mapBounded(batches, BLOCK_LIMITS.shardsAtOnce, async ([deviceId, ids]) => {
        const volumes = this.devices.get(deviceId)?.volumes
        // One that takes nothing is as if it were missing: what it keeps is judged once it is back.
        if (volumes?.refusing === undefined) await volumes?.remove(ids)
      })
    }
    for (let block = 0; block < blockCount(extent); block += 1) {
      for (const [deviceId, id] of this.needlesOf(extent, block)) {
        const ids = byDevice.get(deviceId)
        if (ids) ids.push(id)
        else byDevice.set(deviceId, [id])
      }
      if ((block + 1) % BLOCK_LIMITS.removeNeedlesAtOnce === 0) await flush()
    }
    await flush()
  }

  heldIn(partition: PartitionId): readonly HeldUpload[] {
    return heldUploads(this.devices, partition)
  }

  ownerOf(held: HeldUpload): Promise<NeedleOwner> {
    return ownerOfHeld(this.devices, held)
  }

  removeHeld(held: HeldUpload): Promise<void> {
    return removeHeld(this.devices, held)
  }

  private *needlesOf(extent: Extent, block: number): Generator<readonly [DeviceId, NeedleId]> {
    const { policy, generation, exception } = blockShape(extent, block)
    const { uploadId, part } = extent
    const partition = partitionOf(uploadId, part, block)
    const slots = slotsOf(this.layout, partition)
    for (let slot = 0; slot < shardCount(policy); slot += 1) {
      const placed = exception?.placedSlots.find(([placedSlot]) => placedSlot === slot)
      const deviceId = placed?.[1] ?? must(slots[slot], "the layout is wide enough")
      yield [deviceId, { partition, uploadId, part, block, generation, slot }]
    }
  }
}
