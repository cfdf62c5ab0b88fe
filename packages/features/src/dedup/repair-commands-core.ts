/** Commands by which deduplication is repaired: each changes a row only if it is as it was compared. Pure. */
import { equalBytes } from "@hayloft/base/bytes.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import {
  changedReferences,
  decodeReferences,
  encodeReferences,
} from "@hayloft/engine/format/objects/references-record.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { deletionOfSegments } from "@hayloft/objects/door/rows.js"

interface SetCount {
  readonly rowKey: RowKey
  /** The row while its references were counted; undefined if there was none. */
  readonly value: Uint8Array | undefined
  readonly count: number
  /** The storage class of a new row. */
  readonly storageClass: StorageClass
}

/**
 * Sets the number of references. Returns false, and does nothing, if the row has changed since they were counted. Released
 * segments that nothing references become a pending deletion.
 */
export const setReferences = command<[bucketId: BucketId, set: SetCount], boolean>({
  name: "SetReferences",
  touches: (_bucketId, { rowKey }) => [["references", rowKey]],
  decide(view, time, bucketId, { rowKey, value, count, storageClass }) {
    const row = value === undefined ? view.get("references", rowKey) : view.ifPresent("references", rowKey)
    const isSame = value === undefined ? row === undefined : row !== undefined && equalBytes(row.value, value)
    if (!isSame) return { writes: [], result: false }
    const before = value === undefined ? { count: 0, isReleased: false, storageClass } : decodeReferences(value)
    const isOver = before.isReleased && count === 0
    const kept = encodeReferences(changedReferences(before, { count, isReleased: before.isReleased && !isOver }))
    const { key, suffix } = parseObjectRowKey(rowKey)
    const name = { key, multipartId: multipartIdOfSuffix(suffix) }
    const release = isOver ? [deletionOfSegments(time, bucketId, name)] : []
    return { writes: [{ family: "references", key: rowKey, value: kept }, ...release], result: true }
  },
})
