/**
 * Debts: what devices owe partitions, and shards that were found damaged, as rows. Pure.
 *
 * A debt's key is `partition (2) + device id (16)`; a damaged shard's goes on with the needle's id (27).
 * A debt that is paid and owed again at the same moment has the same row: whoever drops rows looks once
 * more afterwards.
 */
import { fail } from "../../base/failures.js"
import { parseDeviceId, parsePartitionId, rowKeyOf, type RowKey } from "../../base/ids.js"
import type { KeyRange } from "../../base/key-range.js"
import { PARTITIONS } from "../../base/limits.js"
import type { ShardCopy } from "../../block/index.js"
import { needleIdOfKey, needleKeyOf, NEEDLE_KEY_BYTES } from "../../format/needle.js"
import { PRESENT } from "../../format/records.js"
import { u16Text } from "../../format/row-key.js"
import { command, query } from "../../metadata/index.js"
import { hintRowKey, type MissingShardHint } from "./version-commands-core.js"

const DEBT_KEY_BYTES = 18

export interface HintRow extends MissingShardHint {
  readonly rowKey: RowKey
  /** The shard that is damaged; undefined: some are missing. */
  readonly damaged: ShardCopy | undefined
}

export const ALL_DEBTS: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff\xff\xff") }

export const hintsOfPartition = (partition: number): KeyRange => ({
  start: rowKeyOf(u16Text(partition)),
  // Nothing of two bytes comes behind the last one.
  end: partition + 1 < PARTITIONS ? rowKeyOf(u16Text(partition + 1)) : ALL_DEBTS.end,
})

/** Throws `corruptRow` where the key is none of a debt's. */
export function hintOfKey(rowKey: RowKey): HintRow {
  const isDamage = rowKey.length === DEBT_KEY_BYTES + NEEDLE_KEY_BYTES
  if (!isDamage && rowKey.length !== DEBT_KEY_BYTES)
    throw fail("corruptRow", { family: "debts", lengthBytes: rowKey.length })
  const partition = parsePartitionId((rowKey.charCodeAt(0) << 8) | rowKey.charCodeAt(1))
  const deviceId = parseDeviceId(rowKey.slice(2, DEBT_KEY_BYTES))
  const damaged = isDamage ? { deviceId, id: needleIdOfKey(rowKeyOf(rowKey.slice(DEBT_KEY_BYTES))) } : undefined
  return { rowKey, partition, deviceId, damaged }
}

/** The keys of debts, at most `max`; where to go on if there are more. */
export const hintKeys = query("DebtKeys", (view, range: KeyRange, max: number) => {
  const rowKeys: RowKey[] = []
  for (const [rowKey] of view.range("debts", range)) {
    if (rowKeys.length === max) return { rowKeys, next: rowKey }
    rowKeys.push(rowKey)
  }
  return { rowKeys, next: undefined }
})

/** Notes shards that devices have, damaged: at most `DEBTS_PER_COMMAND`. */
export const noteDamages = command<[copies: readonly ShardCopy[]], void>({
  name: "NoteDamages",
  grows: false,
  decide: (_view, _time, copies) => ({
    writes: copies.map(({ deviceId, id }) => {
      const hint = hintRowKey({ partition: id.partition, deviceId })
      return { family: "debts", key: rowKeyOf(hint + needleKeyOf(id)), value: PRESENT }
    }),
    result: undefined,
  }),
})
