/**
 * Blocks: a byte stream becomes blocks, shards, and needles on devices, and back. No names here.
 */
import type { DeviceId, PartitionId, UploadId } from "../base/ids.js"
import type { PieceOwner } from "../base/pieces.js"
import type { Policy } from "../base/policy.js"
import type { Extent } from "../format/extent.js"
import type { Digests, LanePlan } from "../seams/compute/contract.js"
import type { NeedleId, NeedleOwner, Volumes } from "../volume/contract.js"

export type { PieceOwner }

/** One device as the block layer sees it. */
export interface ShardDevice {
  readonly id: DeviceId
  readonly volumes: Volumes
  /** False while the device takes no new needles (suspect, full, missing). */
  readonly isWritable: boolean
}

/** This device owes shards of this partition. */
export interface ShardDebt {
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
  readonly plan: LanePlan
  /** Its pieces are copied before the next one is asked for. */
  readonly source: AsyncIterable<Uint8Array>
  /** More than this throws `entityTooLarge`. */
  readonly lengthBytesMax: number
  /** A body up to this length is handed back instead of written. */
  readonly inlineBytesMax: number
  /** What the first shard of the first block says about its owner. */
  readonly birthNote: Uint8Array | undefined
  readonly signal: AbortSignal
}

export interface WrittenBody {
  readonly lengthBytes: number
  readonly digests: Digests
  readonly content:
    { readonly kind: "inline"; readonly bytes: Uint8Array } | { readonly kind: "extent"; readonly extent: Extent }
  readonly debts: readonly ShardDebt[]
}

/** Needles of one upload in one partition, wherever they lie. */
export interface HeldUpload {
  readonly uploadId: UploadId
  readonly needles: readonly (readonly [DeviceId, NeedleId])[]
}

export interface Blocks {
  /**
   * Writes a body; every shard that the acknowledgement rule asks for is durable when it resolves.
   * Throws what the source throws, `entityTooLarge`, `deviceFull`, `deviceFailed`. After a failure
   * what was written is removed; what cannot be removed is left to the judge of orphans.
   */
  write(request: WriteRequest): Promise<WrittenBody>
  /**
   * Verified bytes of a range. Throws `notEnoughShards` where too few intact shards are left. Pieces
   * are buffers of their own, or lent ones: those are good until the next piece is asked for.
   */
  read(
    extent: Extent,
    range: { offsetBytes: number; lengthBytes: number },
    signal: AbortSignal,
    pieces?: PieceOwner,
  ): AsyncIterable<Uint8Array>
  /** Removes all needles of an extent. */
  remove(extent: Extent): Promise<void>
  /** The uploads that devices hold needles of in a partition, named by a row or not. */
  heldIn(partition: PartitionId): readonly HeldUpload[]
  /** The row that an upload's needles name. Throws `corruptNeedle` where none of them can be read. */
  ownerOf(held: HeldUpload): Promise<NeedleOwner>
  /** Removes just these needles. */
  removeHeld(held: HeldUpload): Promise<void>
}
