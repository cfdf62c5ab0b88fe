/**
 * One device's needles: append, read verified, remove; the index is rows in the device's overlay and
 * base that a scan of the volumes can always rebuild.
 */
import type { Failure } from "../base/failures.js"
import type { PartitionId, VolumeId } from "../base/ids.js"
import type { Policy } from "../base/policy.js"
import type { NeedleId, NeedleOwner } from "../format/needle.js"
import type { VolumePosition } from "../format/volume.js"

export type { NeedleId, NeedleOwner } from "../format/needle.js"

export interface Needle {
  readonly id: NeedleId
  readonly owner: NeedleOwner
  readonly policy: Policy
  /** Bytes of the block that this is a shard of, before padding. */
  readonly blockLengthBytes: number
  /** MessagePack of the object's name, type and metadata; only on shard 0 of block 0 of an upload or part. */
  readonly birthNote: Uint8Array | undefined
  /** The shard: a multiple of 64 bytes (or the plain bytes of a copy or payload). */
  readonly body: Uint8Array
  /** 8 bytes per sub-block of 64 KiB: XXH64 seeded by the needle id and the sub-block number. */
  readonly checksums: Uint8Array
}

export interface NeedleRange {
  readonly offsetBytes: number
  readonly lengthBytes: number
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

export interface Volumes {
  /**
   * Durable and readable when it resolves; body and checksums must not change until then. The same id
   * may be appended again (its bytes are the same): the later copy is read from then on.
   * Throws `tooManyInFlight`, `deviceFull`, `deviceFailed`, `stopping`.
   */
  append(needle: Needle): Promise<void>
  /**
   * Verified bytes of a range of the needle's body. Throws `noSuchNeedle`, `corruptNeedle`.
   * The result is a buffer of its own, or a view of one from `allocate`.
   */
  read(id: NeedleId, range: NeedleRange, allocate?: Allocate): Promise<Uint8Array>
  has(id: NeedleId): boolean
  /** The row that the needle says it belongs to. Throws `noSuchNeedle`, `corruptNeedle`, `deviceFailed`. */
  ownerOf(id: NeedleId): Promise<NeedleOwner>
  /** Appends tombstones, which share a write with what else is waiting, and forgets the needles; absent ones are no error. */
  remove(ids: readonly NeedleId[]): Promise<void>
  /** All needles of a partition on this device, in index order. */
  idsOfPartition(partition: PartitionId): Iterable<NeedleId>
  /** Bytes used by living and by dead needles, as far as known. */
  usage(): { readonly volumes: number; readonly writtenBytes: number }
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
