/**
 * One device's needles: append, read verified, remove; the index is rows in the device's overlay and
 * base that a scan of the volumes can always rebuild.
 */
import type { Failure } from "../base/failures.js"
import type { RowKey, VolumeId } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import type { Policy } from "../base/policy.js"
import type { NeedleId, NeedleOwner, ShardHeader, ShardShape } from "../format/needle.js"
import type { VolumePosition } from "../format/volume.js"

export type { NeedleId, NeedleOwner, ShardHeader, ShardShape } from "../format/needle.js"

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
  /** Nobody waits for it: while others are written too, only a little of such in each write. Default false. */
  readonly isUnhurried?: boolean
}

export interface NeedleRange {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** A needle as the index knows it. */
export interface IndexedNeedle {
  /** See `needleKeyOf`. */
  readonly key: RowKey
  readonly bodyBytes: number
  /** Undefined where only the needle's header tells it. */
  readonly shape: ShardShape | undefined
  /** Its bytes were found bad: it counts as missing where it should be, and as one to be removed elsewhere. */
  readonly isSuspect: boolean
}

/** A stretch of a volume that was written once and cannot be decoded now. */
export interface VolumeDamage {
  readonly volumeId: VolumeId
  readonly fromBytes: number
  readonly toBytes: number
  readonly reason: string
}

/** Memory for bytes that are about to be read into it, of exactly this length; what it holds does not matter. */
export type Allocate = (lengthBytes: number) => Uint8Array

/** A shard as it was read. */
export interface FetchedShard {
  readonly header: ShardHeader
  /** Not verified yet: the header's checksums tell whether it is good. */
  readonly body: Uint8Array
  /** What was allocated for it. */
  readonly memory: Uint8Array
}

/** What a device's volumes hold. */
export interface VolumeUsage {
  readonly volumes: number
  readonly writtenBytes: number
  /** Of needles that the index points at; undefined until the index has been walked once after a start. */
  readonly liveBytes: number | undefined
  /** What of the written bytes is no living needle: 0 to 1. */
  readonly deadShare: number | undefined
}

/** How a read that has to wait for the device goes on (see `Volumes.read`): it begins. */
export const waitIfSlow = <T>(read: () => T): T => read()

/** The same: it is left, and the caller gets nothing. */
export const leaveIfSlow = (): undefined => undefined

/** Whether needles with bodies of so many bytes in all, on their way and new, may be taken; compaction and tombstones do not ask. */
export type MayAppend = (bodyBytes: number) => boolean

export interface Volumes {
  /**
   * Durable and readable when it resolves; body and checksums must not change until then. The same id
   * may be appended again (its bytes are the same): the later copy is read from then on.
   * Throws `tooManyInFlight`, `deviceFull`, `deviceFailed`, `stopping`.
   */
  append(needle: Needle): Promise<void>
  /**
   * Verified bytes of a range of the needle's body: read on the calling thread, if they are few and likely in the page
   * cache. Otherwise, or if that fails, `ifSlow` decides: it is given the read by way of the device, which rejects
   * with `noSuchNeedle`, `corruptNeedle`, `deviceFailed`, and begins it (`begin`), or not. The result is a buffer of
   * its own, or a view of the last one from `allocate`; what else was allocated is the caller's to give back.
   */
  read<Slow>(
    id: NeedleId,
    range: NeedleRange,
    ifSlow: (read: () => Promise<Uint8Array>) => Slow,
    allocate?: Allocate,
  ): Uint8Array | Slow
  /**
   * A shard of this length, or a range of whole sub-blocks of it, for a caller who verifies its body himself:
   * where that is done for many at once. Throws `noSuchNeedle`, `corruptNeedle`, `deviceFailed`.
   */
  fetch(id: NeedleId, bodyBytes: number, allocate: Allocate, range?: NeedleRange): Promise<FetchedShard>
  /** False also for a needle that is distrusted, or in a volume that is not there. */
  has(id: NeedleId): boolean
  /** What the needle says of itself. Throws `noSuchNeedle`, `corruptNeedle`, `deviceFailed`. */
  headerOf(id: NeedleId): Promise<ShardHeader>
  /** Appends tombstones, which share a write with what else is waiting, and forgets the needles; absent ones are no error. */
  remove(ids: readonly NeedleId[]): Promise<void>
  /**
   * The bytes of these needles were found bad: `has` says no and they are listed as such, so that they are
   * rebuilt or removed, until they are appended again or the process ends. Reads still give what is intact.
   */
  distrust(ids: readonly NeedleId[]): void
  /**
   * The needles of a range of keys on this device, in the order of the index, without those in a volume that
   * is not there. Read within one turn. Throws `corruptRow`.
   */
  indexed(range: KeyRange): Iterable<IndexedNeedle>
  usage(): VolumeUsage
  /**
   * What is durable now, for a checkpoint's `VolumeScanSource`: take it after the overlay was frozen.
   * Undefined while nothing has ever been written.
   */
  durable(): VolumePosition | undefined
  /** Why no needle is taken any more: a write failed for another reason than a full disk. Reads go on. */
  readonly refusing: Failure | undefined
  /** What was found damaged when the volumes were opened. Their needles are read elsewhere and repaired. */
  readonly damages: readonly VolumeDamage[]
  close(): Promise<void>
}
