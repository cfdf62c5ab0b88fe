/** Commands and queries of changes that are copied elsewhere. */
import { parseBucketId } from "@hayloft/base/ids.js"
import { timestampOfMs } from "@hayloft/base/text/timestamp.js"
import { decodeChange } from "@hayloft/engine/format/objects/change.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { endObjectChange, noteObjectChanges } from "@hayloft/objects/commands/changes-core.js"
import { bucketsWithChanges, readObjectChanges } from "@hayloft/objects/queries/changes-page-core.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

/** Returns a timestamp of another store: earlier or later than what is here, or at the same time. */
export const timestampOf = (scene: Scene) => timestampOfMs(scene.nowMs + scene.pick([-20, -1, 0, 1, 2]))

const changesOf = (scene: Scene) =>
  scene.rows("changes").map(([row, { value }]) => {
    const { bucketId, key } = parseObjectRowKey(row)
    return { ...decodeChange(value), bucketId: parseBucketId(bucketId), key }
  })

export const CHANGE_COMMANDS: readonly PlayKind[] = [
  commandKind("SetSetting", 2, scene => setSetting(scene.bucketId(), "sync", scene.pick(["{}", "{}", undefined]))),
  commandKind("NoteObjectChanges", 2, scene => {
    const { bucketId, key } = scene.object()
    return noteObjectChanges(bucketId, [...new Set([key, scene.key()])])
  }),
  commandKind("EndObjectChange", 4, scene => {
    const changes = changesOf(scene)
    if (changes.length === 0) return undefined
    const { bucketId, key, id, removedAt } = scene.pick(changes)
    const named = scene.oneIn(6) ? scene.pick(changes).id : id
    return endObjectChange({ bucketId, key, id: named }, removedAt !== undefined && scene.oneIn(2))
  }),
]

export const CHANGE_QUERIES: readonly PlayKind[] = [
  queryKind("ReadObjectChanges", scene => {
    const rows = scene.rows("changes").map(([row]) => row)
    return readObjectChanges(
      scene.pick([undefined, ...rows]),
      scene.nowMs + scene.pick([-5, 5]),
      scene.pick([1, 2, 100]),
    )
  }),
  queryKind("BucketsWithChanges", () => bucketsWithChanges()),
]
