/** A block as a shard scan (`shard-scan.ts`) reports it. Pure. */
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { NEEDLE_KEY_BYTES, type NeedleId } from "../format/needles/needle.js"
import type { ShardShape } from "../volume/contract.js"

/** One copy of one shard. */
export interface HeldShard {
  readonly slot: number
  readonly deviceId: DeviceId
  readonly bodyBytes: number
}

/** All shards of one block in one generation on all devices, whether or not any row references it. */
export interface BlockGroup extends Omit<NeedleId, "slot"> {
  /** The shape is undefined if no index contains it; a needle's header does. */
  readonly shape: ShardShape | undefined
  /** In slot order; a slot may occur several times, on different devices. */
  readonly shards: readonly HeldShard[]
  /** Damaged copies: they count as missing, and are removed from devices that should not have them. */
  readonly damaged: readonly HeldShard[]
}

export interface ShardScanPage {
  readonly groups: readonly BlockGroup[]
  /** The place to continue at; undefined at the end. */
  readonly next: RowKey | undefined
}

export const needleIdOf = ({ partition, uploadId, part, block, generation }: BlockGroup, slot: number): NeedleId => {
  return { partition, uploadId, part, block, generation, slot }
}

/** The whole index. */
export const ALL_NEEDLES: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(NEEDLE_KEY_BYTES + 1)) }
