/**
 * The history of a bucket with the setting `history`: since when every former state of it can be read. Pure.
 *
 * The object under a key at a moment is the newest version whose order is not later, unless that is a delete marker. This
 * stays true while no version is removed. A removed version was the object from its own order until that of the next one: so
 * the history of its key is complete from the order of the next version on, or from the removal on if no version follows. A delete
 * marker that leaves no object below it hides nothing: without it there is no object at these moments either.
 *
 * Promises  `historySince` is exact: at every commit timestamp from then on the versions show which object was there.
 *           Tags, access control lists, retention and attributes are changed in place: they are no history.
 */
import type { BucketId } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeHistory,
  encodeHistory,
  historyRange,
  historyRowKey,
  historyRowKeys,
  HISTORY_SHARDS,
} from "@hayloft/engine/format/objects/history.js"
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import { bucketRowKey, suffixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import type { ChangedObject, DecisionRows, ObjectChangePart } from "@hayloft/objects/door/index.js"
import { bucketOfRow, orderAfter, requireBucket, type VersionMatch } from "@hayloft/objects/door/rows.js"

export const hasHistory = ({ settings }: Pick<BucketRecord, "settings">): boolean => settings.includes("history")

/** The history of a bucket begins now. */
export const historyBegins = (bucketId: BucketId, commitUs: number): readonly EntryWrite[] =>
  historyRowKeys(bucketId).map(key => ({ family: "history", key, value: encodeHistory(commitUs) }))

/** The rows of a bucket's history. */
export const historyRowsOf = (bucket: Pick<BucketRecord, "id" | "settings">): Touches =>
  hasHistory(bucket) ? historyRowKeys(bucket.id).map(key => ["history", key] as const) : []

/** A version that is removed: it was the latest until then. */
interface Removed {
  readonly order: number
  readonly isMarker: boolean
  readonly untilUs: number
}

/** The change that a decision makes to the history of one key. */
export class HistoryOfKey implements ObjectChangePart {
  private fromUs = 0
  private removals: Removed[] | undefined

  constructor(private readonly change: Pick<ChangedObject, "view" | "time" | "bucketId" | "row">) {}

  /** Until such an order has passed, nothing shows the state of now. */
  reordered(order: number): void {
    this.fromUs = Math.max(this.fromUs, order)
  }

  /** The history is complete from the moment on at which the version was no longer the latest. */
  removed({ head, nextOrder }: VersionMatch, latestOrder: number): void {
    const { view, time, row } = this.change
    const { order, isMarker } = head
    const next = () => nextOrder ?? orderAfter(view, row, order) ?? latestOrder
    this.removals ??= []
    this.removals.push({ order, isMarker, untilUs: order === latestOrder ? time.commitUs : next() })
  }

  finish(rows: DecisionRows): void {
    const { sinceUs } = this
    const { bucketId, row: object } = this.change
    if (sinceUs === 0) return
    const key = historyRowKey(bucketId, object)
    const row = rows.read("history", key)
    // If the row is lost, the bucket has no complete history any more.
    const beforeUs = row ? decodeHistory(row.value) : Infinity
    if (beforeUs < sinceUs) rows.put("history", key, encodeHistory(sinceUs))
  }

  /** The earliest start of the complete history; 0 if the decision does not change it. */
  private get sinceUs(): number {
    const { removals = [] } = this
    let sinceUs = this.fromUs
    for (const { order, isMarker, untilUs } of removals)
      if (untilUs > sinceUs && (!isMarker || this.uncovers(order, removals))) sinceUs = untilUs
    return sinceUs
  }

  /** Returns true if an object that stays is below a delete marker that is removed. */
  private uncovers(order: number, removed: readonly Removed[]): boolean {
    const { view, row } = this.change
    const range = { ...suffixRange(row), start: versionRowKey(row, order - 1), expectedRows: removed.length }
    for (const [, { value }] of view.range("versions", range)) {
      const below = decodeVersionHead(value)
      if (!removed.some(each => each.order === below.order)) return !below.isMarker
    }
    return false
  }
}

function isKept(view: RowView, bucketId: BucketId): boolean {
  const row = view.get("buckets", bucketRowKey(bucketId))
  return row !== undefined && hasHistory(bucketOfRow(row))
}

/**
 * Since when the history of a bucket is complete, as a commit timestamp; undefined: it has none; infinity: rows are lost,
 * until it is switched off and on.
 */
export function historySinceIn(
  view: Pick<RowView, "range">,
  bucket: Pick<BucketRecord, "id" | "settings">,
): number | undefined {
  if (!hasHistory(bucket)) return undefined
  const range = { ...historyRange(bucket.id), expectedRows: HISTORY_SHARDS }
  const since = Array.from(view.range("history", range), ([, { value }]) => decodeHistory(value))
  return since.length < HISTORY_SHARDS ? Infinity : Math.max(...since)
}

/** Throws `noSuchBucket`, `bucketClosing`. */
export const historySince = query("HistorySince", (view, bucketId: BucketId): number | undefined =>
  historySinceIn(view, requireBucket(view, bucketId)),
)

/** Ends all complete histories: the metadata has lost changes. */
export const restartHistory = command<[bucketId: BucketId], void>({
  name: "RestartHistory",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, { commitUs }, bucketId) {
    if (!isKept(view, bucketId)) return { writes: [], result: undefined }
    for (const key of historyRowKeys(bucketId)) view.ifPresent("history", key)
    return { writes: historyBegins(bucketId, commitUs), result: undefined }
  },
})
