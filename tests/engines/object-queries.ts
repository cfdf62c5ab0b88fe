/** The queries of buckets, objects, uploads and background jobs, with random arguments. */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { bytesOfObjects, lackingByDevice } from "@hayloft/node/status/status-of-engine.js"
import { multipartRowKey, objectRowKey } from "@hayloft/engine/format/row-key.js"
import {
  bucketNamed,
  bucketNames,
  bucketRecords,
  bucketsOfAccount,
  bucketsWithSetting,
  chosenPolicies,
  holdingsOfBucket,
  lockedBuckets,
  readSetting,
  uploadsOfBucket,
  usageOfBucket,
} from "@hayloft/objects/buckets/bucket-service.js"
import { readConfirmedTime, readStoreClock } from "@hayloft/objects/commands/clock-commands-core.js"
import { ALL_HINTS, hintsOfPartition, readHints } from "@hayloft/objects/commands/missing-shard-hints-core.js"
import type { UploadAddress } from "@hayloft/objects/commands/multipart-commands-core.js"
import { leftIntents } from "@hayloft/objects/commands/reencode-commands-core.js"
import { chosenPolicy, mayWrite } from "@hayloft/objects/bodies/ingest.js"
import {
  firstSegment,
  oldestPendingDeletions,
  partsOfPendingDeletion,
  uploadsInSegments,
} from "@hayloft/upkeep/garbage/collector.js"
import { bucketOfKept, rowAt, rowsNaming } from "@hayloft/upkeep/repair/integrity-audit.js"
import { WALK_START } from "@hayloft/upkeep/backup/metadata-backup-core.js"
import { keptOfBuckets } from "@hayloft/features/undelete/kept-queries-core.js"
import { slice, snapshots } from "@hayloft/upkeep/backup/metadata-backup.js"
import { oldMarks } from "@hayloft/upkeep/garbage/orphans.js"
import { firstNaming, isBlockKept, named } from "@hayloft/upkeep/garbage/ownership-resolver.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { classesOfVersions } from "@hayloft/upkeep/reencode/row-classes.js"
import { classInRows } from "@hayloft/features/storage-classes/storage-classes.js"
import { encodedRows, keptExtent } from "@hayloft/upkeep/reencode/reencode.js"
import {
  completable,
  openUpload,
  pageOfUploads,
  partsNumbered,
  partsOfUpload,
} from "@hayloft/objects/multipart-service.js"
import { segmentOfManifest, segmentOfOffset, versionAndPart } from "@hayloft/objects/bodies/object-reader.js"
import {
  latestOrder,
  pageOfObjects,
  pageOfVersions,
  partsOfVersion,
  versionRows,
} from "@hayloft/objects/object-service.js"
import { ALL_OBJECT_ROWS, EXTENT_FAMILIES, extentRows } from "@hayloft/objects/queries/extent-rows.js"
import { countKeyUses, KEY_USE_SOURCES } from "@hayloft/objects/queries/key-uses-core.js"
import { manifestOf } from "@hayloft/objects/queries/manifest-core.js"
import { keyFacts } from "@hayloft/upkeep/reconcile/restore-commands-core.js"
import { PLAYED_SETTINGS } from "./object-kinds.js"
import { ACCOUNTS, queryKind, type PlayKind, type Scene } from "./scene.js"

const FIRST = ALL_OBJECT_ROWS.start

const stemOf = ({ bucketId, key, multipartId }: UploadAddress) =>
  multipartRowKey(objectRowKey(bucketId, key), multipartId)
const maxOf = (scene: Scene): number => scene.pick([0, 1, 2, 1000])

/** A page of a listing: mostly short ones, which end within the bucket. */
function pageOf(scene: Scene) {
  const bucket = scene.bucket()
  const prefix = scene.pick(["", "", "a", "a/", "zz"])
  const delimiter = scene.pick(["", "/"])
  return (
    bucket && { bucket, prefix, delimiter, max: maxOf(scene), withOwners: scene.oneIn(2), withTypes: scene.oneIn(2) }
  )
}

const markerOf = (scene: Scene): string => (scene.oneIn(2) ? "" : scene.key())

function versionsPage(scene: Scene) {
  const page = pageOf(scene)
  if (page === undefined) return undefined
  const keyMarker = markerOf(scene)
  const of = { bucketId: page.bucket.id, key: scene.key() }
  const versionIdMarker = keyMarker === "" || scene.oneIn(2) ? undefined : scene.versionId(of)
  return pageOfVersions({
    ...page,
    keyMarker,
    versionIdMarker,
    withRestores: scene.oneIn(2),
    withOrders: scene.oneIn(2),
  })
}

function uploadsPage(scene: Scene) {
  const page = pageOf(scene)
  if (page === undefined) return undefined
  const keyMarker = markerOf(scene)
  const uploadIdMarker = keyMarker === "" || scene.oneIn(2) ? undefined : scene.uploadAddress().multipartId
  return { ...page, keyMarker, uploadIdMarker }
}

function version(scene: Scene) {
  const { bucketId, key } = scene.object()
  return [bucketId, key, scene.oneIn(2) ? undefined : scene.versionId({ bucketId, key })] as const
}

/** Returns the manifest of a multipart object, or undefined if there is none. */
function manifest(scene: Scene) {
  const found = scene.versions().flatMap(({ bucketId, key, record }) => manifestOf(bucketId, key, record) ?? [])
  return found.length === 0 ? undefined : scene.pick(found)
}

function block(scene: Scene) {
  const { bucketId, key, uploadId } = scene.uploadName()
  const extent = scene.extents().find(each => each.uploadId === uploadId)?.extent
  const generation = (extent?.generation ?? 0) + scene.random.below(2)
  const of = { uploadId, part: extent?.part ?? 0, block: scene.random.below(3), generation }
  return [of, { bucketId, key }] as const
}

function naming(scene: Scene) {
  const family = scene.pick(EXTENT_FAMILIES)
  const rows = scene.rows(family)
  const rowKey = rows.length === 0 ? FIRST : scene.pick(rows)[0]
  return [family, rowKey] as const
}

const BUCKET_QUERIES: readonly PlayKind[] = [
  queryKind("BucketNamed", scene => bucketNamed(scene.bucketName())),
  queryKind("BucketNames", scene => bucketNames([scene.bucketId(), scene.bucketId()])),
  queryKind("ReadSetting", scene => readSetting(scene.bucketId(), scene.pick(PLAYED_SETTINGS))),
  queryKind("BucketRecords", () => bucketRecords()),
  queryKind("BucketsWithSetting", () => bucketsWithSetting("tagging")),
  queryKind("ChosenPolicies", () => chosenPolicies()),
  queryKind("KeptOfBuckets", () => keptOfBuckets()),
  queryKind("UsageOfBucket", scene => usageOfBucket(scene.bucketId())),
  queryKind("HoldingsOfBucket", scene => holdingsOfBucket(scene.bucketName())),
  queryKind("LockedBuckets", () => lockedBuckets()),
  queryKind("UploadsOfBucket", scene => {
    const page = uploadsPage(scene)
    return page && uploadsOfBucket(page)
  }),
  queryKind("BucketsOfAccount", scene =>
    bucketsOfAccount({ owner: scene.pick(ACCOUNTS), prefix: scene.pick(["", "b"]), after: "", max: maxOf(scene) }),
  ),
  queryKind("ChosenPolicy", scene => chosenPolicy(scene.bucketId())),
]

const OBJECT_READS: readonly PlayKind[] = [
  queryKind("MayWrite", scene => {
    const { bucketId, key } = scene.object()
    return mayWrite(bucketId, key, { conditions: scene.conditions({ bucketId, key }), nowMs: scene.nowMs })
  }),
  queryKind("VersionRows", scene => versionRows(...version(scene))),
  queryKind("LatestOrder", scene => {
    const { bucketId, key } = scene.object()
    return latestOrder(bucketId, key)
  }),
  queryKind("KeyFacts", scene => {
    const { bucketId, key } = scene.object()
    const { multipartId, ...of } = scene.uploadAddress()
    return scene.oneIn(2) ? keyFacts(bucketId, key, []) : keyFacts(of.bucketId, of.key, [multipartId])
  }),
  queryKind("PageOfVersions", versionsPage),
  queryKind("PageOfObjects", scene => {
    const page = pageOf(scene)
    const extras = { withRestores: scene.oneIn(2), withOrders: scene.oneIn(2) }
    return page && pageOfObjects({ ...page, after: markerOf(scene), ...extras })
  }),
  queryKind("PartsOfVersion", scene => partsOfVersion(...version(scene), { afterPart: 0, max: maxOf(scene) })),
  queryKind("VersionAndPart", scene =>
    versionAndPart(...version(scene), scene.pick([undefined, 1, 2]), scene.pick([true, false])),
  ),
  queryKind(
    "SegmentOfOffset",
    scene => {
      const address = manifest(scene)
      return address && segmentOfOffset(address, 100)
    },
    3,
  ),
  queryKind(
    "SegmentOfManifest",
    scene => {
      const address = manifest(scene)
      return address && segmentOfManifest(address, scene.pick([0, 0, 1]))
    },
    3,
  ),
  {
    name: "PayloadOfRow",
    weight: 3,
    make(scene) {
      const stored = scene.versions()
      if (stored.length === 0) return undefined
      const { family, rowKey } = scene.pick(stored)
      return { kind: "payload", family, key: rowKey }
    },
  },
]

const UPLOAD_QUERIES: readonly PlayKind[] = [
  queryKind("OpenUpload", scene => openUpload(scene.uploadAddress())),
  queryKind("PageOfUploads", scene => {
    const page = uploadsPage(scene)
    return page && pageOfUploads(page)
  }),
  queryKind("PartsOfUpload", scene => partsOfUpload(scene.uploadAddress(), scene.random.below(3), maxOf(scene))),
  queryKind("PartsNumbered", scene => partsNumbered(scene.uploadAddress(), [1, 2, 4])),
  queryKind("Completable", scene => {
    const address = scene.uploadAddress()
    return completable(address, scene.conditions(address), scene.nowMs)
  }),
]

const JOB_QUERIES: readonly PlayKind[] = [
  queryKind("Named", scene => named(...block(scene))),
  queryKind("FirstNaming", scene => firstNaming(scene.uploadName(), scene.oneIn(2))),
  queryKind("IsBlockKept", scene => {
    const [of, owner] = block(scene)
    const foundIn = scene.extents().find(each => each.uploadId === of.uploadId)?.foundIn
    return isBlockKept(of, { ...owner, uploadId: of.uploadId, foundIn })
  }),
  queryKind("Snapshots", () => snapshots()),
  queryKind("Slice", scene => slice({ ...WALK_START, phase: scene.random.below(20) })),
  queryKind("EncodedRows", scene =>
    encodedRows(...naming(scene), { max: scene.pick([1, 2, 256]), withClasses: scene.oneIn(2) }),
  ),
  queryKind("ClassesOfVersions", scene => {
    const family = scene.pick(["current", "versions"] as const)
    const { bucketId, key } = scene.object()
    const row = objectRowKey(bucketId, key)
    const from = scene.oneIn(3) ? { family, start: row } : undefined
    return classesOfVersions(row, from, scene.pick([1, 2, 100]))
  }),
  queryKind("ClassInRows", scene =>
    classInRows({
      family: scene.pick(["current", "versions"] as const),
      classes: [scene.pick(STORAGE_CLASSES)],
      ...ALL_OBJECT_ROWS,
      start: naming(scene)[1],
    }),
  ),
  queryKind("KeptExtent", scene => keptExtent(scene.uploadName())),
  queryKind("OldestPendingDeletions", scene => {
    const rows = scene.rows("pendingDeletions")
    return oldestPendingDeletions(rows.length > 0 && scene.oneIn(2) ? scene.pick(rows)[0] : rowKeyOf("\x00"))
  }),
  queryKind("UploadsInSegments", scene => uploadsInSegments(stemOf(scene.uploadAddress()))),
  queryKind("PartsOfPendingDeletion", scene => partsOfPendingDeletion(stemOf(scene.uploadAddress()), scene.oneIn(2))),
  queryKind("FirstSegment", scene => firstSegment(stemOf(scene.uploadAddress()))),
  queryKind("RowAt", scene => rowAt(...naming(scene))),
  queryKind("RowsNaming", scene => rowsNaming(scene.uploadName())),
  queryKind("BucketOfKept", scene => {
    const [family, rowKey] = naming(scene)
    return rowKey === FIRST ? undefined : bucketOfKept(family, rowKey, scene.uploadName())
  }),
  queryKind("LackingByDevice", () => lackingByDevice()),
  queryKind("BytesOfObjects", () => bytesOfObjects()),
  queryKind("OldMarks", () => oldMarks()),
  queryKind("ReadHints", scene => readHints(scene.oneIn(2) ? ALL_HINTS : hintsOfPartition(7), maxOf(scene))),
  queryKind("ReadStoreClock", () => readStoreClock()),
  queryKind("ReadConfirmedTime", () => readConfirmedTime()),
  queryKind("LeftIntents", scene => leftIntents(FIRST, scene.pick([1, 100]))),
  queryKind("ExtentRows", scene => extentRows(...naming(scene), maxOf(scene))),
]

export const OBJECT_QUERIES: readonly PlayKind[] = [
  queryKind("CountKeyUses", scene =>
    countKeyUses(scene.pick(KEY_USE_SOURCES), scene.oneIn(2) ? undefined : rowKeyOf("\x00".repeat(8))),
  ),
  ...BUCKET_QUERIES,
  ...OBJECT_READS,
  ...UPLOAD_QUERIES,
  ...JOB_QUERIES,
]
