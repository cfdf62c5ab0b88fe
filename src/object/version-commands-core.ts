/**
 * Commands on the versions of one object: put, delete, delete by version, tags, access control list. Pure decisions;
 * conditions are checked here, which is what makes them atomic for every racer.
 */
import { fail } from "../base/failures.js"
import type { BucketId, DeviceId, ObjectKey, PartitionId, UploadId, VersionId } from "../base/ids.js"
import { objectRowKey, textRowKey, uploadRowKey, u16Text } from "../format/row-key.js"
import { PRESENT, type Versioning } from "../format/records.js"
import {
  decodeVersion,
  etagOfHead,
  NO_DETAILS,
  versionIdOfHead,
  type VersionDetails,
  type VersionHead,
} from "../format/version-record.js"
import type { Command, TabletView } from "../tablet/index.js"
import { judgeWrite } from "./conditions-core.js"
import type { Conditions, ObjectAcl, Tags } from "./contract.js"
import { findLatest, findVersion, NO_CHECKSUM, readDetails, requireBucket, RowEditor } from "./row-editor-core.js"
import type { FoundVersion, NewVersion } from "./row-editor-core.js"

/** Shards that were not durable at the acknowledgement: this device owes them to this partition. */
export interface Debt {
  readonly partition: PartitionId
  readonly deviceId: DeviceId
}

export interface PutVersion {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The upload that this version makes reachable, refused where it was given up; undefined where bytes are shared. */
  readonly uploadId: UploadId | undefined
  readonly conditions: Conditions
  readonly version: Omit<NewVersion, "isMarker">
  readonly debts: readonly Debt[]
  /** A version of the same row whose bytes the new one shares. */
  readonly sharesWith?: VersionId
}

export interface Stored {
  readonly versioning: Versioning
  readonly head: VersionHead
}

const etagSubject = (found: FoundVersion | undefined) =>
  found && { etag: etagOfHead(found.head), modifiedMs: found.head.modifiedMs }

export const debtRowKey = ({ partition, deviceId }: Debt) => textRowKey(u16Text(partition) + deviceId)

/** Debts that one command carries: a command may touch 1,024 rows. */
export const DEBTS_PER_COMMAND = 512

/** Notes what devices owe, for an upload that owes more than the command that makes it reachable can carry. */
export function noteDebts(debts: readonly Debt[]): Command<void> {
  return {
    name: "NoteDebts",
    grows: false,
    touches: [],
    decide: () => ({
      writes: debts.map(debt => ({ family: "debts", key: debtRowKey(debt), value: PRESENT })),
      result: undefined,
    }),
  }
}

/** Refuses an upload that the collector has given up meanwhile; its bytes may be gone. */
export function refuseVoid(view: TabletView, bucketId: BucketId, key: ObjectKey, uploadId: UploadId): void {
  if (view.get("voids", uploadRowKey(objectRowKey(bucketId, key), uploadId))) throw fail("uploadVoid")
}

/** Checks a write's conditions against the row as it is now. Throws `preconditionFailed`, `noSuchKey`. */
export function checkWrite(view: TabletView, bucketId: BucketId, key: ObjectKey, conditions: Conditions): void {
  if (conditions.ifMatch === undefined && conditions.ifNoneMatch === undefined) return
  const latest = findLatest(view, objectRowKey(bucketId, key))
  const failure = judgeWrite(conditions, etagSubject(latest?.head.isMarker ? undefined : latest))
  if (failure) throw failure
}

export function putVersion(put: PutVersion): Command<Stored> {
  const row = objectRowKey(put.bucketId, put.key)
  return {
    name: "PutVersion",
    touches: [["current", row]],
    decide(view, time) {
      const { versioning } = requireBucket(view, put.bucketId)
      if (put.uploadId !== undefined) refuseVoid(view, put.bucketId, put.key, put.uploadId)
      checkWrite(view, put.bucketId, put.key, put.conditions)
      const editor = new RowEditor(view, time, put.bucketId, put.key)
      const content =
        put.sharesWith === undefined ? put.version.content : shareBytes(view, editor, put.sharesWith, put.version)
      const head = editor.insert(objectOf(put.version, content), versioning)
      for (const debt of put.debts) editor.put("debts", debtRowKey(debt), PRESENT)
      return { writes: editor.finish(), result: { versioning, head } }
    },
  }
}

/** Written out: a literal that spreads another costs more than all the rest of a decision. */
function objectOf(version: Omit<NewVersion, "isMarker">, content: NewVersion["content"]): NewVersion {
  const { payload, sizeBytes, md5, parts, random, checksum, details, isShared } = version
  return { isMarker: false, content, payload, sizeBytes, md5, parts, random, checksum, details, isShared }
}

/** What both versions name from now on. The source must still be of the upload that the new version is to share. */
function shareBytes(
  view: TabletView,
  editor: RowEditor,
  source: VersionId,
  version: { content: NewVersion["content"] },
): NewVersion["content"] {
  const found = findVersion(view, editor.row, source)
  const content = found && decodeVersion(found.row.value).content
  const same =
    (content?.kind === "extent" &&
      version.content.kind === "extent" &&
      content.extent.uploadId === version.content.extent.uploadId) ||
    (content?.kind === "segments" &&
      version.content.kind === "segments" &&
      content.multipartId === version.content.multipartId)
  if (!found || !same) throw fail("conflict")
  editor.share(found)
  // The bytes may have been coded anew since they were read.
  return content.kind === "extent" ? content : version.content
}

export interface Removed {
  readonly versioning: Versioning
  readonly versionId: VersionId | undefined
  readonly deleteMarker: boolean
}

export interface RemoveLatest {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly conditions: Conditions
  /** For the id of a marker. */
  readonly random: Uint8Array
}

/** DELETE without a version: removes the object, or puts a delete marker on top. */
export function removeLatest(remove: RemoveLatest): Command<Removed> {
  const row = objectRowKey(remove.bucketId, remove.key)
  return {
    name: "RemoveLatest",
    grows: false,
    touches: [["current", row]],
    decide(view, time) {
      const { versioning } = requireBucket(view, remove.bucketId)
      checkWrite(view, remove.bucketId, remove.key, remove.conditions)
      const editor = new RowEditor(view, time, remove.bucketId, remove.key)
      if (versioning === "never") {
        const latest = editor.latestObject()
        if (latest) editor.remove(latest)
        const result = { versioning, versionId: undefined, deleteMarker: false }
        return { writes: latest ? editor.finish() : [], result }
      }
      const head = editor.insert({ ...MARKER, random: remove.random }, versioning)
      return { writes: editor.finish(), result: { versioning, versionId: versionIdOfHead(head), deleteMarker: true } }
    },
  }
}

const MARKER = {
  isMarker: true,
  content: { kind: "none" },
  payload: undefined,
  sizeBytes: 0,
  md5: new Uint8Array(16),
  parts: 0,
  checksum: NO_CHECKSUM,
  details: NO_DETAILS,
  isShared: false,
} as const

export interface RemoveVersion {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly versionId: VersionId
  readonly conditions: Conditions
}

/** DELETE of one version or marker; an absent one is no error. */
export function removeVersion(remove: RemoveVersion): Command<Removed> {
  const row = objectRowKey(remove.bucketId, remove.key)
  return {
    name: "RemoveVersion",
    grows: false,
    touches: [["current", row]],
    decide(view, time) {
      const { versioning } = requireBucket(view, remove.bucketId)
      const found = findVersion(view, row, remove.versionId)
      const failure = judgeWrite(remove.conditions, etagSubject(found?.head.isMarker ? undefined : found))
      if (failure) throw failure
      const result = { versioning, versionId: remove.versionId, deleteMarker: found?.head.isMarker ?? false }
      if (!found) return { writes: [], result }
      const editor = new RowEditor(view, time, remove.bucketId, remove.key)
      editor.remove(found)
      return { writes: editor.finish(), result }
    },
  }
}

interface VersionAddress {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly versionId: VersionId | undefined
}

export const setTags = ({ tags, ...address }: VersionAddress & { readonly tags: Tags }) =>
  changeDetails("SetTags", address, details => ({ ...details, tags }))

/** The list was made for this owner: of another's version it says something else. Throws `conflict`. */
export const setAcl = ({ acl, ...address }: VersionAddress & { readonly acl: ObjectAcl | undefined }) =>
  changeDetails("SetAcl", address, ({ acl: before, ...details }) => {
    if (before?.owner !== acl?.owner) throw fail("conflict")
    return acl === undefined ? details : { ...details, acl }
  })

/** Replaces what is stored beside the bytes of one version; those, times and order stay. */
function changeDetails(
  name: string,
  { bucketId, key, versionId }: VersionAddress,
  change: (details: VersionDetails) => VersionDetails,
): Command<VersionId | undefined> {
  const row = objectRowKey(bucketId, key)
  return {
    name,
    touches: [["current", row]],
    decide(view, time) {
      const { versioning } = requireBucket(view, bucketId)
      const found = requireVersion(view, bucketId, key, versionId)
      const details = readDetails(view, row, decodeVersion(found.row.value))
      const editor = new RowEditor(view, time, bucketId, key)
      editor.setDetails(found, change(details))
      return { writes: editor.finish(), result: versioning === "never" ? undefined : versionIdOfHead(found.head) }
    },
  }
}

/**
 * The version that a request names, an object. Throws `noSuchKey` (with the marker's id where the
 * latest is one), `noSuchVersion`, `isDeleteMarker`.
 */
export function requireVersion(
  view: TabletView,
  bucketId: BucketId,
  key: ObjectKey,
  versionId: VersionId | undefined,
): FoundVersion {
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
