/**
 * One device's needles: append, read verified, remove. The index consists of rows in the device's memtable and metadata
 * store, which a scan of the volumes can always rebuild.
 */
import type { Span } from "@hayloft/base/trace.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { NeedleId, NeedleOwner, NeedlePlace, ShardHeader, ShardShape } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"

export type { NeedleId, NeedleOwner, ShardHeader, ShardShape } from "../format/needles/needle.js"

export interface Needle {
  readonly id: NeedleId
  readonly owner: NeedleOwner
  readonly policy: Policy
  /** Bytes of the block that this is a shard of, before padding. */
  readonly blockLengthBytes: number
  /** MessagePack of the object's name, type and metadata; only on shards of block 0 of an upload or part. */
  readonly recoveryHeader: Uint8Array | undefined
  /** The shard: a multiple of 64 bytes (or the plain bytes of a copy or payload). */
  readonly body: Uint8Array
  /** 8 bytes per sub-block of 64 KiB: XXH64 seeded by the needle id and the sub-block number. */
  readonly checksums: Uint8Array
  /**
   * No request waits for it: while others are written too, each write contains only a little of these. Default false.
   */
  readonly isUnhurried?: boolean
  /**
   * When the needle will probably be removed, by the wall clock: a hint for where to place it. A wrong one costs a copy,
   * nothing else. Absent: unknown.
   */
  readonly endsAtMs?: number | undefined
  /** The span of the request, if it is traced: a call to another node carries it. */
  readonly trace?: Span | undefined
}

export interface NeedleRange {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** A needle as the index records it. */
export interface IndexedNeedle {
  /** See `needleKeyOf`. */
  readonly key: RowKey
  readonly bodyBytes: number
  /** The shape is undefined if only the needle's header contains it. */
  readonly shape: ShardShape | undefined
  /** Its bytes were found bad: it counts as missing at its assigned device, and as removable elsewhere. */
  readonly isSuspect: boolean
}

/** A stretch of a volume that was written once and cannot be decoded now. */
export interface VolumeDamage {
  readonly volumeId: VolumeId
  readonly fromBytes: number
  readonly toBytes: number
  readonly reason: string
}

/** The place of a needle, for another thread of this process that reads the volume's file. */
export interface CachedPlace {
  /** The folder of the volume's file. */
  readonly folder: string
  readonly place: NeedlePlace
}

/** Returns memory of exactly this length, for bytes that are about to be read into it; its contents do not matter. */
export type Allocate = (lengthBytes: number) => Uint8Array

/** A shard as it was read. */
export interface FetchedShard {
  readonly header: ShardHeader
  /** Not verified yet: check it with the checksums of the header. */
  readonly body: Uint8Array
  /** The memory that was allocated for it. */
  readonly memory: Uint8Array
}

/** How a device's volumes are filled. */
export interface DeviceVolumeUsage {
  readonly volumes: number
  readonly writtenBytes: number
  /** Bytes of needles that the index points at; undefined until the index has been walked once after a start. */
  readonly liveBytes: number | undefined
  /** Share of the written bytes that belongs to no live needle: 0 to 1. */
  readonly deadShare: number | undefined
}

/** A choice for a read that has to wait for the device (see `Volumes.read`): begin it. */
export const waitIfSlow = <T>(read: () => T): T => read()

/** The other choice: skip the read; the caller gets nothing. */
export const leaveIfSlow = (): undefined => undefined

/**
 * Returns true if needles with bodies of so many bytes in all, in flight and new, are accepted. Compaction and
 * tombstones do not check it.
 */
export type MayAppend = (bodyBytes: number) => boolean

export interface Volumes {
  /**
   * The needle is durable and readable when it resolves; body and checksums must not change until then. The same id may
   * be appended again (its bytes are the same): reads use the later copy from then on. Throws `tooManyInFlight`,
   * `deviceFull`, `deviceFailed`, `stopping`.
   */
  append(needle: Needle): Promise<void>
  /**
   * Verified bytes of a range of the needle's body: read on the calling thread, if they are few and likely in the page
   * cache. Otherwise, or if that fails, `ifSlow` decides: it receives the read by way of the device, which rejects with
   * `noSuchNeedle`, `corruptNeedle`, `deviceFailed`, and begins it (`begin`), or not. The result is a buffer of its
   * own, or a view of the last one from `allocate`; the caller must give back anything else that was allocated.
   */
  read<Slow>(
    id: NeedleId,
    range: NeedleRange,
    ifSlow: (read: () => Promise<Uint8Array>) => Slow,
    allocate?: Allocate,
    trace?: Span,
  ): Uint8Array | Slow
  /**
   * A shard of this length, or a range of whole sub-blocks of it, for a caller that verifies the body itself because it
   * does so for many together. `isUnhurried`: no request waits for it. Throws `noSuchNeedle`, `corruptNeedle`,
   * `deviceFailed`.
   */
  fetch(
    id: NeedleId,
    bodyBytes: number,
    allocate: Allocate,
    range?: NeedleRange,
    isUnhurried?: boolean,
  ): Promise<FetchedShard>
  /** False also for a needle that is suspect, or in a volume that is missing. */
  has(id: NeedleId): boolean
  /** The needle's header. Throws `noSuchNeedle`, `corruptNeedle`, `deviceFailed`. */
  headerOf(id: NeedleId): Promise<ShardHeader>
  /**
   * Appends tombstones, which share a write with other waiting appends, and drops the needles from the index. Absent
   * needles are no error.
   */
  remove(ids: readonly NeedleId[]): Promise<void>
  /**
   * Marks needles whose bytes were found bad as suspect: `has` returns false and they are listed as suspect, so that
   * they are rebuilt or removed, until they are appended again or the process ends. Reads still return intact ranges.
   */
  markSuspect(ids: readonly NeedleId[]): void
  /**
   * The needles of a range of keys on this device, in the order of the index, without those in a missing volume. Read
   * synchronously. Throws `corruptRow`.
   */
  indexed(range: KeyRange): Iterable<IndexedNeedle>
  usage(): DeviceVolumeUsage
  /**
   * The position that is durable now, for a checkpoint's `VolumeScanSource`: take it after the memtable was frozen.
   * Undefined while nothing has ever been written.
   */
  durable(): VolumePosition | undefined
  /** The reason why no more needles are accepted: a write failed for another reason than a full disk. Reads continue. */
  readonly refusing: Failure | undefined
  /** Damage found when the volumes were opened. Their needles are read elsewhere and repaired. */
  readonly damages: readonly VolumeDamage[]
  close(): Promise<void>
}
