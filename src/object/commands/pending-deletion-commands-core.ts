/**
 * Commands of the collector: which bytes may go, and taking entries off the release list. Pure.
 *
 * The collector never decides by absence: an upload that looks orphaned is judged at its row, and a
 * judgement of "void" is durable before a byte is deleted, so that a late commit is refused.
 */
import { firstOf } from "../../base/first-of.js"
import type { RowKey } from "../../base/ids.js"
import type { EntryWrite } from "../../format/entry.js"
import type { Extent } from "../../format/extent.js"
import { objectRowKey, uploadRowKey } from "../../format/row-key.js"
import { decodePendingDeletion, PRESENT, type PendingDeletionRecord } from "../../format/records.js"
import { command, type RowView, type Touches } from "../../metadata/index.js"
import { namingsOf, type UploadName } from "../queries/named-extents-core.js"

export type Ownership = "live" | "void"

/** Live, or from now on void: a commit that names it is refused. */
export const resolveUpload = command<[resolve: UploadName], Ownership>({
  name: "JudgeUpload",
  grows: false,
  touches: resolve => [["voids", uploadRowKey(objectRowKey(resolve.bucketId, resolve.key), resolve.uploadId)]],
  decide(view, _time, resolve) {
    const abortedUploadKey = uploadRowKey(objectRowKey(resolve.bucketId, resolve.key), resolve.uploadId)
    if (view.get("voids", abortedUploadKey)) return { writes: [], result: "void" }
    if (firstOf(namingsOf(view, resolve))) return { writes: [], result: "live" }
    return { writes: [{ family: "voids", key: abortedUploadKey, value: PRESENT }], result: "void" }
  },
})

/**
 * The extents that rows have for an upload. The rows are those of the newest decision, and the answer comes once that
 * is committed: never while it is unknown whether one that was cut off, such as a swap to other blocks, will turn out
 * to be in force at the next start. What is to be removed because no row names it is looked up in this way, not by a
 * query.
 */
export const readNamings = command<[name: UploadName], readonly Extent[]>({
  name: "ReadNamings",
  grows: false,
  touches: name => [["current", objectRowKey(name.bucketId, name.key)]],
  decide: (view, _time, name) => ({ writes: [], result: Array.from(namingsOf(view, name), ({ extent }) => extent) }),
})

/** Deletes rows that have served: releases carried out, parts and segments expanded, marks outlived. */
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
