/**
 * Commands of the collector: whether bytes may be deleted, and removal of pending deletions. Pure.
 *
 * Absence alone never deletes anything: the ownership of an upload that looks orphaned is resolved at its row, and the
 * decision "aborted" is durable before a byte is deleted, so that a late commit is refused.
 */
import { firstOf } from "../../base/first-of.js"
import type { RowKey } from "../../base/ids.js"
import type { EntryWrite } from "../../format/entry.js"
import type { Extent } from "../../format/extent.js"
import { objectRowKey, uploadRowKey } from "../../format/row-key.js"
import { decodePendingDeletion, PRESENT, type PendingDeletionRecord } from "../../format/records.js"
import { command, type RowView, type Touches } from "../../metadata/index.js"
import { namingsOf, type UploadName } from "../queries/named-extents-core.js"

type Ownership = "live" | "aborted"

/** Live, or aborted from now on: a commit that references an aborted upload is refused. */
export const resolveUpload = command<[resolve: UploadName], Ownership>({
  name: "ResolveUpload",
  grows: false,
  touches: resolve => [["voids", uploadRowKey(objectRowKey(resolve.bucketId, resolve.key), resolve.uploadId)]],
  decide(view, _time, resolve) {
    const abortedUploadKey = uploadRowKey(objectRowKey(resolve.bucketId, resolve.key), resolve.uploadId)
    if (view.get("voids", abortedUploadKey)) return { writes: [], result: "aborted" }
    if (firstOf(namingsOf(view, resolve))) return { writes: [], result: "live" }
    return { writes: [{ family: "voids", key: abortedUploadKey, value: PRESENT }], result: "aborted" }
  },
})

/**
 * The extents that rows reference for an upload. The rows are those of the newest decision, and the result is returned
 * only after it is committed. So the result is never based on a decision that was cut off, such as a swap to other
 * blocks, and that the next start may turn out to have applied. A removal of unreferenced bytes must use this command,
 * not a query.
 */
export const readNamings = command<[name: UploadName], readonly Extent[]>({
  name: "ReadNamings",
  grows: false,
  touches: name => [["current", objectRowKey(name.bucketId, name.key)]],
  decide: (view, _time, name) => ({ writes: [], result: Array.from(namingsOf(view, name), ({ extent }) => extent) }),
})

/** Deletes rows that are no longer needed: completed deletions, expanded parts and segments, expired marks. */
export const dropRows = command<[rows: Touches], void>({
  name: "DropRows",
  grows: false,
  decide: (_view, _time, rows) => ({
    writes: rows.map(([family, key]): EntryWrite => ({ family, key, value: undefined })),
    result: undefined,
  }),
})

export interface PendingDeletion {
  readonly rowKey: RowKey
  readonly position: number
  readonly record: PendingDeletionRecord
}

/** Oldest first. */
export function* pendingDeletionsFrom(
  view: RowView,
  range: { start: RowKey; end: RowKey },
): Generator<PendingDeletion> {
  for (const [rowKey, row] of view.range("releases", range)) {
    yield { rowKey, position: positionOfPendingDeletion(rowKey), record: decodePendingDeletion(row.value) }
  }
}

function positionOfPendingDeletion(rowKey: RowKey): number {
  let position = 0
  for (let i = 0; i < 8; i += 1) position = position * 256 + rowKey.charCodeAt(i)
  return position
}
