/** Counts of changes: one row for each bucket that counts how often its objects are changed. Pure. */
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { NUMBER, recordOf } from "@hayloft/engine/format/encoding/fields.js"
import { bucketIdOfRowKey, bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import type { ChangedObject, ObjectChangePart } from "@hayloft/objects/door/index.js"
import { requireBucket } from "@hayloft/objects/door/rows.js"

const FAMILY = "featureRows"
const NAME = "sample"

const { encode: encodeCount, decode: decodeCount } = recordOf("count of changes", NUMBER)

const countRowKey = (bucketId: BucketId): RowKey => rowKeyOf(bucketRowKey(bucketId) + NAME)

/** The row goes with its bucket. */
export const countRowOf = (bucketId: BucketId) => [FAMILY, countRowKey(bucketId)] as const

/** The part in the change of an object: it counts with the change, or not at all. */
export function countChange({
  view,
  bucketId,
}: Pick<ChangedObject, "view" | "bucketId">): ObjectChangePart | undefined {
  const key = countRowKey(bucketId)
  // A change that runs together with the first count may be left out: nothing relies on the row being absent.
  if (view.ifPresent(FAMILY, key) === undefined) return undefined
  return {
    finish(rows) {
      const row = rows.read(FAMILY, key)
      if (row !== undefined) rows.put(FAMILY, key, encodeCount(decodeCount(row.value) + 1))
    },
  }
}

/** Begins to count at 0, or ends and forgets the count. Throws `noSuchBucket`. */
export const setCounting = command<[bucketId: BucketId, isOn: boolean], void>({
  name: "SetCountingOfChanges",
  grows: (_, isOn) => isOn,
  touches: bucketId => [countRowOf(bucketId)],
  decide(view, _, bucketId, isOn) {
    requireBucket(view, bucketId)
    const [family, key] = countRowOf(bucketId)
    const isCounting = view.ifPresent(family, key) !== undefined
    if (isCounting === isOn) return { writes: [], result: undefined }
    return { writes: [{ family, key, value: isOn ? encodeCount(0) : undefined }], result: undefined }
  },
})

/** The buckets that count, and the changes in all of them. */
export const allChanges = query("AllChanges", view => {
  const counted = { buckets: 0, changes: 0 }
  for (const [key, { value }] of view.range(FAMILY, ALL_ROWS)) {
    if (key !== countRowKey(bucketIdOfRowKey(key))) continue
    counted.buckets += 1
    counted.changes += decodeCount(value)
  }
  return counted
})

/** Returns undefined if the bucket does not count. */
export const changesOf = query("ChangesOfBucket", (view, bucketId: BucketId): number | undefined => {
  const row = view.get(...countRowOf(bucketId))
  return row && decodeCount(row.value)
})
