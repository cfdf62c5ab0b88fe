/**
 * Missing-shard hints: devices that lack shards of partitions, and shards that were found damaged, as rows. Pure.
 *
 * A hint's key is `partition (2) + device id (16)`; the key of a damaged shard continues with the needle's id (27).
 * A hint's value names the decision that recorded it last. A hint is dropped with the value that was read: one that was
 * recorded again meanwhile stays.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId, parsePartitionId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import type { ShardCopy } from "@hayloft/engine/block/index.js"
import { needleIdOfKey, needleKeyOf, NEEDLE_KEY_BYTES } from "@hayloft/engine/format/needles/needle.js"
import { u16Text } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { hintWrite } from "./hint-write-core.js"
import { hintRowKey, type MissingShardHint } from "./version-commands-core.js"

const HINT_KEY_BYTES = 18

interface HintName extends MissingShardHint {
  readonly rowKey: RowKey
  /** The damaged shard; undefined: some shards are missing. */
  readonly damaged: ShardCopy | undefined
}

export interface HintRow extends HintName {
  readonly value: Uint8Array
}

export const ALL_HINTS: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff\xff\xff") }

export const hintsOfPartition = (partition: number): KeyRange => ({
  start: rowKeyOf(u16Text(partition)),
  // No two-byte prefix follows the last one.
  end: partition + 1 < PARTITIONS ? rowKeyOf(u16Text(partition + 1)) : ALL_HINTS.end,
})

/** Throws `corruptRow` if the key is not the key of a hint. */
export function hintOfKey(rowKey: RowKey): HintName {
  const isDamage = rowKey.length === HINT_KEY_BYTES + NEEDLE_KEY_BYTES
  if (!isDamage && rowKey.length !== HINT_KEY_BYTES)
    throw fail("corruptRow", { family: "missingShardHints", lengthBytes: rowKey.length })
  const partition = parsePartitionId((rowKey.charCodeAt(0) << 8) | rowKey.charCodeAt(1))
  const deviceId = parseDeviceId(rowKey.slice(2, HINT_KEY_BYTES))
  const damaged = isDamage ? { deviceId, id: needleIdOfKey(rowKeyOf(rowKey.slice(HINT_KEY_BYTES))) } : undefined
  return { rowKey, partition, deviceId, damaged }
}

/** At most `max` hints; `next` is set if there are more. */
export const readHints = query("ReadHints", (view, range: KeyRange, max: number) => {
  const hints: HintRow[] = []
  for (const [rowKey, { value }] of view.range("missingShardHints", range)) {
    if (hints.length === max) return { hints, next: rowKey }
    hints.push({ ...hintOfKey(rowKey), value })
  }
  return { hints, next: undefined }
})

/** Records damaged shards on devices. The caller limits their number. */
export const noteDamages = command<[copies: readonly ShardCopy[]], void>({
  name: "NoteDamages",
  grows: false,
  touches: copies => copies.map(copy => ["missingShardHints", damageRowKey(copy)]),
  decide: (view, time, copies) => ({
    writes: copies.map(copy => hintWrite(view, time, damageRowKey(copy))),
    result: undefined,
  }),
})

const damageRowKey = ({ deviceId, id }: ShardCopy): RowKey =>
  rowKeyOf(hintRowKey({ partition: id.partition, deviceId }) + needleKeyOf(id))
