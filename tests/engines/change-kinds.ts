/** Commands and queries of changes that are copied elsewhere. */
import { parseBucketId } from "../../src/base/ids.js"
import { timestampOfMs } from "../../src/base/timestamp.js"
import { decodeChange } from "../../src/format/change.js"
import { parseObjectRowKey } from "../../src/format/row-key.js"
import { setSetting } from "../../src/object/commands/bucket-commands-core.js"
import { endObjectChange, noteObjectChanges } from "../../src/object/commands/changes-core.js"
import { bucketsWithChanges, readObjectChanges } from "../../src/object/queries/changes-page-core.js"
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
