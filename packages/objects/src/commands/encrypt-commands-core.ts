/**
 * Commands that encrypt the bytes of existing objects at rest. A version gets its sealing first, together with all
 * others that share its bytes; its extents follow one by one, each with a swap as in a re-encoding. A payload and its
 * version are encrypted in one step. Pure.
 *
 * Promises  Bytes that are shared have one key: whatever shares them gets the same sealing in the same step, and a swap is
 *           refused unless all of them have it. Nothing that a client sees of a version changes, so locks do not matter.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, MultipartId, ObjectKey, RowKey, UploadId } from "@hayloft/base/ids.js"
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { blockCount } from "@hayloft/engine/format/needles/extent.js"
import { encodeUpload, type UploadRecord } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { isSameSealing, type BoundSealing, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { versionIdOfHead, type VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type CommandView, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import { referencesRowKey, referencesTo } from "../queries/manifest-core.js"
import type { Naming } from "../queries/named-extents-core.js"
import { addressKeyOf, findUpload, isBeingCompleted } from "./multipart-commands-core.js"
import { swapRows, touchesOfUpload, type SwapExtent } from "./reencode-commands-core.js"
import { findVersion, type FoundVersion } from "./found-versions-core.js"
import { versionsOfBytes, type RowPlace, type VersionOfBytes } from "../queries/versions-of-bytes-core.js"
import { closedReferences } from "./reference-commands-core.js"
import { RowEditor } from "./row-editor-core.js"

/** Bytes with one key: those of a single upload, or all parts of a multipart upload. */
export interface SharedBytes {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly of: UploadId | { readonly multipartId: MultipartId }
  /** A row that had them, as in `UploadName`. */
  readonly foundIn?: RowPlace | undefined
}

const sharingOf = (view: RowView, { bucketId, key, of, foundIn }: SharedBytes): readonly VersionOfBytes[] => [
  ...versionsOfBytes(view, objectRowKey(bucketId, key), of, foundIn),
]

const openUploadOf = (view: RowView, { bucketId, key, of }: SharedBytes): UploadRecord | undefined =>
  typeof of === "string" ? undefined : findUpload(view, { bucketId, key, ...of })

interface BytesToSeal {
  /** The head of each version with these bytes: its sealing is bound to it. */
  readonly heads: readonly VersionHead[]
  /** Also an open upload may have them. */
  readonly isKept: boolean
  /** The sealing of all of them, unless one has none. */
  readonly sealing: Sealing | undefined
}

/** Whose sealing must change. */
export const bytesToSeal = query("BytesToSeal", (view, bytes: SharedBytes): BytesToSeal => {
  const versions = sharingOf(view, bytes)
  const upload = openUploadOf(view, bytes)
  const sealings = [...versions.map(({ record }) => record.sealing), ...(upload ? [upload.sealing] : [])]
  const sealing = sealings.includes(undefined) ? undefined : sealings[0]
  return {
    heads: versions.map(({ head }) => head),
    isKept: sealings.length > 0,
    sealing: sealing && unbound(sealing),
  }
})

interface AddSealing extends SharedBytes {
  readonly sealing: Sealing
  /** By the order of the version: bound to each of them. */
  readonly binds: ReadonlyMap<number, Uint8Array>
}

const touchesOfBytes = ({ bucketId, key, of }: SharedBytes): Touches => [
  ["current", objectRowKey(bucketId, key)],
  ...(typeof of === "string" ? [] : ([["uploads", addressKeyOf({ bucketId, key, ...of })]] as const)),
]

/**
 * Adds a sealing to all versions with these bytes, and to the upload while it is open. Returns the sealing that they have
 * then, which may be an earlier one; undefined if nothing has these bytes any more. The bytes may stay plain for a time:
 * readers go by their extents. Throws `conflict` while the upload is being completed, while other objects reference the
 * bytes, for a version that has appeared since the binds were made, and if the sealings differ.
 */
export const addSealing = command<[add: AddSealing], Sealing | undefined>({
  name: "AddSealing",
  touches: touchesOfBytes,
  decide(view, time, add) {
    const { bucketId, key, sealing, binds } = add
    const versions = sharingOf(view, add)
    const upload = openUploadOf(view, add)
    if (upload !== undefined && isBeingCompleted(upload, time)) throw fail("conflict")
    if (isReferenced(view, add)) throw fail("conflict", { message: "other objects reference the bytes" })
    const sealings = [...versions.map(({ record }) => record.sealing), ...(upload ? [upload.sealing] : [])]
    if (sealings.length === 0) return { writes: [], result: undefined }
    const [before] = sealings
    if (!sealings.every(each => isSameSealing(each, before))) throw fail("conflict")
    if (before !== undefined) return { writes: [], result: unbound(before) }
    const editor = new RowEditor(view, time, bucketId, key)
    for (const version of versions) {
      const bind = binds.get(version.head.order)
      if (bind === undefined) throw fail("conflict")
      editor.rewrite(version, record => ({ ...record, sealing: { ...sealing, bind } }))
    }
    if (upload !== undefined && typeof add.of !== "string")
      editor.put("uploads", addressKeyOf({ bucketId, key, ...add.of }), encodeUpload({ ...upload, sealing }))
    const finished = editor.finish()
    // Sealed bytes are shared only by versions with their key.
    const closed = typeof add.of === "string" ? [] : closedReferences(view, bucketId, { key, ...add.of })
    return { ...finished, writes: [...finished.writes, ...closed], result: sealing }
  },
})

/**
 * Returns true if other objects read these bytes, without their key. A decision may rely on it if nothing does: a first
 * reference needs digests, whose references are closed with the sealing, or a version without a sealing.
 */
const isReferenced = (view: RowView, { bucketId, key, of }: SharedBytes): boolean =>
  typeof of !== "string" && referencesTo(view, referencesRowKey(bucketId, { key, ...of })) !== undefined

const unbound = ({ key, secret, salt }: Sealing): Sealing => ({ key, secret, salt })

interface SwapSealed extends Omit<SwapExtent, "replaced"> {
  /** Under which `to` is sealed. */
  readonly sealing: Sealing
}

/**
 * Every row that references the plain extent references the sealed one, and the plain blocks become a pending deletion.
 * Throws as `swapExtent`, and `conflict` unless whatever has the bytes has their sealing.
 */
export const swapSealed = command<[swap: SwapSealed], void>({
  name: "SwapSealed",
  touches: touchesOfUpload,
  decide(view, time, { sealing, ...swap }) {
    const blocks = blockCount(swap.from)
    const replaced = blocks === 0 ? [] : [{ firstBlock: 0, lastBlock: blocks - 1 }]
    const editor = swapRows(view, time, { ...swap, replaced }, naming => isSealedWith(view, swap, naming, sealing))
    return { ...editor.finish(), result: undefined }
  },
})

/** A part that waits for the collector has no upload, and its bytes no sealing of their own. */
function isSealedWith(
  view: RowView,
  { bucketId, key }: Pick<SharedBytes, "bucketId" | "key">,
  naming: Naming,
  sealing: Sealing,
): boolean {
  if (!("multipartId" in naming)) return isSameSealing(naming.record.sealing, sealing)
  const bytes = { bucketId, key, of: { multipartId: naming.multipartId } }
  const upload = openUploadOf(view, bytes)
  if (upload !== undefined && !isSameSealing(upload.sealing, sealing)) return false
  for (const { record } of sharingOf(view, bytes)) if (!isSameSealing(record.sealing, sealing)) return false
  return true
}

interface SealPayload {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The head of the version that was read; only this version is sealed. */
  readonly head: VersionHead
  readonly sealing: BoundSealing
  /** Sealed. */
  readonly payload: Uint8Array
  /** The row of a deleted version that is kept. */
  readonly deletedRow?: RowKey
}

/** A deleted version that is kept. The object's row is not read then: it may be absent, and nothing would guard that. */
function findDeleted(view: CommandView, rowKey: RowKey): FoundVersion | undefined {
  const row = view.ifPresent("deleted", rowKey)
  return row && { head: versionOfRow("deleted", row.value).head, family: "deleted", rowKey, row }
}

/** Replaces the payload of a version. False if the version is gone, or is sealed by now. */
export const sealPayload = command<[seal: SealPayload], boolean>({
  name: "SealPayload",
  touches: ({ bucketId, key, deletedRow }) =>
    deletedRow === undefined ? [["current", objectRowKey(bucketId, key)]] : [["deleted", deletedRow]],
  decide(view, time, { bucketId, key, head, sealing, payload, deletedRow }) {
    const found =
      deletedRow === undefined
        ? findVersion(view, objectRowKey(bucketId, key), versionIdOfHead(head))
        : findDeleted(view, deletedRow)
    const { content, sealing: before } = found ? versionOfRow(found.family, found.row.value) : {}
    const isSame = found?.head.order === head.order && equalBytes(found.head.random, head.random)
    if (!found || !isSame || content?.kind !== "inline" || before !== undefined) return { writes: [], result: false }
    const editor = new RowEditor(view, time, bucketId, key)
    editor.rewrite(found, record => ({ ...record, sealing }), payload)
    return { ...editor.finish(), result: true }
  },
})
