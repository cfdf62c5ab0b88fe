/**
 * Commands of the collector: whether bytes may be deleted, and removal of pending deletions. Pure.
 *
 * Absence alone never deletes anything. Bytes that no row references are removed only once no process can commit a row
 * that does: after their own process is over, or by that process after the request's outcome is certain. Commands refuse
 * uploads of other processes.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodePendingDeletion, type PendingDeletionRecord } from "@hayloft/engine/format/records.js"
import { command, type RowView } from "@hayloft/engine/metadata/index.js"
import { namingsOf, type UploadName } from "../queries/named-extents-core.js"
import { intendedExtent, touchesOfUpload } from "./reencode-commands-core.js"

/**
 * The extents that rows reference for an upload, and the one that a re-encoding is writing. The rows are those of the newest decision, and the result is returned
 * only after it is committed. So the result is never based on a decision that was cut off, such as a swap to other
 * blocks, and that the next start may turn out to have applied. A removal of unreferenced bytes must use this command,
 * not a query.
 */
export const readNamings = command<[name: UploadName], readonly Extent[]>({
  name: "ReadNamings",
  grows: false,
  touches: touchesOfUpload,
  decide: (view, _time, name) => {
    const intended = intendedExtent(view, name)
    const named = Array.from(namingsOf(view, name), ({ extent }) => extent)
    return { writes: [], result: intended ? [...named, intended] : named }
  },
})

/** A row as it was read. */
export type RowAsRead = readonly [family: Family, key: RowKey, value: Uint8Array]

/**
 * Deletes rows that are no longer needed: completed deletions, expanded parts and segments, resolved hints. A row that
 * was changed since it was read stays, and one that another process has deleted stays deleted.
 */
export const dropRows = command<[rows: readonly RowAsRead[]], void>({
  name: "DropRows",
  grows: false,
  touches: rows => rows.map(([family, key]) => [family, key]),
  decide: (view, _time, rows) => ({
    writes: rows.flatMap(([family, key, value]): EntryWrite[] => {
      const row = view.ifPresent(family, key)
      return row && equalBytes(row.value, value) ? [{ family, key, value: undefined }] : []
    }),
    result: undefined,
  }),
})

export interface PendingDeletion {
  readonly rowKey: RowKey
  readonly value: Uint8Array
  readonly position: number
  readonly record: PendingDeletionRecord
}

/** Oldest first. */
export function* pendingDeletionsFrom(
  view: RowView,
  range: { start: RowKey; end: RowKey },
): Generator<PendingDeletion> {
  for (const [rowKey, row] of view.range("pendingDeletions", range)) {
    const { value } = row
    yield { rowKey, value, position: positionOfPendingDeletion(rowKey), record: decodePendingDeletion(value) }
  }
}

function positionOfPendingDeletion(rowKey: RowKey): number {
  let position = 0
  for (let i = 0; i < 8; i += 1) position = position * 256 + rowKey.charCodeAt(i)
  return position
}
