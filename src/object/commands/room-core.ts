/**
 * Checks whether a request fits the quotas, as it declares itself, so that its body need not be read. The decision
 * checks again. Pure.
 */
import type { ObjectKey } from "../../base/ids.js"
import { decodePart, type BucketRecord } from "../../format/records.js"
import { objectRowKey } from "../../format/row-key.js"
import { plainBytesOf } from "../../format/sealing.js"
import { NULL_VERSION } from "../../format/version-id.js"
import type { RowView } from "../../metadata/index.js"
import { findUpload, partKey, type UploadAddress } from "./multipart-commands-core.js"
import { findVersion } from "./found-versions-core.js"
import { usageChanges } from "./usage-core.js"

const NO_PARTS = { bytes: 0, countedBy: undefined }

/** Throws `quotaExceeded`. */
export function checkNewVersion(view: RowView, bucket: BucketRecord, key: ObjectKey, lengthBytes: number): void {
  const isNull = bucket.versioning !== "enabled"
  const replaced = isNull ? findVersion(view, objectRowKey(bucket.id, key), NULL_VERSION) : undefined
  const bytes = lengthBytes - (replaced?.head.sizeBytes ?? 0)
  const versions = replaced === undefined ? 1 : 0
  usageChanges(view, [{ bucket, bytes, versions, addsObject: true, parts: NO_PARTS, isRestoring: false }])
}

/** Throws `quotaExceeded`. */
export function checkNewPart(
  view: RowView,
  bucket: BucketRecord,
  address: UploadAddress,
  part: { readonly partNumber: number; readonly lengthBytes: number },
): void {
  const upload = findUpload(view, address)
  if (upload === undefined) return
  const row = view.get("parts", partKey(address, part.partNumber))
  const bytes = part.lengthBytes - (row ? plainBytesOf(decodePart(row.value).extent) : 0)
  const parts = { bytes, countedBy: upload.countedBy }
  usageChanges(view, [{ bucket, bytes: 0, versions: 0, addsObject: false, parts, isRestoring: false }])
}
