/** The bytes of a row that are not encrypted yet, and the extent that encrypted bytes get. Pure. */
import { fail } from "@hayloft/base/failures.js"
import type { BucketName, RowKey } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import { isSealedLength } from "@hayloft/base/encryption/segments.js"
import { isVersionFamily, versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodePart, decodeSegment, decodeUpload } from "@hayloft/engine/format/records.js"
import {
  bucketRowKey,
  bucketIdOfRowKey,
  parseObjectRowKey,
  uploadOfPartRowKey,
} from "@hayloft/engine/format/row-key.js"
import { plainBytesOf, storedBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import type { VersionHead, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow } from "@hayloft/engine/metadata/index.js"
import {
  type SharedBytes,
  isKept,
  readExtentRows,
  namingsOf,
  recoveryHeaderOf,
  type UploadName,
} from "@hayloft/objects/door/bytes.js"
import { bucketOfRow, referencesTo, sourcesOf } from "@hayloft/objects/door/rows.js"
import { classesOfRows, type ClassOfRow } from "../reencode/row-classes.js"

/**
 * In the order in which bytes move between families. `current` comes twice: an older version becomes the current one when
 * its successor is removed, and a deleted one when it is restored.
 */
export const ENCRYPT_PLACES = ["uploads", "parts", "segments", "current", "versions", "deleted", "current"] as const
export type EncryptFamily = (typeof ENCRYPT_PLACES)[number]

/** Something that is not encrypted. */
export type Unsealed =
  /** An open upload: its next parts would not be encrypted either. */
  | { readonly kind: "upload"; readonly of: SharedBytes["of"] }
  | { readonly kind: "payload"; readonly head: VersionHead }
  | { readonly kind: "extent"; readonly extent: Extent; readonly of: SharedBytes["of"] }
  /** A segment that references those of another object, which are encrypted with the key of that. */
  | { readonly kind: "source" }

export interface InspectedRow {
  readonly unsealed: readonly Unsealed[]
  /** All bytes of the row, and those that are encrypted: lengths of the plaintext. */
  readonly bytes: number
  readonly sealedBytes: number
}

/** Throws `corruptRecord`. */
export function inspectRow(family: EncryptFamily, rowKey: RowKey, { value }: MetadataRow): InspectedRow {
  if (isVersionFamily(family)) return inspectVersion(versionOfRow(family, value))
  const of = { multipartId: multipartIdOfSuffix(parseObjectRowKey(rowKey).suffix) }
  if (family === "uploads") {
    const unsealed = decodeUpload(value).sealing === undefined ? [{ kind: "upload", of } as const] : []
    return { unsealed, bytes: 0, sealedBytes: 0 }
  }
  if (family === "segments" && sourcesOf(decodeSegment(value)).length > 0)
    return { unsealed: [{ kind: "source" }], bytes: 0, sealedBytes: 0 }
  const parts = family === "parts" ? [decodePart(value)] : decodeSegment(value).parts
  return inspectExtents(parts.map(({ extent }) => ({ extent, of })))
}

function inspectVersion({ head, content, sealing }: VersionRecord): InspectedRow {
  if (content.kind === "extent") {
    const { extent } = content
    return inspectExtents([{ extent, of: extent.uploadId }])
  }
  if (content.kind !== "inline") return { unsealed: [], bytes: 0, sealedBytes: 0 }
  const bytes = head.sizeBytes
  if (sealing !== undefined) return { unsealed: [], bytes, sealedBytes: bytes }
  return { unsealed: [{ kind: "payload", head }], bytes, sealedBytes: 0 }
}

function inspectExtents(extents: readonly { readonly extent: Extent; readonly of: SharedBytes["of"] }[]): InspectedRow {
  const unsealed: Unsealed[] = []
  let [bytes, sealedBytes] = [0, 0]
  for (const { extent, of } of extents) {
    const plainBytes = plainBytesOf(extent)
    bytes += plainBytes
    if (extent.isSealed) sealedBytes += plainBytes
    else unsealed.push({ kind: "extent", extent, of })
  }
  return { unsealed, bytes, sealedBytes }
}

/**
 * The extent of the same bytes, sealed, with blocks as long as they were. Repeated attempts of an upload have the same
 * key: since they seal the same bytes in the same places, no nonce is used for two plaintexts. Throws `invalidConfig` for
 * blocks that encrypted bytes cannot have, which no release configures.
 */
export function sealedExtentOf(extent: Extent, policy: Policy, generation: number): Extent {
  const { blockBytes } = extent
  if (!isSealedLength(blockBytes)) throw fail("invalidConfig", { message: `blocks of ${blockBytes} bytes`, blockBytes })
  const lengthBytes = storedBytesOf(extent.lengthBytes, blockBytes)
  return { ...extent, lengthBytes, policy, generation, exceptions: [], isSealed: true }
}

export interface EncryptRow {
  readonly rowKey: RowKey
  readonly row: MetadataRow
  /** It is undefined if the bucket is gone. */
  readonly bucket: BucketName | undefined
  /** The policy of the bucket; undefined means that of the store. */
  readonly chosen: Policy | undefined
  readonly ofClass: ClassOfRow
  /** Other objects reference the bytes of the row. */
  readonly isReferenced: boolean
}

/** Some rows from `start`; `next` is set if there are more. */
export const rowsToEncrypt = query(
  "RowsToEncrypt",
  (
    view,
    family: EncryptFamily,
    start: RowKey,
    { max, withClasses }: { readonly max: number; readonly withClasses: boolean },
  ) => {
    const { rows, next } = readExtentRows(view, family, start, max)
    const classes = withClasses && family !== "uploads" ? classesOfRows(view, family, rows) : []
    const found = rows.map(({ rowKey, row }, i): EncryptRow => {
      const bucketRow = view.get("buckets", bucketRowKey(bucketIdOfRowKey(rowKey)))
      const bucket = bucketRow && bucketOfRow(bucketRow)
      const isReferenced = family === "segments" && referencesTo(view, uploadOfPartRowKey(rowKey)) !== undefined
      const ofClass = classes[i] ?? "STANDARD"
      return { rowKey, row, bucket: bucket?.name, chosen: bucket?.policy, ofClass, isReferenced }
    })
    return { rows: found, next }
  },
)

/**
 * The recovery header of an upload that is about to be sealed like this; undefined if only rows that wait for the
 * collector reference it, or its bucket is gone.
 */
export const sealedHeader = query("SealedHeader", (view, name: UploadName, extent: Extent): Uint8Array | undefined => {
  for (const naming of namingsOf(view, name))
    if (isKept(view, name, naming)) return recoveryHeaderOf(view, name, { ...naming, extent })
  return undefined
})
