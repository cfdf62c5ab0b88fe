/**
 * Commands of packing: objects reference their bytes in a pack from now on; how far the job is in a bucket. Pure. See
 * decision 91.
 *
 * A pack is segments that no version has, "released" from the beginning: they are referenced by the objects that were packed,
 * and deleted with the last reference, like those of an object that is gone (decision 82).
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, MultipartId, ObjectKey, RowKey, UploadId } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import {
  decodePackingPass,
  decodePackingSetting,
  encodePackingPass,
  packingRowKey,
  type PackedCounts,
  type PackingPass,
  type PackingSetting,
} from "@hayloft/engine/format/objects/packing-rows.js"
import { decodeSetting, encodeSegment } from "@hayloft/engine/format/records.js"
import { encodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import {
  bucketRowKey,
  objectRowKey,
  offsetRowKey,
  settingRowKey,
  versionRowKey,
} from "@hayloft/engine/format/row-key.js"
import { decodeVersion, decodeVersionHead, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type CommandView, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  segmentPart,
  allBuckets,
  checkOwnUpload,
  decideEach,
  hintRowKey,
  type MissingShardHint,
  pendingDeletionOf,
  referencesRowKey,
  requireBucket,
  RowEditor,
  segmentsOf,
  type VersionMatch,
} from "@hayloft/objects/door/rows.js"

export const PACK_LIMITS = {
  /** A command may touch 1,024 rows, and each object has up to five. */
  objectsMax: 128,
  /** Fewer objects are left as they are, until there are more. */
  objectsMin: 16,
} as const

/** The place where the bytes of an object were when they were read. */
export type BytesBefore =
  | { readonly kind: "inline" }
  | { readonly kind: "extent"; readonly uploadId: UploadId }
  | { readonly kind: "segments"; readonly multipartId: MultipartId }

/** A version that was read, and where its bytes are in the pack. */
export interface PackedObject {
  readonly key: ObjectKey
  readonly order: number
  readonly random: Uint8Array
  readonly before: BytesBefore
  /** The id of its new segments. */
  readonly multipartId: MultipartId
  readonly offsetBytes: number
  readonly lengthBytes: number
}

interface PackVersions {
  readonly bucketId: BucketId
  /** The key that the needles of the pack have: of one of the objects. */
  readonly key: ObjectKey
  /** The id of the pack's segments. */
  readonly multipartId: MultipartId
  readonly storageClass: StorageClass
  readonly extent: Extent
  readonly objects: readonly PackedObject[]
  readonly hints: readonly MissingShardHint[]
}

/** Returns true if the bytes of a version are those that were read: some only grow, and with them the order. */
function hasBytes({ head, content }: VersionRecord, { order, random, before }: PackedObject): boolean {
  if (head.order !== order || !equalBytes(head.random, random)) return false
  if (content.kind === "extent") return before.kind === "extent" && content.extent.uploadId === before.uploadId
  if (content.kind === "segments") return before.kind === "segments" && content.multipartId === before.multipartId
  return content.kind === before.kind
}

/**
 * Makes a pack, and the versions that are as they were read reference their bytes in it; what they had becomes pending
 * deletions. Clients see no change. Returns the number of versions and their bytes. Throws `conflict` if the one whose key the
 * pack has is another one by now.
 */
export const packVersions = command<[pack: PackVersions], PackedCounts>({
  name: "PackVersions",
  touches: ({ bucketId, objects }) => [
    ["buckets", bucketRowKey(bucketId)],
    ...objects.map(({ key }) => ["current", objectRowKey(bucketId, key)] as const),
  ],
  decide(view, time, pack) {
    const { bucketId, key, multipartId, storageClass, extent, hints } = pack
    checkOwnUpload(time, extent.uploadId)
    if (!requireBucket(view, bucketId).settings.includes("packing")) throw fail("conflict")
    const found = decideEach(pack.objects, object => findPackable(view, pack, object)).flatMap(each => each ?? [])
    // New segments are guarded by the row of their key, which the decision writes.
    if (!found.some(({ object }) => object.key === key))
      throw fail("conflict", { message: "the object whose key the pack has was changed" })
    const editor = editAll(view, time, pack, found)
    editor.record(hints.map(hintRowKey))
    // Objects that have changed meanwhile have their places in it: it may have little left from the beginning.
    const facts = { objects: pack.objects.length, bytes: bytesOf(pack.objects) }
    const references = { count: found.length, isReleased: true, storageClass, pack: facts }
    const name = { key, multipartId }
    const segment = { offsetBytes: 0, parts: [segmentPart(extent, time.nowMs)] }
    const finished = editor.finish()
    const made: EntryWrite[] = [
      { family: "references", key: referencesRowKey(bucketId, name), value: encodeReferences(references) },
      {
        family: "segments",
        key: offsetRowKey(objectRowKey(bucketId, key), multipartId, 0),
        value: encodeSegment(segment),
      },
    ]
    const result = { packs: 1, objects: found.length, bytes: bytesOf(found.map(({ object }) => object)) }
    return { ...finished, writes: [...finished.writes, ...made], result }
  },
})

const bytesOf = (objects: readonly PackedObject[]): number =>
  objects.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)

interface FoundObject {
  readonly object: PackedObject
  readonly version: VersionMatch
}

function findPackable(
  view: CommandView,
  { bucketId, storageClass }: PackVersions,
  object: PackedObject,
): FoundObject | undefined {
  const version = findByOrder(view, objectRowKey(bucketId, object.key), object.order)
  const record = version && decodeVersion(version.row.value)
  if (version === undefined || record === undefined || !hasBytes(record, object)) return undefined
  const { head, sealing } = record
  if (head.isShared || sealing !== undefined || head.storageClass !== storageClass) return undefined
  return { object, version }
}

/** The current version or an older one. Nothing relies on the absence of either: what is not found is left out. */
function findByOrder(view: CommandView, row: RowKey, order: number): VersionMatch | undefined {
  const current = view.ifPresent("current", row)
  const head = current && decodeVersionHead(current.value)
  if (current !== undefined && head?.order === order) return { head, family: "current", rowKey: row, row: current }
  const rowKey = versionRowKey(row, order)
  const older = view.ifPresent("versions", rowKey)
  return older && { head: decodeVersionHead(older.value), family: "versions", rowKey, row: older }
}

/** Returns the last of the editors, which finishes all of them. */
function editAll(
  view: CommandView,
  time: DecisionTime,
  { bucketId, key, multipartId }: PackVersions,
  found: readonly FoundObject[],
): RowEditor {
  const ofKeys = new Map<ObjectKey, FoundObject[]>()
  for (const each of found) {
    const same = ofKeys.get(each.object.key)
    if (same === undefined) ofKeys.set(each.object.key, [each])
    else same.push(each)
  }
  let last: RowEditor | undefined
  for (const [ofKey, versions] of ofKeys) {
    const editor = new RowEditor(view, time, bucketId, ofKey, 0, last)
    last = editor
    for (const { object, version } of versions) {
      const { offsetBytes, lengthBytes } = object
      const source = { key, multipartId, uploadedParts: 0, offsetBytes, lengthBytes }
      const rowKey = offsetRowKey(editor.row, object.multipartId, 0)
      editor.put("segments", rowKey, encodeSegment({ offsetBytes: 0, parts: [], source }))
      const released = pendingDeletionOf(bucketId, ofKey, decodeVersion(version.row.value).content)
      if (released !== undefined) editor.deleteLater(released)
      editor.setContent(version, segmentsOf(object.multipartId, { lastOffset: 0, uploadedParts: 0, hasSources: true }))
    }
  }
  if (last === undefined) throw fail("internal", { reason: "a pack has objects" })
  return last
}

/** A bucket that packs its objects. */
export interface PackingBucket {
  readonly bucketId: BucketId
  readonly setting: PackingSetting
  /** The pass is undefined if the setting is new. */
  readonly pass: PackingPass | undefined
}

/** The setting of a bucket; undefined: its objects are not packed. */
function packingSettingIn(view: RowView, bucketId: BucketId): PackingSetting | undefined {
  const row = view.get("settings", settingRowKey(bucketId, "packing"))
  return row && decodePackingSetting(decodeSetting(row.value).document)
}

const passIn = (view: RowView, bucketId: BucketId): PackingPass | undefined => {
  const row = view.get("packing", packingRowKey(bucketId))
  return row && decodePackingPass(row.value)
}

export const packingOf = query("PackingOf", (view, bucketId: BucketId) => ({
  setting: packingSettingIn(view, bucketId),
  pass: passIn(view, bucketId),
}))

/** How far the job is in each bucket. */
export const packingBuckets = query("PackingBuckets", (view): readonly PackingBucket[] => {
  const found: PackingBucket[] = []
  for (const { id: bucketId, settings, state } of allBuckets(view)) {
    const setting = state === "open" && settings.includes("packing") ? packingSettingIn(view, bucketId) : undefined
    if (setting !== undefined) found.push({ bucketId, setting, pass: passIn(view, bucketId) })
  }
  return found
})

/**
 * How long after its end the next pass begins: rare enough to cost little, and often enough for the setting. After a long
 * pass it is later, but a day at most.
 */
function restOf({ afterSeconds }: PackingSetting, { startedMs, endedMs = startedMs }: PackingPass): number {
  const { restMsMin, restMsMax, restTimes } = PASS_LIMITS
  const wanted = Math.max(restMsMin, (afterSeconds * 1_000) / 4, restTimes * (endedMs - startedMs))
  return Math.min(restMsMax, wanted)
}

const PASS_LIMITS = {
  restMsMin: 60_000,
  restMsMax: 86_400_000,
  /** The job rests for so many times what the last pass has taken, within the bounds. */
  restTimes: 20,
} as const

/** Returns true if a new pass begins. */
export const isPassDue = ({ setting, pass }: PackingBucket, nowMs: number): boolean =>
  pass === undefined ||
  (pass.endedMs !== undefined && (nowMs - pass.endedMs >= restOf(setting, pass) || pass.startedMs > nowMs))

interface MovePass {
  readonly bucketId: BucketId
  readonly nowMs: number
  /** The slice that is taken; its end is undefined if it is the last one. */
  readonly start: RowKey
  readonly end: RowKey | undefined
  /** The first row of the bucket: a new pass begins with it. */
  readonly first: RowKey
  /** The counts of what this process has packed since it took the slice before. */
  readonly packed: PackedCounts
}

/** The pass, unless its row is absent: that may have changed until the decision is committed. */
function presentPass(view: CommandView, bucketId: BucketId): PackingPass | undefined {
  const row = view.ifPresent("packing", packingRowKey(bucketId))
  return row && decodePackingPass(row.value)
}

/** Moves the pass over a slice. False: another process was faster, or the bucket is not packed any more. */
export const takePackingSlice = command<[move: MovePass], boolean>({
  name: "TakePackingSlice",
  grows: false,
  touches: ({ bucketId }) => [["packing", packingRowKey(bucketId)]],
  decide(view, _time, { bucketId, nowMs, start, end, first, packed }) {
    const setting = packingSettingIn(view, bucketId)
    if (setting === undefined) return { writes: [], result: false }
    const before = presentPass(view, bucketId)
    const begins = start === first && isPassDue({ bucketId, setting, pass: before }, nowMs)
    if (!begins && (before?.endedMs !== undefined || before?.next !== start)) return { writes: [], result: false }
    const pass: PackingPass = {
      startedMs: begins ? nowMs : (before?.startedMs ?? nowMs),
      endedMs: end === undefined ? nowMs : undefined,
      next: end,
      packed: sumOfPacked(before?.packed ?? NOTHING_PACKED, packed),
    }
    return { writes: [passWrite(bucketId, pass)], result: true }
  },
})

/** Counts what was packed after the last slice was taken. */
export const notePacked = command<[bucketId: BucketId, nowMs: number, packed: PackedCounts], void>({
  name: "NotePacked",
  grows: false,
  touches: bucketId => [["packing", packingRowKey(bucketId)]],
  decide(view, _time, bucketId, nowMs, packed) {
    const pass = presentPass(view, bucketId)
    if (pass === undefined) return { writes: [], result: undefined }
    // After `beginAgain` the next pass stays due, whatever the one before has packed since.
    const isDue = pass.startedMs === NO_PASS.startedMs
    const endedMs = pass.endedMs === undefined || isDue ? pass.endedMs : Math.max(pass.endedMs, nowMs)
    const noted = { ...pass, endedMs, packed: sumOfPacked(pass.packed, packed) }
    return { writes: [passWrite(bucketId, noted)], result: undefined }
  },
})

/** A setting that was made again is carried out at once. */
export const beginAgain = command<[bucketId: BucketId], void>({
  name: "BeginPackingAgain",
  grows: false,
  touches: bucketId => [["packing", packingRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    const writes = presentPass(view, bucketId) === undefined ? [] : [passWrite(bucketId, NO_PASS)]
    return { writes, result: undefined }
  },
})

const passWrite = (bucketId: BucketId, pass: PackingPass): EntryWrite => ({
  family: "packing",
  key: packingRowKey(bucketId),
  value: encodePackingPass(pass),
})

export const NOTHING_PACKED: PackedCounts = { packs: 0, objects: 0, bytes: 0 }

/** One that is over. */
const NO_PASS: PackingPass = { startedMs: 0, endedMs: 0, next: undefined, packed: NOTHING_PACKED }

export const sumOfPacked = (a: PackedCounts, b: PackedCounts): PackedCounts => ({
  packs: a.packs + b.packs,
  objects: a.objects + b.objects,
  bytes: a.bytes + b.bytes,
})
