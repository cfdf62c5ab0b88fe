/** Blocks of one node: writes bodies, reads ranges, and scans, mends and removes blocks. See `contract.ts`. */
import type { Span } from "@hayloft/base/trace.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId, PartitionId, RowKey } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { asPromise, after, forEachSoon, recover, type Soon } from "@hayloft/base/soon.js"
import type { Extent } from "../format/needles/extent.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { needleKeysOfPartition } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { NeedleId, NeedleOwner, ShardHeader } from "../volume/contract.js"
import type { ReadBytes } from "@hayloft/base/memory/pieces.js"
import type { BlockBackend } from "./backend.js"
import { BlockReader } from "./block-reader.js"
import { BlockWriter } from "./block-writer.js"
import { writeBody } from "./body-writer.js"
import type { BlockOptions, BlockRun, Blocks, Devices, LiveBlock, Mended, PieceOwner } from "./contract.js"
import type { ReencodedBlock, ReencodeRequest, SeenShards, ShardCopy, WriteRequest, WrittenBody } from "./contract.js"
import { Foreground } from "./foreground.js"
import { hasShard, holdersOf, isDamage, isLoss, strayHolders } from "./holders.js"
import type { HotCopies } from "./hot-copies.js"
import { assignedDeviceOf, type Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { Mender } from "./mender.js"
import { removeExtent, removeGroups, type RemovalDevices } from "./needle-removal.js"
import { blockShape, type ExtentRange } from "./read-plan-core.js"
import { reencodeBlock } from "./reencoder.js"
import { orSilent, shardScanPage } from "./shard-scan.js"
import { ALL_NEEDLES, needleIdOf, type BlockGroup, type ShardScanPage } from "./shard-scan-core.js"

export class LocalBlocks implements Blocks {
  private readonly writer: BlockWriter
  private readonly reader: BlockReader
  private readonly mender: Mender
  private readonly foreground: Foreground
  private readonly removalDevices: RemovalDevices
  suspicions = 0
  readonly memoryShare: number

  /** `devices` and `layouts` may change at any time. */
  constructor(
    private readonly clock: Clock,
    private readonly compute: Compute,
    private readonly layouts: Layouts,
    private readonly devices: Devices,
    metrics: Metrics,
    options: BlockOptions = {},
  ) {
    const { refuseSingleCopy = false, onSingleCopy, onDamage, memoryShare = 1 } = options
    this.memoryShare = memoryShare
    const { isExpectedBack = () => false, mayReturn = () => false } = options
    this.removalDevices = { devices, isExpectedBack }
    const rebuilt = metrics.counter(
      "hayloft_shard_pieces_rebuilt_total",
      "Pieces read from other shards because one was missing, corrupt or slow",
    )
    const single = metrics.counter(
      "hayloft_single_copy_blocks_total",
      "Blocks written as a single copy because only one device could store them",
    )
    const note = (): void => {
      single.add()
      onSingleCopy?.()
    }
    const backend: BlockBackend = {
      clock,
      devices,
      layouts,
      compute,
      mayReturn,
      onDamage: ({ deviceId, id }) => onDamage?.(deviceId, id),
    }
    this.foreground = new Foreground(clock)
    this.writer = new BlockWriter(devices, layouts, clock, { areRefused: refuseSingleCopy, note })
    this.reader = new BlockReader(backend, rebuilt, options.hotCopies, memoryShare)
    this.mender = new Mender(backend, this.foreground)
  }

  get isFull(): boolean {
    return this.layouts.current.devices.some(id => this.devices.get(id)?.isFull === true)
  }

  get hotCopies(): HotCopies | undefined {
    return this.reader.copies
  }

  async ownerOf(extent: Extent, block: number): Promise<NeedleOwner | undefined> {
    const { exception } = blockShape(extent, block)
    for (const id of needleIdsOf(extent, block)) {
      for (const deviceId of holdersOf(this.layouts, id, exception)) {
        const header = await this.devices
          .get(deviceId)
          ?.volumes.headerOf(id)
          .catch(() => undefined)
        if (header !== undefined) return header.owner
      }
    }
    return undefined
  }

  write(request: WriteRequest): Promise<WrittenBody> {
    this.foreground.note()
    return writeBody(this.clock, this.compute, this.writer, request, extent => this.remove(extent))
  }

  read(
    ranges: ExtentRange | Iterable<ExtentRange>,
    signal: AbortSignal,
    pieces: PieceOwner = "caller",
    trace?: Span,
  ): ReadBytes {
    this.foreground.note()
    return this.reader.read(ranges, signal, pieces, trace)
  }

  remove(extent: Extent, runs?: readonly BlockRun[]): Promise<boolean> {
    return removeExtent(this.removalDevices, this.layouts, extent, runs)
  }

  shardScan(from: RowKey): Soon<ShardScanPage> {
    return shardScanPage(this.devices.values(), { ...ALL_NEEDLES, start: from }, BLOCK_LIMITS.shardScanNeedles)
  }

  shardScanOf(partition: PartitionId): Soon<readonly BlockGroup[]> {
    return after(
      shardScanPage(this.devices.values(), needleKeysOfPartition(partition), Infinity),
      ({ groups }) => groups,
    )
  }

  async seenShards(range: KeyRange): Promise<SeenShards> {
    const silent = new Set<DeviceId>()
    const devices = Array.from(this.devices.values(), device => orSilent(device, silent))
    const page = await asPromise(() => shardScanPage(devices, range, BLOCK_LIMITS.shardScanNeedles))
    return { ...page, silent: [...silent] }
  }

  async headerOf(group: BlockGroup): Promise<ShardHeader> {
    let isDamaged = false
    // A damaged needle may still have an intact header.
    for (const { deviceId, slot } of [...group.shards, ...group.damaged]) {
      try {
        const header = await this.devices.get(deviceId)?.volumes.headerOf(needleIdOf(group, slot))
        if (header) return header
      } catch (error) {
        if (this.devices.has(deviceId) && !isLoss(error)) throw error
        isDamaged ||= isDamage(error)
      }
    }
    if (!isDamaged) throw fail("noSuchNeedle", { uploadId: group.uploadId, block: group.block })
    throw fail("corruptNeedle", { message: "no needle of the block has a readable header", uploadId: group.uploadId })
  }

  async headersOf(group: BlockGroup): Promise<readonly ShardHeader[]> {
    const headers: ShardHeader[] = []
    for (const { deviceId, slot } of [...group.shards, ...group.damaged]) {
      try {
        const header = await this.devices.get(deviceId)?.volumes.headerOf(needleIdOf(group, slot))
        if (header) headers.push(header)
      } catch (error) {
        if (this.devices.has(deviceId) && !isLoss(error)) throw error
      }
    }
    return headers
  }

  removeGroups(groups: readonly BlockGroup[]): Promise<boolean> {
    return removeGroups(this.removalDevices, groups)
  }

  mend(group: BlockGroup, live: LiveBlock): Promise<Mended> {
    return this.mender.mend(group, live)
  }

  async moveAway(group: BlockGroup, from: ReadonlySet<DeviceId>): Promise<Mended> {
    return this.mender.moveAway(group, await this.headerOf(group), from)
  }

  markSuspect({ deviceId, id }: ShardCopy): Soon<boolean> {
    return after(hasShard(this.devices, deviceId, id), has => {
      if (!has) return false
      this.suspicions += 1
      const marked = recover(
        () => this.devices.get(deviceId)?.volumes.markSuspect([id]),
        error => {
          if (!isLoss(error)) throw error
        },
      )
      return after(marked, () => true)
    })
  }

  shardsThere(extent: Extent, block: number): Soon<number> {
    const needed = shardsNeeded(blockShape(extent, block).policy)
    let there = 0
    const count = (id: NeedleId): Soon<void> => {
      if (there >= needed) return
      return after(this.isAnywhere(id), isThere => {
        if (isThere) there += 1
      })
    }
    return after(forEachSoon(needleIdsOf(extent, block), count), () => there)
  }

  isAssigned(extent: Extent, block: number): Soon<boolean> {
    let isAssigned = true
    const check = (id: NeedleId): Soon<void> => {
      if (!isAssigned) return
      return after(this.isOnAssigned(id), is => void (isAssigned = is))
    }
    return after(forEachSoon(needleIdsOf(extent, block), check), () => isAssigned)
  }

  private isOnAssigned(id: NeedleId): Soon<boolean> {
    const assignedDevice = assignedDeviceOf(this.layouts.current, id.partition, id.slot)
    return assignedDevice !== undefined && hasShard(this.devices, assignedDevice, id)
  }

  private isAnywhere(id: NeedleId): Soon<boolean> {
    return after(this.isOnAssigned(id), isAssigned => {
      return isAssigned || after(strayHolders(this.devices, id, []), ({ length }) => length > 0)
    })
  }

  reencode(request: ReencodeRequest, signal: AbortSignal): Promise<ReencodedBlock | undefined> {
    return reencodeBlock(this.compute, this.reader, this.writer, request, signal)
  }
}

/** The shards of a block as last coded, by slot. */
function needleIdsOf(extent: Extent, block: number): readonly NeedleId[] {
  const { policy, generation } = blockShape(extent, block)
  const { uploadId, part } = extent
  const partition = partitionOf(uploadId, part, block)
  return Array.from({ length: shardCount(policy) }, (_, slot) => ({
    partition,
    uploadId,
    part,
    block,
    generation,
    slot,
  }))
}
