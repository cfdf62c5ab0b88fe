/** The commands and queries of lifecycle, with random rules, times and slices. */
import { decodeLifecyclePass, ALL_UPLOADS } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { NOTES_OF_LATE_WRITES, NOTES_OF_MOVES } from "@hayloft/engine/format/objects/reencode-notes.js"
import { encodeLifecycleRules, type LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { bucketIdOfRowKey, objectRowKey } from "@hayloft/engine/format/row-key.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import { expireLatest, expireNoncurrent, expireUpload } from "@hayloft/features/lifecycle/expire-commands-core.js"
import { forgetNotes, noteLateWrites, reencodeNotes } from "@hayloft/objects/commands/reencode-notes-core.js"
import { setStorageClass } from "@hayloft/features/lifecycle/move-commands-core.js"
import {
  endSlice,
  lifecyclePasses,
  noteExpiring,
  rowsOfPass,
  takeOverSlice,
  takeSlice,
} from "@hayloft/features/lifecycle/pass-core.js"
import { explainKey, previewUploads, previewVersions } from "@hayloft/features/lifecycle/inspection.js"
import { dueUploads, dueVersions } from "@hayloft/features/lifecycle/walk-core.js"
import { NOTHING_REMOVED } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { frozenOf } from "./multipart-kinds.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const DAY_MS = 86_400_000

/** Mostly later than all versions; the same on every engine, whose clocks differ by some seconds. */
const timeOf = (scene: Scene) => ({
  nowMs: Math.floor(scene.nowMs / DAY_MS) * DAY_MS + DAY_MS / 2 + scene.pick([-DAY_MS, 0, 2 * DAY_MS, 30 * DAY_MS]),
  dayMs: scene.pick([DAY_MS, DAY_MS, 1000]),
  archives: scene.pick([[], ["GLACIER" as const]]),
})
const uploadTimeOf = (scene: Scene) => ({ ...timeOf(scene), abandonedDays: scene.pick([0, 1, 7]) })

const FILTERS: readonly LifecycleRule["filter"][] = [
  { form: "filter" },
  { form: "filter" },
  { form: "prefix", prefix: "a/" },
  { form: "filter", tags: [["a", "b"]] },
  { form: "and", sizeAbove: 0, sizeBelow: 4096 },
  { form: "filter", sizeBelow: 1_000_000 },
]
const ACTIONS: readonly Partial<LifecycleRule>[] = [
  { expiration: { days: 1 } },
  { expiration: { dateMs: DAY_MS } },
  { expiration: { expiredMarkers: true } },
  { noncurrent: { days: 1 } },
  { noncurrent: { days: 1, newerKept: 1 } },
  { abortDays: 1 },
  { transitions: [{ storageClass: "STANDARD_IA", days: 1 }] },
  { transitions: [{ storageClass: "GLACIER", dateMs: DAY_MS }] },
  { noncurrentTransitions: [{ storageClass: "GLACIER_IR", days: 0, newerKept: 1 }] },
]

const ruleOf = (scene: Scene, number: number): LifecycleRule => ({
  id: `rule ${number}`,
  isEnabled: !scene.oneIn(8),
  filter: scene.pick(FILTERS),
  ...scene.pick(ACTIONS),
})

const boundsOf = (scene: Scene, { start, end }: ReturnType<typeof rowsOfPass>) => ({
  start: scene.oneIn(2)
    ? start
    : scene.pickOr(
        scene.allVersions().map(({ rowKey }) => rowKey),
        () => start,
      ),
  end,
  rowsMax: scene.pick([1, 3, 100]),
  dueMax: scene.pick([1, 2, 100]),
})

/** A pass as it is, if there is one. */
function passOf(scene: Scene) {
  const rows = scene.rows("lifecycle").filter(([key]) => key < NOTES_OF_MOVES.start)
  const passes = rows.map(([key, { value }]) => ({
    bucketId: bucketIdOfRowKey(key),
    pass: decodeLifecyclePass(value),
  }))
  return passes.length === 0 ? undefined : scene.pick(passes)
}

const sliceOf = (scene: Scene) => {
  const found = passOf(scene)
  if (found === undefined || found.pass.taken.length === 0) return undefined
  return { bucketId: found.bucketId, start: scene.pick(found.pass.taken).start }
}

export const LIFECYCLE_COMMANDS: readonly PlayKind[] = [
  commandKind("SetSetting", 2, scene => {
    const rules = [0, 1, 2].slice(0, scene.pick([1, 3])).map(number => ruleOf(scene, number))
    const document = encodeLifecycleRules({ transitionMinimum: "varies_by_storage_class", rules })
    return setSetting(scene.bucketId(), "lifecycle", scene.oneIn(10) ? undefined : document)
  }),
  commandKind("ExpireLatest", 3, scene => {
    const { bucketId, key } = scene.object()
    return expireLatest({ bucketId, key, random: scene.random.bytes(8) }, timeOf(scene))
  }),
  commandKind("ExpireNoncurrent", 3, scene => {
    const { bucketId, key } = scene.object()
    const older = scene.versions({ bucketId, key }).filter(({ family }) => family === "versions")
    const from = scene.pickOr(
      older.map(({ rowKey }) => rowKey),
      () => objectRowKey(bucketId, key),
    )
    return expireNoncurrent({ bucketId, key, from }, timeOf(scene))
  }),
  commandKind("SetStorageClass", 3, scene => {
    const { bucketId, key } = scene.object()
    const versionId = scene.versionId({ bucketId, key })
    return setStorageClass({ bucketId, key, versionId }, timeOf(scene))
  }),
  commandKind("NoteExpiring", 1, scene => noteExpiring(scene.bucketId())),
  commandKind("NoteLateWrites", 1, () => noteLateWrites()),
  commandKind("ForgetNotes", 1, scene => {
    const notes = scene
      .rows("lifecycle")
      .filter(([key]) => key >= NOTES_OF_MOVES.start && key < NOTES_OF_LATE_WRITES.end)
    return forgetNotes(notes.map(([key]) => key))
  }),
  commandKind("ExpireUpload", 2, scene => {
    const address = scene.uploadAddress()
    return expireUpload(address, uploadTimeOf(scene), scene.oneIn(3) ? frozenOf(scene, address) : undefined)
  }),
  commandKind("TakeSlice", 2, scene => {
    const known = passOf(scene)
    const bucketId = known?.bucketId ?? scene.pick([ALL_UPLOADS, scene.bucketId()])
    const { start: first } = rowsOfPass(bucketId)
    const start = scene.pick([known?.pass.next ?? first, first])
    const end = scene.oneIn(2)
      ? undefined
      : scene.pickOr(
          scene.allVersions().map(({ rowKey }) => rowKey),
          () => first,
        )
    return takeSlice({ bucketId, time: timeOf(scene), isTaken: scene.oneIn(2), start, end })
  }),
  commandKind("TakeOverSlice", 1, scene => {
    const slice = sliceOf(scene)
    return slice && takeOverSlice(slice)
  }),
  commandKind("EndSlice", 2, scene => {
    const slice = sliceOf(scene)
    return slice && endSlice({ ...slice, nowMs: scene.nowMs, removed: { ...NOTHING_REMOVED, versions: 1 } })
  }),
]

export const LIFECYCLE_QUERIES: readonly PlayKind[] = [
  queryKind("DueVersions", scene => {
    const bucketId = scene.bucketId()
    return dueVersions(bucketId, boundsOf(scene, rowsOfPass(bucketId)), timeOf(scene))
  }),
  queryKind("DueUploads", scene => dueUploads(boundsOf(scene, rowsOfPass(ALL_UPLOADS)), uploadTimeOf(scene))),
  queryKind("ExplainKey", scene => {
    const { bucketId, key } = scene.object()
    return explainKey(bucketId, key, scene.pick(["never", "enabled"]), timeOf(scene))
  }),
  queryKind("PreviewVersions", scene => {
    const bucketId = scene.bucketId()
    return previewVersions(bucketId, "enabled", boundsOf(scene, rowsOfPass(bucketId)), timeOf(scene), undefined)
  }),
  queryKind("PreviewUploads", scene => {
    const bucketId = scene.bucketId()
    return previewUploads(bucketId, boundsOf(scene, rowsOfPass(bucketId)), uploadTimeOf(scene), undefined)
  }),
  queryKind("LifecyclePasses", () => lifecyclePasses()),
  queryKind("ReencodeNotes", () => reencodeNotes()),
]
