/**
 * Named extents: the rows of one object key that reference an upload's bytes. Pure.
 *
 * Rows that do not contain the upload's id byte for byte are skipped without decoding: a large multipart object
 * references thousands of uploads.
 */
import type { BucketId, MultipartId, ObjectKey, RowKey, UploadId } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { bucketKeyRowKey, decodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { encodeRecoveryHeader, type RecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import { isVersionFamily, type VersionFamily } from "@hayloft/engine/format/objects/deleted-version.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { plainBytesOf, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import {
  decodeBucket,
  decodePart,
  decodeSegment,
  decodeUpload,
  type PartRecord,
  type SegmentRecord,
} from "@hayloft/engine/format/records.js"
import {
  bucketRowKey,
  multipartRowKey,
  objectRowKey,
  parseObjectRowKey,
  suffixRange,
  uploadOfPartRowKey,
} from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS, type VersionDetails, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import { hasDigests } from "./manifest-core.js"
import { headersOf } from "./object-info-core.js"
import { readDetails } from "../commands/found-versions-core.js"
import { holding, versionOfSegments, versionsOfBytes, type RowPlace } from "./versions-of-bytes-core.js"

export interface UploadName {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly uploadId: UploadId
  /** A row that referenced the upload when the caller met it: of the others, only those are read that might, too. */
  readonly foundIn?: RowPlace | undefined
}

interface Named {
  readonly rowKey: RowKey
  readonly row: MetadataRow
  readonly extent: Extent
}

/** A row that references an upload's bytes. */
export type Naming =
  | (Named & { readonly family: VersionFamily; readonly record: VersionRecord })
  | (Named & { readonly family: "parts"; readonly record: PartRecord; readonly multipartId: MultipartId })
  | (Named & { readonly family: "segments"; readonly record: SegmentRecord; readonly multipartId: MultipartId })

/** All rows that reference the upload's bytes. A decision may rely on their number, as on that of `versionsOfBytes`. */
export function* namingsOf(view: RowView, { bucketId, key, uploadId, foundIn }: UploadName): Generator<Naming> {
  const stem = objectRowKey(bucketId, key)
  // Bytes of a part stay in the rows of its multipart upload.
  const isOfPart = foundIn !== undefined && !isVersionFamily(foundIn.family)
  const found = { ...suffixRange(isOfPart ? uploadOfPartRowKey(foundIn.rowKey) : stem), presentOnly: true }
  const holdsId = holding(uploadId)
  const versions = isOfPart ? [] : versionsOfBytes(view, stem, uploadId, foundIn)
  for (const { head, family, rowKey, row, record } of versions) {
    if (record.content.kind === "extent") yield { family, rowKey, row, record, extent: record.content.extent }
    if (!head.isShared) return
  }
  for (const [rowKey, row] of view.range("parts", found)) {
    if (!holdsId(row)) continue
    const record = decodePart(row.value)
    const { extent } = record
    if (extent.uploadId === uploadId)
      yield { family: "parts", rowKey, row, record, extent, multipartId: multipartOf(rowKey) }
  }
  for (const [rowKey, row] of view.range("segments", found)) {
    if (!holdsId(row)) continue
    const record = decodeSegment(row.value)
    const part = record.parts.find(({ extent }) => extent.uploadId === uploadId)
    if (part) yield { family: "segments", rowKey, row, record, extent: part.extent, multipartId: multipartOf(rowKey) }
  }
}

const multipartOf = (rowKey: RowKey): MultipartId => multipartIdOfSuffix(parseObjectRowKey(rowKey).suffix)

/**
 * The recovery header of an upload's first block, rebuilt from its row; undefined if the bucket no longer exists, or the
 * secret of sealed bytes, which are then no object's any more.
 */
export function recoveryHeaderOf(view: RowView, { bucketId, key }: UploadName, naming: Naming): Uint8Array | undefined {
  const bucketRow = view.get("buckets", bucketRowKey(bucketId))
  if (!bucketRow) return undefined
  const { name: bucket } = decodeBucket(bucketRow.value)
  const isPart = naming.family === "parts" || naming.family === "segments"
  const row = objectRowKey(bucketId, key)
  const given = isPart ? givenToParts(view, row, naming.multipartId) : givenTo(view, row, naming.record)
  const { details, lock, sealing, storageClass, sizeBytes } = given
  const sealed = naming.extent.isSealed && sealing ? sealedUploadOf(view, bucketId, sealing, naming.extent) : undefined
  if (naming.extent.isSealed && sealed === undefined) return undefined
  const isRun = naming.family === "segments" && isPartOfBody(view, { bucketId, key }, naming, sizeBytes)
  const plannedLengthBytes = isRun ? NEVER_WHOLE : naming.extent.lengthBytes
  const { contentType = "" } = headersOf(details)
  const { userMetadata } = details
  const multipartId = isPart ? naming.multipartId : ""
  const ofClass = storageClass === undefined || storageClass === "STANDARD" ? {} : { storageClass }
  const note = { bucket, contentType, userMetadata, plannedLengthBytes, multipartId }
  return encodeRecoveryHeader({ ...note, ...(lock && { lock }), ...(sealed && { sealed }), ...ofClass })
}

/** A size beyond any object: a rescue without rows takes the bytes as incomplete. */
export const NEVER_WHOLE = Number.MAX_SAFE_INTEGER

/** Returns true if an object that was put with shared blocks has other bytes too, or is gone. */
function isPartOfBody(
  view: RowView,
  { bucketId, key }: Pick<UploadName, "bucketId" | "key">,
  { extent, multipartId }: Extract<Naming, { readonly family: "segments" }>,
  sizeBytes: number | undefined,
): boolean {
  if (extent.part !== 0 || !hasDigests(view, bucketId, { key, multipartId })) return false
  return plainBytesOf(extent) !== sizeBytes
}

function sealedUploadOf(
  view: RowView,
  bucketId: BucketId,
  { key, secret, salt }: Sealing,
  { sealedAs }: Extent,
): RecoveryHeader["sealed"] | undefined {
  const find = (number: number) => {
    const row = view.get("bucketKeys", bucketKeyRowKey(bucketId, number))
    return row && decodeBucketKey(row.value)
  }
  const stored = find(secret)
  if (stored?.kind !== "secret") return undefined
  const ofBucket = key.mode === "kms" && typeof key.dataKey === "number" ? find(key.dataKey) : undefined
  // Without `bind`, which belongs to one version.
  return {
    sealing: { key, secret, salt },
    epoch: stored.epoch,
    sealedSecret: stored.sealed,
    ...(ofBucket?.kind === "dataKey" && { bucketKey: ofBucket.ciphertext }),
    ...(sealedAs && { sealedAs }),
  }
}

/** The contents of a recovery header beside the bytes. Lock and class are those that the version has now. */
interface Given {
  readonly details: VersionDetails
  readonly lock?: VersionLock | undefined
  readonly sealing?: Sealing | undefined
  readonly storageClass?: StorageClass | undefined
  /** The size of a version. */
  readonly sizeBytes?: number | undefined
}

const givenTo = (view: RowView, row: RowKey, record: VersionRecord): Given => ({
  details: readDetails(view, row, record),
  lock: record.lock,
  sealing: record.sealing,
  storageClass: record.head.storageClass,
  sizeBytes: record.head.sizeBytes,
})

/** Returns the contents for the upload in progress, or for the version created from it. */
function givenToParts(view: RowView, row: RowKey, multipartId: MultipartId): Given {
  const upload = view.get("uploads", multipartRowKey(row, multipartId))
  if (upload) return decodeUpload(upload.value)
  const version = versionOfSegments(view, row, multipartId)
  return version ? givenTo(view, row, version.record) : { details: NO_DETAILS }
}
