/**
 * The command that renames an object: of one moment, its latest version is under another key, and no longer under its
 * own. Pure.
 *
 * The bytes were copied before, because needles belong to a key: the command only says where they are now. Whatever else a
 * version has is taken from its row as it is now. A payload that is stored with the row goes along, and nothing was copied.
 *
 * Promises  What is renamed is the version whose bytes were copied; otherwise it throws `conflict`. All conditions hold at
 *           the moment of the rename. Counters and counts of the buckets get the sum of both changes.
 * Source  "RenameObject", Amazon S3 API Reference. Its client token is kept with the new version, as long as that is the
 *         latest one of its key.
 */
import { fail } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import type { BucketId, MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { UploadRecord, Versioning } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { isSameSealing, type BoundSealing } from "@hayloft/engine/format/needles/sealing.js"
import {
  decodeVersion,
  type Content,
  type VersionDetails,
  type VersionHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type CommandView, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import type { Conditions, ObjectAcl } from "../contract.js"
import { checkOfFeatures } from "../door/parts.js"
import { conditionSubject, evaluateRename } from "./conditions-core.js"
import { decisionOf, type Edited } from "./edited-core.js"
import { expiryClock, isExpired } from "./expiry-core.js"
import { clocksOf, lockOfRestored } from "./lock-core.js"
import { namingSource } from "../missing-source.js"
import { endUpload, requireUpload, sealedBy, type Completion, type UploadAddress } from "./multipart-commands-core.js"
import { requireBucket } from "./bucket-rows-core.js"
import { findLatest, readDetails, type VersionMatch } from "./found-versions-core.js"
import { RowEditor, type NewVersion } from "./row-editor-core.js"
import {
  checkOwnUpload,
  hintRowKey,
  MARKER,
  requirePresent,
  type MissingShardHint,
  type Stored,
} from "./version-commands-core.js"

/** Before the names of conditions on the source. */
const SOURCE_CONDITIONS = "x-amz-rename-source-"
/** Among the stored headers, where clients see only those that they know: the token, and a digest of the parameters. */
const TOKEN_HEADER = "renameToken"

/** The rename that a client requests. */
export interface Rename {
  /** The bucket of the destination. */
  readonly bucketId: BucketId
  /** It is absent for the same bucket. */
  readonly fromBucketId?: BucketId
  readonly from: ObjectKey
  readonly to: ObjectKey
  readonly sourceConditions: Conditions
  /** On the destination. */
  readonly conditions: Conditions
  /** The client token, and a digest of the other parameters. Neither has spaces. */
  readonly token?: { readonly token: string; readonly parameters: string } | undefined
}

/** The new version, of this rename or of an earlier one with the same token. */
export interface Renamed extends Stored {
  readonly checksumValue: string | undefined
  readonly sealing: BoundSealing | undefined
}

/** The latest version of the source, with everything that is stored with it. */
export interface RenameSource {
  readonly found: VersionMatch
  readonly record: VersionRecord
  readonly details: VersionDetails
}

/**
 * The source, if the request may rename it now; or what an earlier request with its token has made. Throws `noSuchKey`,
 * `preconditionFailed`, `idempotencyMismatch`.
 */
export const renamable = query("Renamable", (view, rename: Rename, nowMs: number): RenameSource | Renamed => {
  const { versioning } = requireBucket(view, rename.bucketId)
  return renamedBefore(view, rename, versioning) ?? requireRenamable(view, rename, nowMs)
})

/** The bucket that the object leaves. */
export const sourceBucketOf = ({ bucketId, fromBucketId = bucketId }: Rename): BucketId => fromBucketId

/**
 * "If you retry a request that completed successfully using the same client token and the same parameters, the retry
 * succeeds without performing any further actions."
 */
function renamedBefore(view: RowView, rename: Rename, versioning: Versioning): Renamed | undefined {
  const { bucketId, to, token } = rename
  const row = objectRowKey(bucketId, to)
  const latest = token && findLatest(view, row)
  if (latest === undefined || latest.head.isMarker) return undefined
  const record = decodeVersion(latest.row.value)
  const [, kept = ""] = readDetails(view, row, record).headers.find(([name]) => name === TOKEN_HEADER) ?? []
  const [keptToken, parameters] = kept.split(" ")
  if (keptToken !== token?.token) return undefined
  if (parameters !== token?.parameters) throw fail("idempotencyMismatch")
  const { checksumValue, sealing, largeObject } = record
  return { versioning, head: latest.head, checksumValue, sealing, largeObject }
}

/** Throws as `requirePresent`, naming the source: the request has a key of its own. */
function requireSource(
  ...[view, source, ...rest]: Parameters<typeof requirePresent>
): ReturnType<typeof requirePresent> {
  try {
    return requirePresent(view, source, ...rest)
  } catch (error) {
    throw namingSource(error, source.key)
  }
}

function requireRenamable(view: RowView, rename: Rename, nowMs: number): RenameSource {
  const { bucketId, from, to, sourceConditions, conditions } = rename
  const fromId = sourceBucketOf(rename)
  if (from === to && fromId === bucketId)
    throw fail("invalidRequest", { message: "an object cannot be renamed to its own key" })
  const { versioning } = requireBucket(view, fromId)
  checkOfFeatures(view, conditions)
  const found = requireSource(view, { bucketId: fromId, key: from, versionId: undefined }, versioning, nowMs)
  const latest = findLatest(view, objectRowKey(bucketId, to))
  const isThere = latest !== undefined && !latest.head.isMarker && !isExpired(latest, nowMs)
  const failure =
    evaluateRename(sourceConditions, conditionSubject(found), SOURCE_CONDITIONS) ??
    evaluateRename(conditions, isThere ? conditionSubject(latest) : undefined)
  if (failure !== undefined) throw failure
  const record = decodeVersion(found.row.value)
  return { found, record, details: readDetails(view, objectRowKey(fromId, from), record) }
}

/** The place where the bytes are now. */
export type RenamedBytes =
  /** With the row of the source, as they are. */
  | { readonly kind: "row" }
  /** Such a payload, sealed meanwhile. */
  | { readonly kind: "payload"; readonly payload: Uint8Array }
  | { readonly kind: "extent"; readonly extent: Extent }
  | {
      readonly kind: "segments"
      readonly multipartId: MultipartId
      readonly completion: Completion
      /** The size and parts of an object that grew, which keeps its ETag: it has as many parts now. */
      readonly equalParts?: { readonly sizeBytes: number; readonly parts: number }
    }

export interface RenameObject extends Rename {
  /** The version whose bytes were copied. */
  readonly version: Pick<VersionHead, "order" | "random">
  readonly bytes: RenamedBytes
  /** The sealing of the bytes, bound to the new version. */
  readonly sealing: BoundSealing | undefined
  /** For the id of the new version, and for that of a delete marker. */
  readonly random: Uint8Array
  readonly markerRandom: Uint8Array
  /** The store's clock, where locks are possible. */
  readonly clockMs: number
  readonly hints: readonly MissingShardHint[]
  /** Replaces the object's own access control list: in another bucket it may have another owner. */
  readonly replaceAcl?: { readonly acl: ObjectAcl | undefined }
}

/** Throws as `renamable`, and `conflict` if the source is another version, `uploadAborted`, `noSuchUpload`, and what features refuse. */
export const renameObject = command<[rename: RenameObject], Renamed>({
  name: "RenameObject",
  touches: rename => [
    ["current", objectRowKey(sourceBucketOf(rename), rename.from)],
    ["current", objectRowKey(rename.bucketId, rename.to)],
  ],
  decide: (view, time, rename) => decisionOf(renameIn(view, time, rename)),
})

/** `before`: the editor of another key that the same decision changes. */
export function renameIn(
  view: CommandView,
  time: DecisionTime,
  rename: RenameObject,
  before?: RowEditor,
): Edited<Renamed> {
  const { bucketId, from, to, sealing } = rename
  const { versioning, lock: bucketLock } = requireBucket(view, bucketId)
  const earlier = renamedBefore(view, rename, versioning)
  if (earlier !== undefined) return { editor: undefined, result: earlier }
  const source = requireRenamable(view, rename, expiryClock(time, rename.clockMs))
  const { head, lock } = source.record
  const isSame = head.order === rename.version.order && hexOf(head.random) === hexOf(rename.version.random)
  if (!isSame) throw fail("conflict")
  const upload = uploadOf(view, rename)
  const made: NewVersion = {
    ...movedVersion(view, time, rename, source),
    lock: lockOfRestored(bucketLock, bucketLock && lock, clocksOf(rename, time)),
  }
  const destination = new RowEditor(view, time, bucketId, to, rename.clockMs, before)
  const newHead = destination.insert(made, versioning)
  if (upload !== undefined) endUpload(destination, upload, "parts", upload)
  destination.record(rename.hints.map(hintRowKey))
  const fromId = sourceBucketOf(rename)
  const left = new RowEditor(view, time, fromId, from, rename.clockMs, destination)
  const { versioning: versioningThere } = requireBucket(view, fromId)
  if (versioningThere === "never") left.remove(source.found, undefined, "renamed")
  else left.insert({ ...MARKER, random: rename.markerRandom }, versioningThere)
  const { checksumValue, largeObject } = source.record
  return { editor: left, result: { versioning, head: newHead, checksumValue, sealing, largeObject } }
}

/** The upload with the copied parts, frozen. Throws `noSuchUpload`, `conflict`. */
function uploadOf(
  view: RowView,
  { bucketId, to, bytes, sealing }: RenameObject,
): (UploadAddress & { readonly upload: UploadRecord; readonly partsBytes: undefined }) | undefined {
  if (bytes.kind !== "segments") return undefined
  const address = { bucketId, key: to, multipartId: bytes.multipartId }
  const upload = requireUpload(view, address)
  const isReady = upload.renamedBy !== undefined && sealedBy(upload, bytes.completion)
  if (!isReady || !isSameSealing(upload.sealing, sealing)) throw fail("conflict")
  return { ...address, upload, partsBytes: undefined }
}

/** The version as it will be under the new key, but for its lock. Throws `conflict`, `uploadAborted`. */
function movedVersion(
  view: CommandView,
  time: DecisionTime,
  rename: RenameObject,
  { found, record, details }: RenameSource,
): NewVersion {
  const { bytes, sealing, random } = rename
  const { head, restore, expiresAtSeconds, largeObject } = record
  const isInRow = bytes.kind === "row" || bytes.kind === "payload"
  if (isInRow !== (record.content.kind === "inline")) throw fail("conflict")
  // The payload may have been sealed since its row was read.
  if (bytes.kind === "row" && !isSameSealing(record.sealing, sealing)) throw fail("conflict")
  if (bytes.kind === "extent") checkOwnUpload(time, bytes.extent.uploadId)
  const ofRow = bytes.kind === "row" ? view.payload(found.family, found.rowKey, found.row) : undefined
  const { checksumAlgorithm, checksumType, sizeBytes, md5, parts, storageClass } = head
  return {
    isMarker: false,
    content: contentOf(bytes),
    payload: bytes.kind === "payload" ? bytes.payload : ofRow,

    sizeBytes,
    md5,
    parts,
    random,
    storageClass,
    isShared: false,
    sealing,
    restore,
    expiresAtSeconds,
    largeObject,
    checksum: { checksumAlgorithm, checksumType, value: record.checksumValue },
    details: withToken(withAcl(details, rename), rename.token),
  }
}

function contentOf(bytes: RenamedBytes): Content {
  if (bytes.kind === "extent") return { kind: "extent", extent: bytes.extent }
  if (bytes.kind !== "segments") return { kind: "inline" }
  // A rename is a later write: a repeated completion must not find it.
  const segments = { kind: "segments", multipartId: bytes.multipartId, completion: new Uint8Array(0) } as const
  if (bytes.equalParts === undefined) return segments
  const { sizeBytes, parts } = bytes.equalParts
  return { ...segments, byOffset: { lastOffset: sizeBytes, uploadedParts: parts } }
}

function withAcl(details: VersionDetails, { replaceAcl }: Pick<RenameObject, "replaceAcl">): VersionDetails {
  if (replaceAcl === undefined) return details
  const { acl: _ofSource, ...others } = details
  return replaceAcl.acl === undefined ? others : { ...others, acl: replaceAcl.acl }
}

function withToken(details: VersionDetails, token: Rename["token"]): VersionDetails {
  const others = details.headers.filter(([name]) => name !== TOKEN_HEADER)
  const isSame = token === undefined && others.length === details.headers.length
  if (isSame) return details
  const kept = token === undefined ? [] : [[TOKEN_HEADER, `${token.token} ${token.parameters}`] as const]
  return { ...details, headers: [...others, ...kept] }
}
