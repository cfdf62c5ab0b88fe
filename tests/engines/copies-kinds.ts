/** Commands and queries of buckets whose changes are copied to another store. */
import { parseBucketId, type BucketId } from "@hayloft/base/ids.js"
import {
  COPY_START,
  copyStateRowKey,
  decodeCopyState,
  parseCopyLogRowKey,
  type CopyPosition,
  type CopyState,
} from "@hayloft/engine/format/objects/copies.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import {
  beginningOfCopies,
  changeCopies,
  countCopyLog,
  dropCopies,
  findLeftCopies,
  pauseCopies,
  readCopyLog,
  readCopyState,
  readParkedCopies,
  readPassedCopies,
  restartCopies,
} from "@hayloft/features/copies/copy-log-core.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const positions = (scene: Scene): readonly (CopyPosition & { readonly bucketId: BucketId })[] =>
  scene.rows("copyLog").map(([row]) => parseCopyLogRowKey(row))

const positionOf = (scene: Scene, bucketId: BucketId): CopyPosition => {
  const found = positions(scene).filter(each => each.bucketId === bucketId)
  if (found.length === 0 || scene.oneIn(4)) return COPY_START
  const { us, key } = scene.pick(found)
  return { us, key }
}

const stateOf = (scene: Scene, bucketId: BucketId): CopyState | undefined => {
  const row = scene.rows("copyState").find(([key]) => key === copyStateRowKey(bucketId))
  return row && decodeCopyState(row[1].value)
}

const isPast = (token: CopyPosition, { us, key }: CopyPosition): boolean =>
  us < token.us || (us === token.us && key <= token.key)

function changeOf(scene: Scene) {
  const bucketId = scene.bucketId()
  const state = stateOf(scene, bucketId)
  const { revision, ...before } = state ?? { ...beginningOfCopies("0123456789abcdef", scene.nowMs), revision: 0 }
  const found = positionOf(scene, bucketId)
  const token = isPast(found, before.token) ? found : before.token
  const done = positions(scene)
    .filter(each => each.bucketId === bucketId && isPast(token, each))
    .map(({ us, key }) => ({ us, key }))
  const parked = {
    reason: "no",
    attempts: 1,
    sinceMs: scene.nowMs,
    nextMs: scene.nowMs + 1,
    sizeBytes: 3,
    isFinal: false,
  }
  const { key } = scene.object()
  return changeCopies(bucketId, {
    revision: scene.oneIn(6) ? revision + 1 : revision,
    state: { ...before, token, phase: scene.pick(["filling", "following"]) },
    done,
    parked: scene.oneIn(2) ? [] : [[key, scene.oneIn(2) ? parked : undefined]],
  })
}

export const COPIES_COMMANDS: readonly PlayKind[] = [
  commandKind("SetSetting", 2, scene => setSetting(scene.bucketId(), "copies", scene.oneIn(5) ? undefined : "{}")),
  commandKind("ChangeCopies", 3, changeOf),
  commandKind("RestartCopies", 1, scene => restartCopies(scene.bucketId(), scene.nowMs % 2 === 0)),
  commandKind("PauseCopies", 1, scene => pauseCopies(scene.bucketId(), scene.oneIn(2))),
  commandKind("DropCopies", 1, scene => dropCopies(scene.bucketId())),
]

const LATER_US = Number.MAX_SAFE_INTEGER - 1

export const COPIES_QUERIES: readonly PlayKind[] = [
  queryKind("ReadCopyLog", scene => {
    const bucketId = scene.bucketId()
    return readCopyLog(bucketId, positionOf(scene, bucketId), LATER_US, scene.pick([1, 3, 100]))
  }),
  queryKind("CountCopyLog", scene => {
    const bucketId = scene.bucketId()
    return countCopyLog(bucketId, positionOf(scene, bucketId), LATER_US, scene.pick([1, 3, 100]))
  }),
  queryKind("ReadCopyState", scene => readCopyState(scene.bucketId())),
  queryKind("ReadParkedCopies", scene => readParkedCopies(scene.bucketId(), "", scene.pick([1, 100]))),
  queryKind("ReadPassedCopies", scene => {
    const bucketId = scene.bucketId()
    return readPassedCopies(bucketId, positionOf(scene, bucketId))
  }),
  queryKind("FindLeftCopies", () => findLeftCopies(parseBucketId(0))),
]
