/**
 * Blocks: a byte stream becomes blocks, shards, and needles on devices, and back. No names here.
 */
import type { DeviceId, PartitionId, RowKey, UploadId } from "../base/ids.js"
import type { LentBytes, PieceOwner, ReadBytes } from "../base/pieces.js"
import type { Policy } from "../base/policy.js"
import type { Extent } from "../format/extent.js"
import type { Digests, HashPipelinePlan } from "../seams/compute/contract.js"
import type { Soon } from "../base/soon.js"
import type { NeedleId, NeedleOwner, ShardHeader } from "../volume/contract.js"
import type { ExtentRange } from "./read-plan-core.js"
import type { ShardStore } from "./shard-store.js"
import type { BlockGroup, ShardScanPage } from "./shard-scan-core.js"

export type { LentBytes, PieceOwner }

/** One device as the block layer sees it. */
export interface ShardDevice {
  readonly id: DeviceId
  readonly volumes: ShardStore
  /** A hint: false while the device takes no new needles because it is suspect. */
  readonly isWritable: boolean
  /** A hint: true while it has no room for new needles: blocks that would need it are refused. Absent: it has. */
  readonly isFull?: boolean
}

/** The devices that take part now. It changes while it is used: one that is not there is neither read nor written. */
export type Devices = ReadonlyMap<DeviceId, ShardDevice>

export interface BlockOptions {
  /** Refuse, with `deviceFailed`, to write a block as a single copy whose policy would survive a loss. */
  readonly refuseSingleCopy?: boolean
  /** A block was written so. */
  readonly onSingleCopy?: () => void
  /** A device was found to have a damaged shard instead of a good one. */
  readonly onDamage?: (deviceId: DeviceId, id: NeedleId) => void
}

/** This device owes shards of this partition. */
export interface MissingShards {
  readonly partition: PartitionId
  readonly deviceId: DeviceId
}

export interface WriteRequest {
  readonly uploadId: UploadId
  /** 0 for a single upload. */
  readonly part: number
  readonly owner: NeedleOwner
  readonly policy: Policy
  readonly blockBytes: number
  /** Digests that the caller does not have yet. */
  readonly plan: HashPipelinePlan
  /** The whole body, not to be changed any more; or its pieces, each copied before the next one is asked for. */
  readonly source: Uint8Array | AsyncIterable<Uint8Array>
  /** More than this throws `entityTooLarge`. */
  readonly lengthBytesMax: number
  /** A body up to this length is handed back instead of written. */
  readonly inlineBytesMax: number
  /** What each shard of the first block says about its owner. */
  readonly recoveryHeader: Uint8Array | undefined
  readonly signal?: AbortSignal
}

export interface WrittenBody {
  readonly lengthBytes: number
  readonly digests: Digests
  readonly content:
    { readonly kind: "inline"; readonly bytes: Uint8Array } | { readonly kind: "extent"; readonly extent: Extent }
  readonly hints: readonly MissingShards[]
}

/** Blocks [first, last] of an extent. */
export interface BlockRun {
  readonly firstBlock: number
  readonly lastBlock: number
}

/** One copy of a shard. */
export interface ShardCopy {
  readonly deviceId: DeviceId
  readonly id: NeedleId
}

/** What a row says of a block that it names. */
export interface LiveBlock {
  readonly extent: Extent
  readonly owner: NeedleOwner
  /** For the shards of block 0. */
  recoveryHeader(): Uint8Array | undefined
}

/** How a block was left. */
export interface Mended {
  readonly writtenShards: number
  readonly writtenBytes: number
  /** Copies removed from where they were not wanted. */
  readonly removed: number
  /** Devices that could have been given a shard and were not: a read or write failed. */
  readonly lacking: readonly DeviceId[]
  /** Devices that lack a shard and cannot be written now. */
  readonly waitingFor: readonly DeviceId[]
  /** Fewer good shards are left than a read needs. */
  readonly isUnreadable: boolean
}

export interface ReencodeRequest {
  /** As rows name it now; one of its blocks is read. */
  readonly extent: Extent
  readonly block: number
  readonly owner: NeedleOwner
  readonly policy: Policy
  /** Of the new needles: one under which the block was never coded otherwise. */
  readonly generation: number
  readonly recoveryHeader: Uint8Array | undefined
}

export interface Blocks {
  /**
   * Writes a body; every shard that the acknowledgement rule asks for is durable when it resolves.
   * Throws what the source throws, `entityTooLarge`, `deviceFull`, `deviceFailed`. After a failure
   * what was written is removed; what cannot be removed is left to the judge of orphans.
   */
  write(request: WriteRequest): Promise<WrittenBody>
  /**
   * Verified bytes of ranges, one after another: the next one's first pieces are fetched while the last ones of this
   * leave. The stream throws `notEnoughShards` if too few intact shards are left. Its pieces are the caller's, or lent
   * to the reader until it asks for the next one or gives up.
   * To a reader, the bytes of a single short range that the page cache likely has are lent as a whole, instead of a
   * stream; see `isLent` and `streamOf`.
   */
  read(ranges: ExtentRange | Iterable<ExtentRange>, signal: AbortSignal, pieces?: PieceOwner): ReadBytes
  /** Removes all needles of an extent, or of some of its blocks. */
  remove(extent: Extent, runs?: readonly BlockRun[]): Promise<void>
  /** Blocks that devices hold from a place in the index on, named by a row or not. See `shardScanPage`. */
  shardScan(from: RowKey): Soon<ShardScanPage>
  /** All that devices hold of one partition. */
  shardScanOf(partition: PartitionId): Soon<readonly BlockGroup[]>
  /**
   * What the needles of a block say of themselves. Throws `corruptNeedle` where none of them can be read,
   * `noSuchNeedle` where they are not there any more.
   */
  headerOf(group: BlockGroup): Promise<ShardHeader>
  /** Removes just these needles. */
  removeGroups(groups: readonly BlockGroup[]): Promise<void>
  /**
   * Puts each shard of a block where it should be, and removes copies from where they should not. Throws
   * `deviceFull`; a device that fails is one that still lacks its shard.
   */
  mend(group: BlockGroup, live: LiveBlock): Promise<Mended>
  /** A shard was found damaged: surveys do not show it until it was written again. False: that was known. */
  distrust(copy: ShardCopy): Soon<boolean>
  /** How many shards were found damaged. */
  readonly distrusts: number
  /** How many different shards of a block devices have, by their own answers; counted no further than a read needs. */
  shardsThere(extent: Extent, block: number): Soon<number>
  /** Whether every shard of a block lies where the layout has its slot, by the devices' own answers. */
  isAssigned(extent: Extent, block: number): Soon<boolean>
  /**
   * Codes one block anew, on all the devices that its new policy takes; undefined where memory is short now.
   * Throws `notEnoughShards`, `deviceFull`, `deviceFailed`. What a failure leaves behind is as if it had
   * not been written: the same request writes the same needles.
   */
  reencode(request: ReencodeRequest, signal: AbortSignal): Promise<ReencodedBlock | undefined>
}

/** Slots of a recoded block that were late, and what their devices owe. */
export interface ReencodedBlock {
  readonly missingSlots: readonly number[]
  readonly hints: readonly MissingShards[]
}
