/**
 * Commands by which a bucket is erased: its secret is destroyed, and its rows follow. See decision 56. Pure.
 *
 * Promises  A bucket whose secret is destroyed is never opened again, and nothing is added to it. From the same moment no
 *           secret is added under the epoch keys that its secret was ever sealed under. Rows that are removed leave
 *           pending deletions of their bytes.
 */
import { must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, BucketName, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import {
  BUCKET_SECRET,
  bucketKeyRowKey,
  decodeBucketKey,
  encodeBucketKey,
  ERASED_EPOCHS_ROW,
} from "@hayloft/engine/format/objects/bucket-key.js"
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { decodeRowHead, decodeUpload, type BucketRecord } from "@hayloft/engine/format/records.js"
import {
  accountBucketRowKey,
  bucketRowKey,
  nameRowKey,
  objectRowKey,
  objectRowKeyOf,
  parseObjectRowKey,
  settingRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion, decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import {
  command,
  deletionsOf,
  query,
  type MetadataRow,
  type RowView,
  type Touches,
} from "@hayloft/engine/metadata/index.js"
import { bucketContents } from "../door/parts.js"
import { extentsOf } from "../queries/extent-rows.js"
import { firstKeysOf, isErasedSecret } from "./bucket-key-commands-core.js"
import {
  anyBucket,
  bucketWrite,
  lastBucketId,
  notedRowsOf,
  requireNothingKept,
  settingRowsOf,
} from "./bucket-commands-core.js"
import { isRemovable } from "./lock-core.js"
import {
  addressKeyOf,
  checkFrozen,
  endUpload,
  findUpload,
  type FrozenParts,
  type UploadAddress,
} from "./multipart-commands-core.js"
import { allBuckets, readCounters, requireBucket } from "./bucket-rows-core.js"
import { findLatest } from "./found-versions-core.js"
import { RowEditor } from "./row-editor-core.js"
import { droppedUsage } from "./usage-core.js"

/** The numbers of versions and parts that would stay readable after an erasure. */
interface UnsealedCounts {
  readonly versions: number
  readonly parts: number
  readonly uploads: number
  /** Values of the contents of features. */
  readonly values: number
}

const COUNTED_FAMILIES = ["uploads", "parts", "segments", "current", "versions", "deleted"] as const
type CountedFamily = (typeof COUNTED_FAMILIES)[number]

/** The place where a count goes on. */
export interface CountPlace {
  readonly family: number
  readonly from: RowKey
}

/** The first place of a count in a bucket. */
export const firstCountPlace = (bucketId: BucketId): CountPlace => ({ family: 0, from: bucketRowKey(bucketId) })

/** Bytes of a row that are not sealed, as versions, parts or uploads. A delete marker has none. */
function unsealedIn(family: CountedFamily, row: MetadataRow): number {
  if (family === "uploads") return decodeUpload(row.value).sealing === undefined ? 1 : 0
  if (family === "parts" || family === "segments") {
    return extentsOf(family, row).filter(({ isSealed }) => isSealed === undefined).length
  }
  const { head, sealing } = versionOfRow(family, row.value)
  if (head.isMarker) return 0
  return sealing === undefined || extentsOf(family, row).some(({ isSealed }) => isSealed === undefined) ? 1 : 0
}

const COUNT_OF: Readonly<Record<CountedFamily, keyof UnsealedCounts>> = {
  uploads: "uploads",
  parts: "parts",
  segments: "parts",
  current: "versions",
  versions: "versions",
  deleted: "versions",
}

/** A family whose rows are counted. */
interface Counting {
  readonly family: Family
  readonly counted: keyof UnsealedCounts
  readonly unsealed: (row: MetadataRow) => number
  readonly isLocked: (row: MetadataRow, clockMs: number) => boolean
}

/** Families of the core come before those of features, so that places of a count stay. */
function countings(): readonly Counting[] {
  const ofObjects = COUNTED_FAMILIES.map(family => ({
    family,
    counted: COUNT_OF[family],
    unsealed: (row: MetadataRow) => unsealedIn(family, row),
    isLocked: (row: MetadataRow, clockMs: number) => isLockedIn(family, row, clockMs),
  }))
  const ofFeatures = bucketContents().map(({ counted, held }) => ({
    family: counted,
    counted: "values" as const,
    unsealed: (row: MetadataRow) => held(row).values,
    isLocked: () => false,
  }))
  return [...ofObjects, ...ofFeatures]
}

interface CountBounds {
  readonly rowsMax: number
  readonly clockMs: number
}

export interface CountedSlice {
  readonly family: Family
  readonly counted: keyof UnsealedCounts
  readonly unsealed: number
  /** Versions that `dropErasedKey` would refuse to remove. */
  readonly locked: number
  /** It is undefined at the end. */
  readonly next: CountPlace | undefined
}

/**
 * Returns true if a version has a legal hold, or a retention that is not over. A bucket whose row was rolled back may
 * have such versions without having object lock.
 */
function isLockedIn(family: CountedFamily, row: MetadataRow, clockMs: number): boolean {
  if (family !== "current" && family !== "versions") return false
  const { lock } = decodeVersion(row.value)
  return lock !== undefined && !isRemovable(lock, clockMs)
}

/** Counts what is not sealed in a slice of a bucket's rows, and what is locked. `clockMs`: the store's clock. */
export const countUnsealed = query(
  "CountUnsealed",
  (view, bucketId: BucketId, place: CountPlace, { rowsMax, clockMs }: CountBounds): CountedSlice => {
    const all = countings()
    const { family, counted, unsealed: unsealedOf, isLocked } = must(all[place.family], "a count goes on in a family")
    const range = { ...suffixRange(bucketRowKey(bucketId)), start: place.from, expectedRows: rowsMax + 1 }
    let [rows, unsealed, locked] = [0, 0, 0]
    for (const [key, row] of view.range(family, range)) {
      if (rows === rowsMax) return { family, counted, unsealed, locked, next: { family: place.family, from: key } }
      unsealed += unsealedOf(row)
      if (isLocked(row, clockMs)) locked += 1
      rows += 1
    }
    const next = place.family + 1
    const isLast = next === all.length
    return {
      family,
      counted,
      unsealed,
      locked,
      next: isLast ? undefined : { family: next, from: bucketRowKey(bucketId) },
    }
  },
)

/** Throws `objectLocked`. */
function refuseLock({ lock }: BucketRecord): void {
  if (lock === undefined) return
  throw fail("objectLocked", { message: "the bucket has object lock: nothing erases what it may protect" })
}

/** Refuses further writes, so that what is counted stays as it is. A start reopens the bucket. Throws `objectLocked`. */
export const closeForErasure = command<[bucketId: BucketId], void>({
  name: "CloseForErasure",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    const bucket = requireBucket(view, bucketId)
    refuseLock(bucket)
    return { writes: [bucketWrite({ ...bucket, state: "closing" })], result: undefined }
  },
})

/** The epoch of the bucket's secret; undefined if it has none. */
export const epochOfSecret = query("EpochOfSecret", (view, bucketId: BucketId): number | undefined => {
  const row = view.get("bucketKeys", bucketKeyRowKey(bucketId, BUCKET_SECRET))
  const key = row && decodeBucketKey(row.value)
  return key?.kind === "secret" ? key.epoch : undefined
})

/**
 * Destroys the secret of a closed bucket and frees its name. `newest`: an epoch key that never sealed the secret, so that
 * all earlier ones can go. Throws `conflict` if it has, or if the bucket was opened again; `objectLocked`.
 */
export const eraseBucket = command<[bucketId: BucketId, newest: number], void>({
  name: "EraseBucket",
  grows: false,
  touches: bucketId => [
    ["buckets", bucketRowKey(bucketId)],
    ["bucketKeys", bucketKeyRowKey(bucketId, BUCKET_SECRET)],
    ["bucketKeys", ERASED_EPOCHS_ROW],
  ],
  decide(view, { nowMs }, bucketId, newest) {
    const { policy: _policy, ...bucket } = anyBucket(view, bucketId)
    if (bucket.state !== "closing") throw fail("conflict", { message: "the bucket was opened again; try again" })
    refuseLock(bucket)
    const secretRow = bucketKeyRowKey(bucketId, BUCKET_SECRET)
    const secret = view.get("bucketKeys", secretRow)
    const found = secret && decodeBucketKey(secret.value)
    if (found?.kind !== "secret" || found.epoch >= newest) throw fail("conflict", { bucketId, newest })
    const fence = view.get("bucketKeys", ERASED_EPOCHS_ROW)
    const before = fence && decodeBucketKey(fence.value)
    const epoch = Math.max(newest - 1, before?.kind === "erased" ? before.epoch : 0)
    const freed: Touches = [
      ["names", nameRowKey(bucket.name)],
      ["accountBuckets", accountBucketRowKey(bucket.owner, bucket.name)],
      ...bucket.settings.map(name => ["settings", settingRowKey(bucketId, name)] as const),
      ...settingRowsOf(bucket),
    ]
    const settingsVersion = bucket.settingsVersion + 1
    const erased = (upTo: number) => encodeBucketKey({ kind: "erased", createdMs: nowMs, epoch: upTo })
    return {
      writes: [
        bucketWrite({ ...bucket, state: "erasing", settings: [], settingsVersion }),
        { family: "bucketKeys", key: secretRow, value: erased(newest - 1) },
        { family: "bucketKeys", key: ERASED_EPOCHS_ROW, value: erased(epoch) },
        ...deletionsOf(view, freed),
      ],
      result: undefined,
    }
  },
})

/** An erasure under way. */
export interface BucketErasure {
  readonly id: BucketId
  readonly name: BucketName
  readonly sinceMs: number
  /** Epoch keys up to this one have to go. */
  readonly epoch: number
  /** Still to be removed. */
  readonly versions: number
  readonly uploads: number
}

function erasureIn(view: RowView, { id, name, state }: BucketRecord): BucketErasure | undefined {
  const secret = state === "erasing" ? view.get("bucketKeys", bucketKeyRowKey(id, BUCKET_SECRET)) : undefined
  const key = secret && decodeBucketKey(secret.value)
  if (key?.kind !== "erased") return undefined
  const { versions, uploads } = readCounters(view, id)
  return { id, name, sinceMs: key.createdMs, epoch: key.epoch, versions, uploads }
}

/** All that are under way, in the order of the buckets' ids. */
export const bucketErasures = query("BucketErasures", (view): readonly BucketErasure[] =>
  allBuckets(view)
    .map(bucket => erasureIn(view, bucket))
    .filter(each => each !== undefined),
)

/** "deleted": there was such a bucket, and its secret was not destroyed by an erasure. "never": the id is not assigned yet. */
type BucketTrace = "there" | "erased" | "deleted" | "never"

export const traceOfBucket = query("TraceOfBucket", (view, id: BucketId): BucketTrace => {
  if (view.get("buckets", bucketRowKey(id)) !== undefined) return "there"
  if (isErasedSecret(view, id)) return "erased"
  return id <= lastBucketId(view) ? "deleted" : "never"
})

/**
 * Returns undefined if no secret was ever destroyed. Otherwise returns the epoch up to which no secret is sealed, and
 * no key may stay.
 */
export const erasedEpochs = query("ErasedEpochs", (view): number | undefined => {
  const row = view.get("bucketKeys", ERASED_EPOCHS_ROW)
  const key = row && decodeBucketKey(row.value)
  return key?.kind === "erased" ? key.epoch : undefined
})

/** Versions that one command removes: over SQL a removal costs up to two fetches of the 40 it may make. */
const VERSIONS_MAX = 16

interface Leftovers {
  readonly uploads: readonly UploadAddress[]
  readonly keys: readonly ObjectKey[]
}

/**
 * Some uploads and keys of a bucket. No more versions are looked at than the commands on these keys remove: the others are
 * found once those are gone.
 */
export const leftoversOf = query("LeftoversOf", (view, bucketId: BucketId, max: number): Leftovers => {
  const range = { ...suffixRange(bucketRowKey(bucketId)), expectedRows: max }
  const uploads: UploadAddress[] = []
  for (const [rowKey] of view.range("uploads", range)) {
    if (uploads.length === max) break
    const { key, suffix } = parseObjectRowKey(rowKey)
    uploads.push({ bucketId, key, multipartId: multipartIdOfSuffix(suffix) })
  }
  const keys = new Map<RowKey, ObjectKey>()
  for (const family of ["current", "versions"] as const) {
    let rows = 0
    for (const [rowKey] of view.range(family, range)) {
      if (keys.size >= max || rows === max * VERSIONS_MAX) break
      rows += 1
      keys.set(objectRowKeyOf(rowKey), parseObjectRowKey(rowKey).key)
    }
  }
  return { uploads, keys: [...keys.values()] }
})

function requireErasing(view: RowView, bucketId: BucketId): void {
  if (anyBucket(view, bucketId).state !== "erasing") throw fail("conflict", { bucketId })
}

/** Ends an upload of an erased bucket, one that is being completed too. Throws `conflict` as `abortUpload` does. */
export const dropErasedUpload = command<[address: UploadAddress, frozen?: FrozenParts], void>({
  name: "DropErasedUpload",
  grows: false,
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time, address, frozen) {
    requireErasing(view, address.bucketId)
    const upload = findUpload(view, address)
    if (upload === undefined) return { writes: [], result: undefined }
    checkFrozen(upload, frozen)
    const editor = new RowEditor(view, time, address.bucketId, address.key)
    endUpload(editor, address, "aborted", { upload, partsBytes: frozen?.partsBytes })
    return { ...editor.finish(), result: undefined }
  },
})

/**
 * Removes versions of a key of an erased bucket, the latest one last. Returns whether there may be more. `clockMs`: the
 * store's clock. Throws `objectLocked`.
 */
export const dropErasedKey = command<[bucketId: BucketId, key: ObjectKey, clockMs: number], boolean>({
  name: "DropErasedKey",
  grows: false,
  touches: (bucketId, key) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, bucketId, key, clockMs) {
    requireErasing(view, bucketId)
    const removing = { clockMs, bypassGovernance: false }
    const row = objectRowKey(bucketId, key)
    const latest = findLatest(view, row)
    if (latest === undefined) return { writes: [], result: false }
    const editor = new RowEditor(view, time, bucketId, key)
    const head = view.get("heads", row)
    const versions = head === undefined ? 1 : decodeRowHead(head.value).versions
    let removed = 0
    if (versions > 1) {
      for (const [rowKey, older] of view.range("versions", { ...suffixRange(row), expectedRows: VERSIONS_MAX + 1 })) {
        if (removed === VERSIONS_MAX) break
        if (rowKey === latest.rowKey) continue
        editor.remove({ head: decodeVersionHead(older.value), family: "versions", rowKey, row: older }, removing)
        removed += 1
      }
    }
    const isWhole = removed === versions - 1
    if (isWhole) editor.remove(latest, removing)
    return { ...editor.finish(), result: !isWhole }
  },
})

/**
 * Drops the row of an erased bucket without versions and uploads; for its keys see `dropBucketKeys`. The row of its
 * destroyed secret stays: it tells that the bucket was erased. Throws `bucketNotEmpty`.
 */
export const dropErasedBucket = command<[bucketId: BucketId], void>({
  name: "DropErasedBucket",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    requireErasing(view, bucketId)
    const bucket = anyBucket(view, bucketId)
    const { versions, uploads } = readCounters(view, bucketId)
    if (versions > 0 || uploads > 0) throw fail("bucketNotEmpty")
    requireNothingKept(view, bucket)
    const others = [...firstKeysOf(view, bucketId), ...notedRowsOf(view, bucketId)]
    const rows: Touches = [["buckets", bucketRowKey(bucketId)], ...others]
    const counts = [{ bucketId, change: "drop" }] as const
    return { writes: deletionsOf(view, rows), counts, usage: droppedUsage(bucket), result: undefined }
  },
})
