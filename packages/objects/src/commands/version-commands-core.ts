/**
 * Commands on the versions of one object: put, delete, delete by version, attributes, tags, access control list. Pure
 * decisions.
 * Conditions are checked here, so they are atomic for concurrent writers.
 */
import { keptForMs } from "./bucket-commands-core.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, DeviceId, ObjectKey, PartitionId, UploadId, VersionId } from "@hayloft/base/ids.js"
import type { Timestamp } from "@hayloft/base/text/timestamp.js"
import { objectRowKey, textRowKey, u16Text } from "@hayloft/engine/format/row-key.js"
import type { Retention, VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { isSameSealing } from "@hayloft/engine/format/needles/sealing.js"
import { decodeRowHead, type Versioning } from "@hayloft/engine/format/records.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import {
  decodeVersion,
  NO_DETAILS,
  versionIdOfHead,
  type LargeObject,
  type VersionDetails,
  type VersionHead,
} from "@hayloft/engine/format/objects/version-record.js"
import {
  command,
  type CommandView,
  type DecisionTime,
  type MetadataRow,
  type RowView,
} from "@hayloft/engine/metadata/index.js"
import { checkOfFeatures } from "../door/parts.js"
import { removalOfAbsent } from "./changes-core.js"
import { conditionSubject, evaluateWrite, isUnchanged, isUnconditional } from "./conditions-core.js"
import type { Conditions, ObjectAcl } from "../contract.js"
import { decisionOf, type Edited } from "./edited-core.js"
import { expiryClock, isExpired, requireUnexpired, withExpiry } from "./expiry-core.js"
import { clocksOf, lockOfNew, requireRemovable, withRetention } from "./lock-core.js"
import { requireBucket } from "./bucket-rows-core.js"
import { findLatest, findVersion, readDetails } from "./found-versions-core.js"
import { hintWrite } from "./hint-write-core.js"
import { NO_CHECKSUM, RowEditor } from "./row-editor-core.js"
import type { VersionMatch } from "./found-versions-core.js"
import type { NewVersion, Removing } from "./row-editor-core.js"
import type { Tags } from "@hayloft/base/tags.js"

/** The device lacks shards of the partition that were not durable at the acknowledgement. */
export interface MissingShardHint {
  readonly partition: PartitionId
  readonly deviceId: DeviceId
}

export interface PutVersion {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The upload of this process that this version makes reachable; undefined if bytes are shared. */
  readonly uploadId: UploadId | undefined
  readonly conditions: Conditions
  /** Its lock is what the request states. */
  readonly version: Omit<NewVersion, "isMarker">
  /** The store's clock, where locks, or features that keep what is deleted, are possible. */
  readonly clockMs?: number
  readonly hints: readonly MissingShardHint[]
  /** A version of the same row whose bytes the new one shares. */
  readonly sharesWith?: VersionId
  /** When another store has made the write that is repeated. */
  readonly timestamp?: Timestamp | undefined
  /** It is accepted on a disk that has no space for more. */
  readonly makesSpace?: true | undefined
}

export interface Stored {
  readonly versioning: Versioning
  readonly head: VersionHead
  readonly largeObject?: LargeObject | undefined
}

const etagSubject = (found: VersionMatch | undefined) => found && conditionSubject(found)

export const hintRowKey = ({ partition, deviceId }: MissingShardHint) => textRowKey(u16Text(partition) + deviceId)

/** Hints that one command carries, so that it has room for its own rows. */
export const HINTS_PER_COMMAND = 128

/** Records hints of an upload that has more of them than the command that makes it reachable can carry. */
export const recordHints = command<[hints: readonly MissingShardHint[]], void>({
  name: "RecordHints",
  grows: false,
  touches: hints => hints.map(hint => ["missingShardHints", hintRowKey(hint)]),
  decide: (view, time, hints) => ({
    writes: hints.map(hint => hintWrite(view, time, hintRowKey(hint))),
    result: undefined,
  }),
})

/**
 * Refuses bytes that another process has written: once a process has ended, others remove what no row references.
 * Throws `uploadAborted`.
 */
export function checkOwnUpload({ incarnations }: DecisionTime, uploadId: UploadId): void {
  if (incarnationOf(uploadId) !== incarnations.own) throw fail("uploadAborted")
}

/** Whose conditions are checked. */
export interface CheckedWrite {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly conditions: Conditions
}

/** Checks a write's conditions against the row as it is at this time. Throws `preconditionFailed`, `noSuchKey`. */
export function checkWrite(view: RowView, { bucketId, key, conditions }: CheckedWrite, nowMs: number): void {
  if (isUnconditional(conditions)) return
  checkOfFeatures(view, conditions)
  const latest = findLatest(view, objectRowKey(bucketId, key))
  const isThere = latest !== undefined && !latest.head.isMarker && !isExpired(latest, nowMs)
  const failure = evaluateWrite(conditions, etagSubject(isThere ? latest : undefined))
  if (failure) throw failure
  const { ifUnchanged } = conditions
  if (ifUnchanged !== undefined && !isUnchanged(ifUnchanged, latest, isThere))
    throw fail("preconditionFailed", { condition: "unchanged" })
}

export const putVersion = command<[put: PutVersion], Stored>({
  name: "PutVersion",
  grows: ({ makesSpace }) => makesSpace !== true,
  touches: put => [["current", objectRowKey(put.bucketId, put.key)]],
  decide(view, time, put) {
    if (put.uploadId !== undefined) checkOwnUpload(time, put.uploadId)
    const { editor, stored } = insertVersion(view, time, put)
    const { writes, counts, usage } = editor.finish()
    return { writes, counts, usage, result: stored }
  },
})

/** Inserts the version with all checks of `putVersion`, but for the upload of its bytes. The caller finishes the decision. */
export function insertVersion(
  view: CommandView,
  time: DecisionTime,
  put: Omit<PutVersion, "uploadId">,
): { readonly editor: RowEditor; readonly stored: Stored } {
  const bucket = requireBucket(view, put.bucketId)
  const { versioning, lock: bucketLock } = bucket
  checkWrite(view, put, expiryClock(time, put.clockMs))
  // A version that a feature may keep cannot share its bytes.
  if (put.sharesWith !== undefined && keptForMs(bucket) !== undefined) throw fail("conflict")
  const editor = new RowEditor(view, time, put.bucketId, put.key, put.clockMs)
  editor.isCopy = put.conditions.isCopy === true
  if (put.timestamp !== undefined) editor.repeat({ timestamp: put.timestamp, md5: put.version.md5 })
  const content =
    put.sharesWith === undefined ? put.version.content : shareBytes(view, editor, put.sharesWith, put.version)
  const lock = lockOfNew(bucketLock, put.version.lock, clocksOf(put, time))
  const head = editor.insert(objectOf(put.version, content, lock), versioning)
  editor.record(put.hints.map(hintRowKey))
  return { editor, stored: { versioning, head, largeObject: put.version.largeObject } }
}

/** Written out: an object literal with a spread costs more than the rest of a decision. */
function objectOf(
  version: Omit<NewVersion, "isMarker">,
  content: NewVersion["content"],
  lock: NewVersion["lock"],
): NewVersion {
  const { payload, sizeBytes, md5, parts, random, checksum, details, storageClass, isShared, sealing } = version
  const { expiresAtSeconds, largeObject } = version
  return {
    isMarker: false,
    content,
    payload,
    sizeBytes,
    md5,
    parts,
    random,
    checksum,
    details,
    storageClass,
    isShared,
    lock,
    sealing,
    expiresAtSeconds,
    largeObject,
  }
}

/** The content that both versions reference. The source must still reference the upload that is to be shared. */
function shareBytes(
  view: RowView,
  editor: RowEditor,
  source: VersionId,
  version: Pick<NewVersion, "content" | "storageClass" | "sealing" | "sizeBytes">,
): NewVersion["content"] {
  const found = findVersion(view, editor.row, source)
  const record = found && decodeVersion(found.row.value)
  const content = record?.content
  const same =
    (content?.kind === "extent" &&
      version.content.kind === "extent" &&
      content.extent.uploadId === version.content.extent.uploadId) ||
    (content?.kind === "segments" &&
      version.content.kind === "segments" &&
      content.multipartId === version.content.multipartId &&
      // The object may have grown.
      found?.head.sizeBytes === version.sizeBytes)
  // The bytes may have been encrypted since they were read: the copy would lack their key.
  if (!found || !same || !isSameSealing(record?.sealing, version.sealing)) throw fail("conflict")
  // Bytes have one policy, so versions share them only within one class.
  if (found.head.storageClass !== version.storageClass) throw fail("conflict")
  editor.share(found)
  // The bytes may have been re-encoded since they were read.
  return content.kind === "extent" ? content : version.content
}

interface Removed {
  readonly versioning: Versioning
  readonly versionId: VersionId | undefined
  readonly deleteMarker: boolean
}

export interface RemoveLatest {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly conditions: Conditions
  /** No lock yields if it is absent. */
  readonly removing?: Removing
  /** Random bytes for the id of a marker. */
  readonly random: Uint8Array
  /** When another store has made the removal that is repeated. */
  readonly timestamp?: Timestamp | undefined
}

/** Returns true if the head of an object only guards its absence: there is no version. */
export const isGuard = ({ value }: MetadataRow): boolean => decodeRowHead(value).versions === 0

/**
 * Returns true if nothing is stored under a key. The decision does not rely on it, but on the change that it writes.
 */
const isAbsent = (view: CommandView, { bucketId, key }: Pick<RemoveLatest, "bucketId" | "key">): boolean => {
  const row = objectRowKey(bucketId, key)
  const head = view.ifPresent("heads", row)
  return view.ifPresent("current", row) === undefined && (head === undefined || isGuard(head))
}

/** DELETE without a version: removes the object, or adds a delete marker. */
export const removeLatest = command<[remove: RemoveLatest], Removed>({
  name: "RemoveLatest",
  grows: false,
  touches: remove => [["current", objectRowKey(remove.bucketId, remove.key)]],
  decide(view, time, remove) {
    const bucket = requireBucket(view, remove.bucketId)
    const { versioning } = bucket
    if (remove.timestamp !== undefined && isAbsent(view, remove)) {
      const result = { versioning, versionId: undefined, deleteMarker: false }
      return { writes: removalOfAbsent(view, bucket, remove.key, remove.timestamp, time), result }
    }
    return decisionOf(removeLatestIn(view, time, remove))
  },
})

/** `before`: the editor of another key that the same decision changes. */
export function removeLatestIn(
  view: CommandView,
  time: DecisionTime,
  remove: RemoveLatest,
  before?: RowEditor,
): Edited<Removed> {
  const { versioning } = requireBucket(view, remove.bucketId)
  checkWrite(view, remove, expiryClock(time, remove.removing?.clockMs))
  const editor = new RowEditor(view, time, remove.bucketId, remove.key, remove.removing?.clockMs, before)
  editor.isCopy = remove.conditions.isCopy === true
  if (remove.timestamp !== undefined) editor.repeat({ timestamp: remove.timestamp, md5: undefined })
  if (versioning === "never") {
    const latest = editor.latestObject()
    if (latest) editor.remove(latest, remove.removing)
    return { editor: latest && editor, result: { versioning, versionId: undefined, deleteMarker: false } }
  }
  const head = editor.insert({ ...MARKER, random: remove.random }, versioning)
  return { editor, result: { versioning, versionId: versionIdOfHead(head), deleteMarker: true } }
}

/** A delete marker, but for its random bytes. */
export const MARKER = {
  isMarker: true,
  content: { kind: "none" },
  payload: undefined,
  sizeBytes: 0,
  md5: new Uint8Array(16),
  parts: 0,
  checksum: NO_CHECKSUM,
  details: NO_DETAILS,
  storageClass: "STANDARD",
  isShared: false,
} as const

export interface RemoveVersion {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly versionId: VersionId
  readonly conditions: Conditions
  /** No lock yields if it is absent. */
  readonly removing?: Removing
}

/** DELETE of one version or marker; an absent one is not an error. Throws `objectLocked`. */
export const removeVersion = command<[remove: RemoveVersion], Removed>({
  name: "RemoveVersion",
  grows: false,
  touches: remove => [["current", objectRowKey(remove.bucketId, remove.key)]],
  decide: (view, time, remove) => decisionOf(removeVersionIn(view, time, remove)),
})

/** `before`: the editor of another key that the same decision changes. */
export function removeVersionIn(
  view: CommandView,
  time: DecisionTime,
  remove: RemoveVersion,
  before?: RowEditor,
): Edited<Removed> {
  const row = objectRowKey(remove.bucketId, remove.key)
  const { versioning } = requireBucket(view, remove.bucketId)
  checkOfFeatures(view, remove.conditions)
  const found = findVersion(view, row, remove.versionId)
  const { ifUnchanged } = remove.conditions
  // The null version may be another one by now.
  if (ifUnchanged !== undefined && found !== undefined && found.head.order > ifUnchanged.atUs)
    throw fail("preconditionFailed", { condition: "unchanged" })
  const failure = evaluateWrite(remove.conditions, etagSubject(found?.head.isMarker ? undefined : found))
  if (failure) throw failure
  const result = { versioning, versionId: remove.versionId, deleteMarker: found?.head.isMarker ?? false }
  if (!found) return { editor: undefined, result }
  const editor = new RowEditor(view, time, remove.bucketId, remove.key, remove.removing?.clockMs, before)
  editor.remove(found, remove.removing)
  return { editor, result }
}

interface VersionAddress {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly versionId: VersionId | undefined
}

/** Replaces the details stored with one version; its bytes, times and order stay. `removes` returns true if they only shrink. */
const changeDetails = <Change>(
  name: string,
  removes: (to: Change) => boolean,
  change: (details: VersionDetails, to: Change) => VersionDetails,
) =>
  command<[address: VersionAddress, to: Change], VersionId | undefined>({
    name,
    grows: (_address, to) => !removes(to),
    touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
    decide(view, time, { bucketId, key, versionId }, to) {
      const { versioning } = requireBucket(view, bucketId)
      const found = requirePresent(view, { bucketId, key, versionId }, versioning, time.nowMs)
      const details = readDetails(view, objectRowKey(bucketId, key), decodeVersion(found.row.value))
      const editor = new RowEditor(view, time, bucketId, key)
      editor.setDetails(found, change(details, to))
      return { ...editor.finish(), result: versioning === "never" ? undefined : versionIdOfHead(found.head) }
    },
  })

export const setTags = changeDetails<Tags>(
  "SetTags",
  tags => tags.length === 0,
  (details, tags) => ({ ...details, tags }),
)

/** The list was made for this owner: a version of another owner needs another list. Throws `conflict`. */
export const setAcl = changeDetails<ObjectAcl | undefined>(
  "SetAcl",
  acl => acl?.grants === undefined,
  ({ acl: before, ...details }, acl) => {
    if (before?.owner !== acl?.owner) throw fail("conflict")
    return acl === undefined ? details : { ...details, acl }
  },
)

interface SetAttributes extends Pick<Removing, "clockMs"> {
  readonly conditions: Conditions
  /** Headers that may be replaced are removed if they are absent, but for the content type. */
  readonly headers: VersionDetails["headers"]
  readonly userMetadata: VersionDetails["userMetadata"]
  /** If it is undefined, the object does not expire from now on. */
  readonly expiresAtSeconds?: number | undefined
}

/** Headers that change with the attributes; others belong to the bytes, or to another operation. */
const REPLACED_HEADERS: ReadonlySet<string> = new Set([
  "cacheControl",
  "contentDisposition",
  "contentEncoding",
  "contentLanguage",
  "expires",
  "segmentPrefix",
])

function withAttributes(details: VersionDetails, { headers, userMetadata }: SetAttributes): VersionDetails {
  const given = new Set(headers.map(([name]) => name))
  const kept = details.headers.filter(([name]) => !given.has(name) && !REPLACED_HEADERS.has(name))
  return { ...details, headers: [...headers, ...kept], userMetadata }
}

/**
 * Replaces the attributes of a version in place: its bytes, ETag, order and lists stay. It counts as modified now, so that
 * caches ask again; what was written when follows from its order. Locks protect attributes as they protect bytes. Throws
 * `objectLocked`, `preconditionFailed`, and as `requireVersion`.
 */
export const setAttributes = command<[address: VersionAddress, to: SetAttributes], Stored>({
  name: "SetAttributes",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, versionId }, to) {
    const { versioning } = requireBucket(view, bucketId)
    const found = requirePresent(view, { bucketId, key, versionId }, versioning, expiryClock(time, to.clockMs))
    checkOfFeatures(view, to.conditions)
    const failure = evaluateWrite(to.conditions, etagSubject(found))
    if (failure) throw failure
    const record = decodeVersion(found.row.value)
    if (record.lock !== undefined) requireRemovable(record.lock, { clockMs: to.clockMs, bypassGovernance: false })
    const details = readDetails(view, objectRowKey(bucketId, key), record)
    const editor = new RowEditor(view, time, bucketId, key)
    editor.setDetails(found, withAttributes(details, to))
    editor.rewrite(found, before => withExpiry(before, to.expiresAtSeconds))
    const modifiedMs = editor.markModified(found)
    const result = { versioning, head: { ...found.head, modifiedMs }, largeObject: record.largeObject }
    return { ...editor.finish(), result }
  },
})

/**
 * Changes the lock of a version. `releases` returns true for a change after which the version may be deleted: a full store has
 * to make that. Throws `noObjectLock`, and as `requireVersion`.
 */
const changeLock = <Change>(
  name: string,
  releases: (to: Change) => boolean,
  change: (lock: VersionLock | undefined, to: Change, nowMs: number) => VersionLock,
) =>
  command<[address: VersionAddress, to: Change], void>({
    name,
    grows: (_address, to) => !releases(to),
    touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
    decide(view, time, { bucketId, key, versionId }, to) {
      const { lock, versioning } = requireBucket(view, bucketId)
      if (lock === undefined) throw fail("noObjectLock")
      const found = requirePresent(view, { bucketId, key, versionId }, versioning, time.nowMs)
      const editor = new RowEditor(view, time, bucketId, key)
      editor.rewrite(found, ({ lock: before, ...record }) => {
        const { retention, legalHold } = change(before, to, time.nowMs)
        const isLocked = retention !== undefined || legalHold !== undefined
        const changed = { ...record, head: { ...record.head, isLocked } }
        return isLocked ? { ...changed, lock: { retention, legalHold } } : changed
      })
      return { ...editor.finish(), result: undefined }
    },
  })

interface SetRetention extends Removing {
  readonly retention: Retention | undefined
}

/** Throws `objectLocked`, `retentionIsOver`. */
export const setRetention = changeLock<SetRetention>(
  "SetRetention",
  ({ retention }) => retention === undefined,
  (lock, { retention, ...removing }, nowMs) => withRetention(lock, retention, { ...removing, nowMs }),
)

export const setLegalHold = changeLock<boolean>(
  "SetLegalHold",
  legalHold => !legalHold,
  (lock, legalHold) => ({ retention: lock?.retention, legalHold }),
)

/**
 * The version that a request names; it must be an object. Throws `noSuchKey` (with the marker's id if the latest
 * version is a marker), `noSuchVersion`, `isDeleteMarker`.
 */
export function requireVersion(
  view: RowView,
  bucketId: BucketId,
  key: ObjectKey,
  versionId: VersionId | undefined,
): VersionMatch {
  const row = objectRowKey(bucketId, key)
  if (versionId === undefined) {
    const latest = findLatest(view, row)
    if (!latest) throw fail("noSuchKey")
    if (!latest.head.isMarker) return latest
    throw fail("noSuchKey", { deleteMarker: true, versionId: versionIdOfHead(latest.head) })
  }
  const found = findVersion(view, row, versionId)
  if (!found) throw fail("noSuchVersion", { versionId })
  if (found.head.isMarker) {
    throw fail("isDeleteMarker", { versionId, deleteMarker: true, lastModifiedMs: found.head.modifiedMs })
  }
  return found
}

/** The same, unless it has expired. */
export function requirePresent(
  view: RowView,
  { bucketId, key, versionId }: VersionAddress,
  versioning: Versioning,
  nowMs: number,
): VersionMatch {
  const found = requireVersion(view, bucketId, key, versionId)
  requireUnexpired(found, { versionId, versioning, nowMs })
  return found
}
