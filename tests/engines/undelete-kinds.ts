/** Commands and queries of undelete. */
import { parseBucketId, type RowKey } from "@hayloft/base/ids.js"
import { bucketRowKey, parseObjectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { purgeDeleted, setUndelete, undeleteObject } from "@hayloft/features/undelete/undelete-commands-core.js"
import { deletedRows, dueDeleted, findDeleted, listDeleted } from "@hayloft/features/undelete/deleted-rows-core.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { ALL_ROWS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const rowsOf = (scene: Scene): readonly RowKey[] => scene.rows("deleted").map(([key]) => key)
const DAY_MS = 86_400_000

function ownerOf(rowKey: RowKey) {
  const { bucketId, key } = parseObjectRowKey(rowKey)
  return { bucketId: parseBucketId(bucketId), key }
}

export const UNDELETE_COMMANDS: readonly PlayKind[] = [
  commandKind("SetUndelete", 3, scene =>
    setUndelete({ bucketId: scene.bucketId(), days: scene.pick([1, 3, 3, 365, undefined]) }),
  ),
  commandKind("UndeleteObject", 3, scene => {
    const rows = rowsOf(scene)
    if (rows.length === 0) return undefined
    const rowKey = scene.pick(rows)
    return undeleteObject({ ...ownerOf(rowKey), rowKey, over: scene.oneIn(2) })
  }),
  commandKind("PurgeDeleted", 2, scene => {
    const rows = rowsOf(scene)
    const { bucketId } = scene.pickOr(rows.map(ownerOf), () => ({ bucketId: scene.bucketId() }))
    const some = rows.filter(row => ownerOf(row).bucketId === bucketId && !scene.oneIn(3))
    const dueMs = scene.pick([undefined, scene.nowMs, scene.nowMs + DAY_MS])
    return purgeDeleted({ bucketId, rows: some, ...(dueMs !== undefined && { dueMs }) })
  }),
]

export const UNDELETE_QUERIES: readonly PlayKind[] = [
  queryKind("ListDeleted", scene => {
    const after = Buffer.from(
      scene.pickOr(rowsOf(scene), () => bucketRowKey(scene.bucketId())),
      "latin1",
    )
    return listDeleted(scene.bucketId(), {
      limit: scene.pick([1, 3, 100]),
      prefix: scene.pick(["", "a", "a/"]),
      ...(scene.oneIn(3) && { sinceMs: scene.nowMs - 5 }),
      ...(scene.oneIn(3) && { after: after.toString("hex") }),
    })
  }),
  queryKind("FindDeleted", scene => {
    const [first] = rowsOf(scene)
    if (first === undefined) return undefined
    const { bucketId, key } = ownerOf(first)
    return findDeleted(bucketId, key, scene.pick([undefined, scene.nowMs - 3]), scene.pick([undefined, first]))
  }),
  queryKind("DeletedRows", scene =>
    deletedRows(scene.pick([ALL_ROWS, suffixRange(bucketRowKey(scene.bucketId()))]), scene.pick([1, 100])),
  ),
  queryKind("DueDeleted", scene => dueDeleted(ALL_OBJECT_ROWS.start, scene.nowMs + 2 * DAY_MS, scene.pick([2, 100]))),
]
