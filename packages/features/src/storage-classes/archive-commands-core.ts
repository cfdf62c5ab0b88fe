/**
 * Restores of archived versions: whether one can be read, and how a restore begins or is prolonged. Pure.
 *
 * The bytes of archives are on the store's disks, so a restore has no job: it is a time until which the version can be
 * read. It is counted from the later one of the store's clock and the wall clock, and ends by the earlier one: a clock
 * that was set back, or another one ahead, makes it last longer, never shorter.
 * Source  "RestoreObject", Amazon S3 API Reference; "Restoring an archived object", Amazon S3 User Guide.
 */
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { isArchive, type StorageClass } from "@hayloft/base/storage-class.js"
import type { RestoreTier, VersionRestore } from "@hayloft/engine/format/objects/restore.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { command } from "@hayloft/engine/metadata/index.js"
import type { ClassMap } from "@hayloft/objects/door/index.js"
import { expiryClock, requireBucket, requirePresent, RowEditor } from "@hayloft/objects/door/rows.js"

const DAY_MS = 86_400_000

/** Until when a version can be read, if it was restored and that is not over. `nowMs`: the earlier clock. */
export const restoredUntil = (restore: VersionRestore | undefined, nowMs: number): number | undefined =>
  restore !== undefined && restore.untilMs > nowMs ? restore.untilMs : undefined

/** A class without a redundancy of its own is a name: its versions are read like those of STANDARD. */
export const isOnlyNamed = (storageClass: StorageClass, classes: Pick<ClassMap, "policyOf">): boolean =>
  isArchive(storageClass) && classes.policyOf(storageClass) === undefined

/** Clients that wait for a restore before they read are told that it is there, until the last day that a date can name. */
const LAST_DAY_MS = Date.UTC(9999, 11, 31)

/** Until when a version can be read that other clients would restore first; undefined: it is not restored, or is in no archive. */
export const readableUntil = (
  storageClass: StorageClass,
  restore: VersionRestore | undefined,
  nowMs: () => number,
  classes: Pick<ClassMap, "policyOf">,
): number | undefined => (isOnlyNamed(storageClass, classes) ? LAST_DAY_MS : restore && restoredUntil(restore, nowMs()))

/**
 * Throws `invalidObjectState` for a version in an archive that is not restored. An archive is one only where the operator has
 * mapped it. `nowMs`: the earlier clock.
 */
export function requireReadable(
  record: Pick<VersionRecord, "head" | "restore">,
  nowMs: () => number,
  classes: Pick<ClassMap, "policyOf">,
): void {
  const { storageClass } = record.head
  if (!isArchive(storageClass) || isOnlyNamed(storageClass, classes)) return
  if (restoredUntil(record.restore, nowMs()) !== undefined) return
  throw fail("invalidObjectState", { storageClass })
}

/** "rounding the resulting time to the next day midnight UTC." */
const endOf = (fromMs: number, days: number): number => (Math.floor((fromMs + days * DAY_MS) / DAY_MS) + 1) * DAY_MS
/** The days after which a restore that begins now ends at this midnight; below 0: it is over. */
export const daysUntil = (untilMs: number, nowMs: number): number =>
  Math.floor(untilMs / DAY_MS) - Math.floor(nowMs / DAY_MS) - 1

interface RestoreArchived {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly versionId: VersionId | undefined
  readonly days: number
  readonly tier: RestoreTier
  /** The store's clock; 0: it is unknown. */
  readonly clockMs: number
}

interface Restored {
  readonly storageClass: StorageClass
  readonly wasRestored: boolean
}

/**
 * Makes an archived version readable for some days from now. Returns its class, and whether it was restored already: then only
 * the end of that has changed. Throws `invalidObjectState` for a version in another class, `invalidArgument` for a tier that
 * its class does not have, and as `requireVersion`.
 */
export const restoreArchived = command<[request: RestoreArchived], Restored>({
  name: "RestoreArchived",
  grows: false,
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, versionId, days, tier, clockMs }) {
    const { versioning } = requireBucket(view, bucketId)
    const address = { bucketId, key, versionId }
    const found = requirePresent(view, address, versioning, expiryClock(time, clockMs))
    requireTier(found.head.storageClass, tier)
    const record = decodeVersion(found.row.value)
    const requestedMs = Math.max(clockMs, time.nowMs)
    const restore: VersionRestore = { requestedMs, untilMs: endOf(requestedMs, days), tier }
    const editor = new RowEditor(view, time, bucketId, key)
    editor.rewrite(found, before => ({ ...before, restore }))
    const nowMs = clockMs === 0 ? time.nowMs : Math.min(clockMs, time.nowMs)
    const wasRestored = restoredUntil(record.restore, nowMs) !== undefined
    return { ...editor.finish(), result: { storageClass: record.head.storageClass, wasRestored } }
  },
})

function requireTier(storageClass: StorageClass, tier: RestoreTier): void {
  if (!isArchive(storageClass)) {
    throw fail("invalidObjectState", {
      message: "Restore is not allowed for the object's current storage class",
      storageClass,
    })
  }
  if (storageClass !== "DEEP_ARCHIVE" || tier !== "Expedited") return
  throw fail("invalidArgument", {
    message: "Retrieval option is not supported by this storage class",
    argumentName: "Tier",
    argumentValue: tier,
  })
}
