/**
 * Asks features whether they refuse the growth that a request declares, so that its body need not be read. The decision
 * asks again. Pure.
 */
import type { ObjectKey } from "@hayloft/base/ids.js"
import { decodePart, type BucketRecord } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"
import { findUpload, partKey, type UploadAddress } from "./multipart-commands-core.js"
import { findVersion } from "./found-versions-core.js"
import { usageChanges } from "./usage-core.js"

const NO_PARTS = { bytes: 0, countedBy: undefined }

/** Throws what features refuse. */
export function checkNewVersion(view: RowView, bucket: BucketRecord, key: ObjectKey, lengthBytes: number): void {
  const isNull = bucket.versioning !== "enabled"
  const replaced = isNull ? findVersion(view, objectRowKey(bucket.id, key), NULL_VERSION) : undefined
  const bytes = lengthBytes - (replaced?.head.sizeBytes ?? 0)
  const versions = replaced === undefined ? 1 : 0
  usageChanges(view, [{ bucket, bytes, versions, addsObject: true, parts: NO_PARTS, isRestoring: false }])
}

/** Throws what features refuse. */
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
