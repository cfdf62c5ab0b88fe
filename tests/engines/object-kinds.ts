/** The commands on buckets, versions, hints, pending deletions and re-encodings, with random arguments. */
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { isArchive, STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import type { Retention, VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { decodeIntent } from "@hayloft/engine/format/objects/intent.js"
import { decodeBucketId, decodeStoreClock, PRESENT, SETTING_NAMES } from "@hayloft/engine/format/records.js"
import {
  bucketRowKey,
  objectRowKey,
  parseObjectRowKey,
  uploadOfPartRowKey,
  uploadOfRowKey,
} from "@hayloft/engine/format/row-key.js"
import { versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import { parseBucketId } from "@hayloft/base/ids.js"
import { command } from "@hayloft/engine/metadata/index.js"
import {
  closeBucket,
  createBucket,
  dropBucket,
  openBucket,
  setBucketLock,
  setBucketPolicy,
  setSetting,
  setVersioning,
} from "@hayloft/objects/commands/bucket-commands-core.js"
import { advanceClock, confirmTime, startClock } from "@hayloft/objects/commands/clock-commands-core.js"
import { noteDamages } from "@hayloft/objects/commands/missing-shard-hints-core.js"
import { dropRows, readNamings, type RowAsRead } from "@hayloft/objects/commands/pending-deletion-commands-core.js"
import { beginReencoding, giveUpReencoding, swapExtent } from "@hayloft/objects/commands/reencode-commands-core.js"
import { NO_CHECKSUM, type NewVersion } from "@hayloft/objects/commands/row-editor-core.js"
import { timestampOf } from "./change-kinds.js"
import {
  putVersion,
  recordHints,
  removeLatest,
  removeVersion,
  setAcl,
  setAttributes,
  setLegalHold,
  setRetention,
  setTags,
} from "@hayloft/objects/commands/version-commands-core.js"
import { RESTORE_TIERS } from "@hayloft/engine/format/objects/restore.js"
import { restoreArchived } from "@hayloft/features/storage-classes/archive-commands-core.js"
import type { UploadName } from "@hayloft/objects/queries/named-extents-core.js"
import { ensureSystemBucket } from "@hayloft/objects/buckets/system-bucket.js"
import { raiseBucketIds, restoreVersion } from "@hayloft/upkeep/reconcile/restore-commands-core.js"
import { ACCOUNTS, commandKind, POLICIES, type PlayKind, type Scene, type StoredVersion } from "./scene.js"

type Version = Omit<NewVersion, "isMarker">

function inlineVersion(scene: Scene): Version {
  const sizeBytes = scene.pick([0, 1, 100, 4096])
  const payload = scene.random.bytes(sizeBytes)
  const described = { md5: scene.random.bytes(16), random: scene.random.bytes(8), checksum: NO_CHECKSUM }
  return {
    content: { kind: "inline" },
    payload,
    sizeBytes,
    parts: 0,
    isShared: false,
    storageClass: scene.pick(STORAGE_CLASSES),
    ...described,
    details: scene.details(),
    ...(scene.oneIn(6) && { lock: lockOf(scene) }),
    ...(scene.oneIn(4) && expiryOf(scene)),
  }
}

/** Some have passed: the same ones on every engine, whose clocks differ. */
const expiryOf = (scene: Scene) => ({ expiresAtSeconds: scene.pick([1, 9_000_000_000]) })

/** Moments of the store's clock, and ends of retentions: most of these are ahead of every wall clock. */
const CLOCKS = [0, 1_000_000_000_000, 5_000_000_000_000, 9_000_000_000_000]

const retentionOf = (scene: Scene): Retention => ({
  mode: scene.pick(["GOVERNANCE", "COMPLIANCE"]),
  untilMs: scene.pick(CLOCKS) + 1,
})

const lockOf = (scene: Scene): VersionLock => ({
  retention: scene.pick([undefined, retentionOf(scene)]),
  legalHold: scene.pick([undefined, false, true]),
})

export const removingOf = (scene: Scene) => ({ clockMs: scene.pick(CLOCKS), bypassGovernance: scene.oneIn(2) })

function extentVersion(scene: Scene): Version {
  const extent = scene.extent(0)
  return {
    ...inlineVersion(scene),
    content: { kind: "extent", extent },
    payload: undefined,
    sizeBytes: extent.lengthBytes,
    checksum: { checksumAlgorithm: "CRC32", checksumType: "FULL_OBJECT", value: "AAAAAA==" },
  }
}

function putNew(scene: Scene) {
  const { bucketId, key } = scene.object()
  const version = scene.oneIn(2) ? inlineVersion(scene) : extentVersion(scene)
  const { content } = version
  const uploadId = content.kind === "extent" ? content.extent.uploadId : undefined
  const hints = uploadId === undefined ? [] : scene.hints()
  const timestamp = scene.oneIn(4) ? timestampOf(scene) : undefined
  const conditions = scene.conditions({ bucketId, key })
  const makesSpace = scene.oneIn(8) ? true : undefined
  return putVersion({ bucketId, key, uploadId, conditions, version, hints, timestamp, makesSpace })
}

/** A copy within the row, which shares the bytes of its source. */
function putShared(scene: Scene) {
  const sources = scene.versions().filter(({ record }) => ["extent", "segments"].includes(record.content.kind))
  if (sources.length === 0) return putNew(scene)
  const { bucketId, key, record } = scene.pick(sources)
  const { head, content, sealing } = record
  const version: Version = {
    ...(sealing && { sealing: { ...sealing, bind: scene.random.bytes(16) } }),
    content,
    payload: undefined,
    sizeBytes: head.sizeBytes,
    md5: head.md5,
    parts: head.parts,
    isShared: true,
    random: scene.random.bytes(8),
    checksum: NO_CHECKSUM,
    details: scene.details(),
    storageClass: head.storageClass,
  }
  const conditions = scene.conditions({ bucketId, key })
  const sharesWith = scene.oneIn(8) ? scene.versionId({ bucketId, key }) : versionIdOfHead(head)
  return putVersion({ bucketId, key, uploadId: undefined, conditions, version, hints: [], sharesWith })
}

/** Mostly one that no row of the key references. */
function restore(scene: Scene) {
  const { bucketId, key } = scene.object()
  const named = scene.oneIn(4) ? scene.extents().filter(each => each.bucketId === bucketId && each.key === key) : []
  const extent = scene.pickOr(
    named.map(each => each.extent),
    () => scene.extent(0),
  )
  const version = { ...inlineVersion(scene), payload: undefined, sizeBytes: extent.lengthBytes }
  return restoreVersion({ bucketId, key, extent, version })
}

function versionAddress(scene: Scene) {
  const { bucketId, key } = scene.object()
  return { bucketId, key, versionId: scene.oneIn(3) ? undefined : scene.versionId({ bucketId, key }) }
}

/** Rows that only the collector or repair still needs. Some of them as they were before. */
function rowsToDrop(scene: Scene): readonly RowAsRead[] {
  const read = (family: Family): readonly RowAsRead[] =>
    scene.rows(family).map(([key, { value }]) => [family, key, value])
  const uploads = new Set(scene.rows("uploads").map(([key]) => key))
  const completed = scene
    .allVersions()
    .map(({ bucketId, key, record }) => [objectRowKey(bucketId, key), record.content])
  const isKept = (key: RowKey): boolean => {
    const { bucketId, key: object } = parseObjectRowKey(key)
    const stem = objectRowKey(parseBucketId(bucketId), object)
    return completed.some(
      ([row, content]) => row === stem && typeof content === "object" && content.kind === "segments",
    )
  }
  const left = [...read("parts"), ...read("segments").filter(([, key]) => !isKept(key))]
  const rows = [
    ...scene.some([...read("pendingDeletions"), ...read("missingShardHints"), ...read("abortedUploads")], 8),
    ...scene.some(
      left.filter(([, key]) => !uploads.has(uploadOfPartRowKey(key))),
      4,
    ),
  ].slice(0, 40)
  return rows.map(([family, key, value]) => [family, key, scene.oneIn(8) ? value.slice(1) : value])
}

/** All blocks, or some of them. */
function runsOf(scene: Scene, extent: Extent) {
  const last = blockCount(extent) - 1
  const firstBlock = scene.oneIn(2) ? 0 : scene.random.below(last + 1)
  return [{ firstBlock, lastBlock: scene.oneIn(2) ? last : firstBlock }]
}

function begin(scene: Scene) {
  const found = scene.extents()
  if (found.length === 0) return undefined
  const { extent, ...name } = scene.pick(found)
  const from = scene.oneIn(8) ? { ...extent, lengthBytes: extent.lengthBytes + 1 } : extent
  const asked = { policy: scene.pick(POLICIES), runs: runsOf(scene, extent), generationFloor: scene.pick([0, 0, 3]) }
  return beginReencoding({ ...name, from, ...asked })
}

function intents(scene: Scene) {
  return scene.rows("intents").map(([rowKey, { value }]) => {
    const { bucketId, key } = parseObjectRowKey(rowKey)
    const name = { bucketId: parseBucketId(bucketId), key, uploadId: uploadOfRowKey(rowKey) }
    return { name, intent: decodeIntent(value) }
  })
}

function swap(scene: Scene) {
  const found = intents(scene)
  if (found.length === 0) return undefined
  const { name, intent } = scene.pick(found)
  const { extent: from = intent.extent, foundIn } =
    scene.extents().find(({ uploadId }) => uploadId === name.uploadId) ?? {}
  const generation = intent.extent.generation + (scene.oneIn(8) ? 1 : 0)
  return swapExtent({ ...name, foundIn, generation, from, to: intent.extent, replaced: intent.runs })
}

/** Mostly to rows that earlier releases wrote, which no command of this one does. */
const plantOld = command<[family: "abortedUploads" | "missingShardHints", key: RowKey], void>({
  name: "PlantOld",
  decide(view, _time, family, key) {
    const writes = view.get(family, key) === undefined ? [{ family, key, value: PRESENT }] : []
    return { writes, result: undefined }
  },
})

const documents = ["", '{"Version":"2012-10-17"}', "x".repeat(3000)]

const tagsOf = (scene: Scene) => scene.pick([[], [["team", "storage"] as const], [["long", "t".repeat(600)] as const]])

function lastBucketId(scene: Scene): number {
  const row = scene.model.committed.get("buckets", bucketRowKey(parseBucketId(0)))
  return row ? decodeBucketId(row.value) : 0
}

const isVersioned = ({ record }: StoredVersion): boolean => !record.head.isNull

/** Appends need theirs, so it is set more often than others. */
/** `history` and `copies` have kinds of their own. */
export const PLAYED_SETTINGS = [
  ...SETTING_NAMES.filter(name => name !== "history" && name !== "copies"),
  "append",
  "append",
] as const

const BUCKETS: readonly PlayKind[] = [
  commandKind("CreateBucket", 6, scene => {
    const settings = new Map(scene.some(SETTING_NAMES.slice(0, 2)).map(name => [name, scene.pick(documents)]))
    const hasLock = scene.oneIn(4)
    return createBucket({ name: scene.bucketName(), owner: scene.pick(ACCOUNTS), location: "", settings, hasLock })
  }),
  commandKind("SetSetting", 3, scene => {
    const former = scene.pick([undefined, { document: scene.pick([undefined, ...documents]) }])
    return setSetting(scene.bucketId(), scene.pick(PLAYED_SETTINGS), scene.pick([undefined, ...documents]), former)
  }),
  commandKind("SetVersioning", 3, scene =>
    setVersioning(scene.bucketId(), scene.pick(["enabled", "enabled", "suspended"])),
  ),
  commandKind("SetBucketLock", 2, scene =>
    setBucketLock(
      scene.bucketId(),
      scene.pick([
        undefined,
        { mode: "GOVERNANCE", unit: "days", count: 1 },
        { mode: "COMPLIANCE", unit: "years", count: 3 },
      ]),
    ),
  ),
  commandKind("SetBucketPolicy", 2, scene => setBucketPolicy(scene.bucketId(), scene.pick([undefined, ...POLICIES]))),
  commandKind("CloseBucket", 3, scene => closeBucket(scene.emptyBucketId())),
  commandKind("OpenBucket", 2, scene => openBucket(scene.bucketId())),
  commandKind("DropBucket", 3, scene => dropBucket(scene.emptyBucketId())),
  commandKind("RaiseBucketIds", 1, scene => raiseBucketIds(lastBucketId(scene) + scene.pick([-1, 0, 1, 3]))),
  commandKind("EnsureSystemBucket", 1, () => ensureSystemBucket()),
]

const VERSIONS: readonly PlayKind[] = [
  commandKind("PutVersion", 16, putNew),
  commandKind("PutVersion", 6, putShared),
  commandKind("RestoreVersion", 4, restore),
  commandKind("RemoveLatest", 5, scene => {
    const { bucketId, key } = scene.object()
    return removeLatest({
      bucketId,
      key,
      conditions: scene.conditions({ bucketId, key }),
      removing: removingOf(scene),
      random: scene.random.bytes(8),
      timestamp: scene.oneIn(3) ? timestampOf(scene) : undefined,
    })
  }),
  commandKind("RemoveVersion", 6, scene => {
    const versioned = scene.versions().filter(isVersioned)
    const { bucketId, key } = versioned.length > 0 && scene.oneIn(2) ? scene.pick(versioned) : scene.object()
    const versionId = scene.versionId({ bucketId, key })
    const conditions = scene.conditions({ bucketId, key })
    return removeVersion({ bucketId, key, versionId, conditions, removing: removingOf(scene) })
  }),
  commandKind("SetRetention", 3, scene =>
    setRetention(versionAddress(scene), {
      retention: scene.pick([undefined, retentionOf(scene)]),
      ...removingOf(scene),
    }),
  ),
  commandKind("RestoreArchived", 2, scene => {
    const archived = scene.versions().filter(({ record }) => isArchive(record.head.storageClass))
    const { bucketId, key } = archived.length > 0 ? scene.pick(archived) : scene.object()
    const target = { ...versionAddress(scene), bucketId, key }
    const tier = scene.pick(RESTORE_TIERS)
    return restoreArchived({ ...target, days: scene.pick([1, 3]), tier, clockMs: scene.nowMs })
  }),
  commandKind("SetLegalHold", 2, scene => setLegalHold(versionAddress(scene), scene.oneIn(2))),
  commandKind("SetTags", 3, scene => setTags(versionAddress(scene), tagsOf(scene))),
  commandKind("SetAttributes", 3, scene => {
    const address = versionAddress(scene)
    const { headers, userMetadata } = scene.details()
    const expiry = expiryOf(scene)
    const to = { headers, userMetadata, ...expiry, conditions: scene.conditions(address), clockMs: scene.pick(CLOCKS) }
    return setAttributes(address, to)
  }),
  commandKind("SetAcl", 2, scene => {
    const address = versionAddress(scene)
    const grants = [{ grantee: { kind: "account", id: scene.pick(ACCOUNTS) }, permission: "READ" } as const]
    return setAcl(
      address,
      scene.pick([undefined, { owner: undefined, grants }, { owner: scene.pick(ACCOUNTS), grants }]),
    )
  }),
]

const UPKEEP: readonly PlayKind[] = [
  commandKind("RecordHints", 3, scene => recordHints(scene.hints())),
  commandKind("NoteDamages", 2, scene => {
    const copies = scene.hints().map(({ partition, deviceId }) => {
      const { uploadId } = scene.uploadName()
      return { deviceId, id: { partition, uploadId, part: 0, block: 0, generation: 0, slot: 1 } }
    })
    return noteDamages(copies)
  }),
  commandKind("DropRows", 5, scene => dropRows(rowsToDrop(scene))),
  commandKind("ReadNamings", 3, scene => readNamings(scene.uploadName())),
  commandKind("BeginReencoding", 5, begin),
  commandKind("SwapExtent", 4, swap),
  commandKind("GiveUpReencoding", 3, scene => {
    const found = intents(scene).map(({ name }) => name)
    return giveUpReencoding(scene.pickOr<UploadName>(found, () => scene.uploadName()))
  }),
  commandKind("AdvanceClock", 2, scene => advanceClock(scene.pick(CLOCKS) + scene.random.below(1_000))),
  commandKind("ConfirmTime", 1, scene => confirmTime(scene.pick(CLOCKS))),
  commandKind("StartClock", 2, scene => {
    const [, row] = scene.rows("clock").find(([key]) => key === "store") ?? []
    const storedMs = row === undefined ? 0 : decodeStoreClock(row.value)
    return startClock({ seenMs: scene.pick([0, storedMs, storedMs]), fromMs: scene.pick(CLOCKS) + 1 })
  }),
  commandKind("PlantOld", 1, scene => {
    const { bucketId, key, uploadId } = scene.uploadName()
    if (scene.oneIn(2)) return plantOld("abortedUploads", rowKeyOf(objectRowKey(bucketId, key) + uploadId.slice(0, 16)))
    return plantOld("missingShardHints", rowKeyOf("\x00\x09" + "00000000000000d9"))
  }),
]

export const OBJECT_COMMANDS: readonly PlayKind[] = [...BUCKETS, ...VERSIONS, ...UPKEEP]
