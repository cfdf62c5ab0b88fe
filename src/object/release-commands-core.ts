/**
 * Commands of the collector: which bytes may go, and taking entries off the release list. Pure.
 *
 * The collector never decides by absence: an upload that looks orphaned is judged at its row, and a
 * judgement of "void" is durable before a byte is deleted, so that a late commit is refused.
 */
import { firstOf } from "../base/first-of.js"
import type { RowKey } from "../base/ids.js"
import type { Family } from "../base/families.js"
import type { EntryWrite } from "../format/entry.js"
import type { Extent } from "../format/extent.js"
import { objectRowKey, uploadRowKey } from "../format/row-key.js"
import { decodeRelease, PRESENT, type ReleaseRecord } from "../format/records.js"
import type { Command, TabletView } from "../tablet/index.js"
import { namingsOf, type UploadName } from "./named-extents-core.js"

export type Judgement = "live" | "void"

/** Live, or from now on void: a commit that names it is refused. */
export function judgeUpload(judge: UploadName): Command<Judgement> {
  const voidKey = uploadRowKey(objectRowKey(judge.bucketId, judge.key), judge.uploadId)
  return {
    name: "JudgeUpload",
    grows: false,
    touches: [["voids", voidKey]],
    decide(view) {
      if (view.get("voids", voidKey)) return { writes: [], result: "void" }
      if (firstOf(namingsOf(view, judge))) return { writes: [], result: "live" }
      return { writes: [{ family: "voids", key: voidKey, value: PRESENT }], result: "void" }
    },
  }
}

/**
 * What `ask` makes of the extents that rows have for an upload. The rows are those of the newest decision,
 * and the answer comes once that is committed: never while it is unknown whether one that was cut off, such
 * as a swap to other blocks, will turn out to be in force at the next start. What is to be removed because
 * no row names it is asked about in this way.
 */
export function askNamings<Answer>(name: UploadName, ask: (extents: readonly Extent[]) => Answer): Command<Answer> {
  return {
    name: "AskNamings",
    grows: false,
    touches: [["current", objectRowKey(name.bucketId, name.key)]],
    decide: view => ({ writes: [], result: ask(Array.from(namingsOf(view, name), ({ extent }) => extent)) }),
  }
}

/** Deletes rows that have served: releases carried out, parts and segments expanded, marks outlived. */
export function dropRows(rows: readonly (readonly [Family, RowKey])[]): Command<void> {
  return {
    name: "DropRows",
    grows: false,
    touches: [],
    decide: () => ({
      writes: rows.map(([family, key]): EntryWrite => ({ family, key, value: undefined })),
      result: undefined,
    }),
  }
}

export interface Release {
  readonly rowKey: RowKey
  readonly position: number
  readonly record: ReleaseRecord
}

/** The oldest releases, at most `max`. */
export function* oldestReleases(view: TabletView, range: { start: RowKey; end: RowKey }): Generator<Release> {
  for (const [rowKey, row] of view.range("releases", range)) {
    yield { rowKey, position: positionOfRelease(rowKey), record: decodeRelease(row.value) }
  }
}

function positionOfRelease(rowKey: RowKey): number {
  let position = 0
  for (let i = 0; i < 8; i += 1) position = position * 256 + rowKey.charCodeAt(i)
  return position
}
