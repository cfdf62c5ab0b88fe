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
import { decodeRelease, PRESENT, type ReleaseRecord } from "../../format/records.js"
import { command, type RowView, type Touches } from "../../metadata/index.js"
import { namingsOf, type UploadName } from "../queries/named-extents-core.js"

export type Judgement = "live" | "void"

/** Live, or from now on void: a commit that names it is refused. */
export const judgeUpload = command<[judge: UploadName], Judgement>({
  name: "JudgeUpload",
  grows: false,
  touches: judge => [["voids", uploadRowKey(objectRowKey(judge.bucketId, judge.key), judge.uploadId)]],
  decide(view, _time, judge) {
    const voidKey = uploadRowKey(objectRowKey(judge.bucketId, judge.key), judge.uploadId)
    if (view.get("voids", voidKey)) return { writes: [], result: "void" }
    if (firstOf(namingsOf(view, judge))) return { writes: [], result: "live" }
    return { writes: [{ family: "voids", key: voidKey, value: PRESENT }], result: "void" }
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

export interface Release {
  readonly rowKey: RowKey
  readonly position: number
  readonly record: ReleaseRecord
}

/** Oldest first. */
export function* releasesFrom(view: RowView, range: { start: RowKey; end: RowKey }): Generator<Release> {
  for (const [rowKey, row] of view.range("releases", range)) {
    yield { rowKey, position: positionOfRelease(rowKey), record: decodeRelease(row.value) }
  }
}

function positionOfRelease(rowKey: RowKey): number {
  let position = 0
  for (let i = 0; i < 8; i += 1) position = position * 256 + rowKey.charCodeAt(i)
  return position
}
