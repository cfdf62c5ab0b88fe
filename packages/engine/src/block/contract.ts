/**
 * Blocks: a byte stream becomes blocks, shards, and needles on devices, and back. This layer has no object metadata.
 */
import type { DeviceId, PartitionId, RowKey, UploadId } from "@hayloft/base/ids.js"
import type { LentBytes, PieceOwner, ReadBytes } from "@hayloft/base/memory/pieces.js"
import type { Payer } from "@hayloft/base/places-core.js"
import type { Span } from "@hayloft/base/trace.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { Extent } from "../format/needles/extent.js"
import type { Digests, HashPipelinePlan } from "@hayloft/base/seams/compute/contract.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { NeedleId, NeedleOwner, ShardHeader } from "../volume/contract.js"
import type { HotCopies } from "./hot-copies.js"
import type { HotCopyTerms } from "./hot-copies-core.js"
import type { ExtentRange } from "./read-plan-core.js"
import type { ShardStore } from "./shard-store.js"
import type { BlockGroup, ShardScanPage } from "./shard-scan-core.js"

export type { LentBytes, PieceOwner }

/** One device as the block layer sees it. */
export interface ShardDevice {
  readonly id: DeviceId
  readonly volumes: ShardStore
  /** A hint: false while the device accepts no new needles because it is suspect. */
  readonly isWritable: boolean
  /** A hint: true while the device has no space for new needles: blocks that need it are refused. Default: false. */
  readonly isFull?: boolean
}

/** The devices in use. The map changes while it is used: a device that is absent is neither read nor written. */
export type Devices = ReadonlyMap<DeviceId, ShardDevice>

export interface BlockOptions {
  /** Refuses, with `deviceFailed`, to write a single copy of a block whose policy would survive a loss. */
  readonly refuseSingleCopy?: boolean
  /** Called after a block was written as a single copy. */
  readonly onSingleCopy?: () => void
  /** Called when a device turns out to have a damaged shard. */
  readonly onDamage?: (deviceId: DeviceId, id: NeedleId) => void
  /**
   * Returns true if a device that does not answer is expected back as it is, so that no scan will find what it missed.
   */
  readonly isExpectedBack?: (id: DeviceId) => boolean
  /**
   * Returns true if a device that does not answer may return with its shards: a block that needs them is not lost yet.
   */
  readonly mayReturn?: (id: DeviceId) => boolean
  /** Copies of pieces that are read often are kept in memory; absent: none. */
  readonly hotCopies?: HotCopyTerms | undefined
  /** The part of the memory for readers that this one of several serving threads has, from 0 to 1. Default: 1. */
  readonly memoryShare?: number
}

/** The device lacks shards of the partition. */
export interface MissingShards {
  readonly partition: PartitionId
  readonly deviceId: DeviceId
}

/** Blocks that are stored already: bodies do not write them again. Sealed bodies have none. */
export interface KnownBlocks {
  /** The key of the digests, 32 bytes. */
  readonly key: Uint8Array
  /** Further blocks of a body have no digest, and are written. */
  readonly blocksMax: number
  /** Returns true if the body leaves the block out. Called for each block with a digest, one after the other. */
  isKnown(digest: Uint8Array, block: number, lengthBytes: number): Soon<boolean>
  /** The upload of a further run of blocks that are written. */
  nextUpload(): UploadId
}

/** Neighbouring blocks of a body that were written under an upload of their own. */
export interface WrittenRun {
  readonly firstBlock: number
  readonly extent: Extent
}

export interface WriteRequest {
  readonly uploadId: UploadId
  /** 0 for a single upload. */
  readonly part: number
  readonly owner: NeedleOwner
  readonly policy: Policy
  readonly blockBytes: number
  /** The blocks are sealed under this key of 32 bytes, which seals nothing else. An inline body is returned as it is. */
  readonly seal?: { readonly key: Uint8Array } | undefined
  /** The body is written in runs, without the blocks that are known. */
  readonly known?: KnownBlocks | undefined
  /** Digests that the caller does not have yet; of the plaintext. */
  readonly plan: HashPipelinePlan
  /** The whole body, which must not change any more; or its pieces, each copied before the next one is requested. */
  readonly source: Uint8Array | AsyncIterable<Uint8Array>
  /** The length of the body, if its client has stated it. A sealed body that is shorter throws `incompleteBody`. */
  readonly statedBytes?: number | undefined
  /** A longer body throws `entityTooLarge`. Like all lengths of bodies, that of the plaintext. */
  readonly lengthBytesMax: number
  /** A body up to this length is returned instead of written. */
  readonly inlineBytesMax: number
  /** Describes the owner in each shard of the first block. */
  readonly recoveryHeader: Uint8Array | undefined
  /** When the body will probably be removed: a hint for where devices place it. Absent: unknown. */
  readonly endsAtMs?: number | undefined
  readonly signal?: AbortSignal
  /** The party that is charged for the memory; absent: the server itself. */
  readonly payer?: Payer | undefined
}

export interface WrittenBody {
  /** The length of the plaintext; that of a sealed extent is longer. */
  readonly lengthBytes: number
  readonly digests: Digests
  readonly content:
    | { readonly kind: "inline"; readonly bytes: Uint8Array }
    | { readonly kind: "extent"; readonly extent: Extent }
    /** The result of a request with known blocks. */
    | { readonly kind: "runs"; readonly runs: readonly WrittenRun[] }
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

/** A block as the metadata row that references it describes it. */
export interface LiveBlock {
  readonly extent: Extent
  readonly owner: NeedleOwner
  /** For the shards of block 0. */
  recoveryHeader(): Uint8Array | undefined
}

/** The result of a mend. */
export interface Mended {
  readonly writtenShards: number
  readonly writtenBytes: number
  /** Copies removed from devices that should not have them. */
  readonly removed: number
  /** Some copies were left where they should not be: the mend took too long, or the layouts changed. */
  readonly leftSurplus: boolean
  /** Devices that still lack a shard because a read or write failed. */
  readonly lacking: readonly DeviceId[]
  /** Devices that lack a shard and cannot be written now. */
  readonly waitingFor: readonly DeviceId[]
  /** Fewer good shards remain than a read needs. */
  readonly isUnreadable: boolean
}

export interface ReencodeRequest {
  /** The extent that rows reference now; one of its blocks is read. */
  readonly extent: Extent
  readonly block: number
  readonly owner: NeedleOwner
  readonly policy: Policy
  /** The generation of the new needles; the block must not have been coded differently under it before. */
  readonly generation: number
  readonly recoveryHeader: Uint8Array | undefined
  /**
   * The extent is plain, and `block` is one of the sealed extent that is written of its bytes under this key of 32 bytes.
   * Repeated requests seal the same bytes in the same places.
   */
  readonly sealKey?: Uint8Array | undefined
}

export interface SeenShards extends ShardScanPage {
  readonly silent: readonly DeviceId[]
}

export interface Blocks {
  /** See `BlockOptions`. */
  readonly memoryShare: number
  /** A hint: a device of the layout has no space for new needles, so that blocks which need it are refused. */
  readonly isFull: boolean
  /**
   * Writes a body. When it resolves, every shard that the acknowledgement rule requires is durable.
   * Throws the error of the source, `entityTooLarge`, `deviceFull`, or `deviceFailed`. After a failure the written
   * shards are removed; the orphan resolver removes those that could not be removed.
   */
  write(request: WriteRequest): Promise<WrittenBody>
  /**
   * Verified bytes of ranges, one after another. The first pieces of the next range are fetched while the last pieces
   * of this one are sent. The stream throws `notEnoughShards` if too few intact shards remain. Its pieces belong to the
   * caller, or are lent to the reader until it requests the next one or stops.
   * A reader may get a single short range that the page cache likely has as one lent buffer instead of a stream; see
   * `isLent` and `streamOf`.
   */
  read(ranges: ExtentRange | Iterable<ExtentRange>, signal: AbortSignal, pieces?: PieceOwner, trace?: Span): ReadBytes
  /**
   * Removes all needles of an extent, or of some of its blocks. Returns false if it must be repeated: a device that may
   * have some did not answer, and is expected back.
   */
  remove(extent: Extent, runs?: readonly BlockRun[]): Promise<boolean>
  /** Blocks on devices from a place in the index on, referenced by a row or not. See `shardScanPage`. */
  shardScan(from: RowKey): Soon<ShardScanPage>
  /** All blocks of one partition on devices. */
  shardScanOf(partition: PartitionId): Soon<readonly BlockGroup[]>
  /** A page of a shard scan for a report: devices that cannot be reached count as empty, and are named. */
  seenShards(range: KeyRange): Promise<SeenShards>
  /**
   * The header in a block's needles. Throws `corruptNeedle` if none of them can be read, `noSuchNeedle` if they no
   * longer exist.
   */
  headerOf(group: BlockGroup): Promise<ShardHeader>
  /**
   * Returns the headers of all needles of a block that can be read: recovery headers of rebuilt shards may be newer
   * than others.
   */
  headersOf(group: BlockGroup): Promise<readonly ShardHeader[]>
  /** Removes just these needles. Returns false if it must be repeated, like `remove`. */
  removeGroups(groups: readonly BlockGroup[]): Promise<boolean>
  /**
   * Puts each shard of a block on the device that should have it, and removes copies from other devices. Throws
   * `deviceFull`. A device that fails still lacks its shard.
   */
  mend(group: BlockGroup, live: LiveBlock): Promise<Mended>
  /**
   * Moves the shards that these devices have of a block to devices that should have them, and nothing else. The needles
   * describe the block, whether or not a row references it. Throws `deviceFull`, and like `headerOf`.
   */
  moveAway(group: BlockGroup, from: ReadonlySet<DeviceId>): Promise<Mended>
  /** Marks a damaged shard: scans count it as missing until it is rewritten. False: already known. */
  markSuspect(copy: ShardCopy): Soon<boolean>
  /** How many shards were found damaged. */
  readonly suspicions: number
  /** How many different shards of a block the devices have; the count stops at the number that a read needs. */
  shardsThere(extent: Extent, block: number): Soon<number>
  /** Returns true if, according to the devices, every shard of a block is on its assigned device. */
  isAssigned(extent: Extent, block: number): Soon<boolean>
  /** The object that a block was written for, as its shards say; undefined: none of them can be read now. */
  ownerOf(extent: Extent, block: number): Promise<NeedleOwner | undefined>
  /** It is undefined if no copies are kept. */
  readonly hotCopies: HotCopies | undefined
  /**
   * Re-encodes one block on all devices of its new policy. Returns undefined if memory is short now.
   * Throws `notEnoughShards`, `deviceFull`, `deviceFailed`. Needles that remain after a failure do no harm: the same
   * request writes the same needles.
   */
  reencode(request: ReencodeRequest, signal: AbortSignal): Promise<ReencodedBlock | undefined>
}

/** Slots of a re-encoded block that were late, and the missing-shard hints of their devices. */
export interface ReencodedBlock {
  readonly missingSlots: readonly number[]
  readonly hints: readonly MissingShards[]
}
