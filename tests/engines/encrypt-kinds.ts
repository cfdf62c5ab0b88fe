/** The commands and queries by which existing objects are encrypted, with random arguments. */
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { parseBucketId, type UploadId } from "@hayloft/base/ids.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeIntent } from "@hayloft/engine/format/objects/intent.js"
import { parseObjectRowKey, uploadOfRowKey } from "@hayloft/engine/format/row-key.js"
import { storedBytesOf, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import {
  addSealing,
  bytesToSeal,
  sealPayload,
  swapSealed,
  type SharedBytes,
} from "@hayloft/objects/commands/encrypt-commands-core.js"
import { beginReencoding } from "@hayloft/objects/commands/reencode-commands-core.js"
import { firstPendingDeletion } from "@hayloft/upkeep/garbage/collector.js"
import { ENCRYPT_PLACES, rowsToEncrypt, sealedHeader } from "@hayloft/upkeep/encrypt/encrypt-core.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { commandKind, POLICIES, queryKind, type PlayKind, type Scene } from "./scene.js"

const newSealing = (scene: Scene): Sealing => ({ key: { mode: "atRest" }, secret: 1, salt: scene.random.bytes(16) })

export function sealedExtent(extent: Extent): Extent {
  const lengthBytes = extent.isSealed ? extent.lengthBytes : storedBytesOf(extent.lengthBytes, extent.blockBytes)
  return { ...extent, lengthBytes, isSealed: true }
}

function sharedBytes(scene: Scene): SharedBytes {
  const uploads = [...scene.addresses("uploads"), ...scene.addresses("segments")]
  const ofUploads = uploads.map(({ bucketId, key, multipartId }) => ({ bucketId, key, of: { multipartId } }))
  const ofExtents = scene.extents().map(({ uploadId: of, extent: _, ...rest }) => ({ ...rest, of }))
  return scene.pickOr<SharedBytes>([...ofUploads, ...ofExtents], () => {
    const { bucketId, key, uploadId } = scene.uploadName()
    return { bucketId, key, of: uploadId }
  })
}

function add(scene: Scene) {
  const known = scene.versions().filter(() => !scene.oneIn(16))
  const binds = new Map(known.map(({ record: { head } }) => [head.order, scene.random.bytes(16)]))
  return addSealing({ ...sharedBytes(scene), sealing: newSealing(scene), binds })
}

const plain = (scene: Scene) => scene.extents().filter(({ extent }) => !extent.isSealed)

function begin(scene: Scene) {
  const found = plain(scene)
  if (found.length === 0) return undefined
  const { extent: from, ...name } = scene.pick(found)
  const { lengthBytes: sealedLengthBytes } = sealedExtent(from)
  const runs = [{ firstBlock: 0, lastBlock: blockCount(sealedExtent(from)) - 1 }]
  const asked = { policy: scene.pick(POLICIES), runs, generationFloor: 0, sealedLengthBytes }
  return beginReencoding({ ...name, from, ...asked })
}

/** Mostly the one that the rows with the upload's bytes have. */
function sealingOf(scene: Scene, uploadId: UploadId): Sealing {
  const ofVersions = scene.versions().flatMap(({ record: { content, sealing } }) => {
    const isOf = content.kind === "segments" || (content.kind === "extent" && content.extent.uploadId === uploadId)
    return isOf && sealing ? [sealing] : []
  })
  const ofUploads = scene.addresses("uploads").flatMap(address => scene.upload(address)?.sealing ?? [])
  return scene.pickOr<Sealing>([...ofVersions, ...ofUploads], () => newSealing(scene))
}

function swap(scene: Scene) {
  const found = scene.rows("intents").filter(([, { value }]) => decodeIntent(value).extent.isSealed)
  if (found.length === 0) return undefined
  const [rowKey, { value }] = scene.pick(found)
  const { extent: to } = decodeIntent(value)
  const { bucketId, key } = parseObjectRowKey(rowKey)
  const uploadId = uploadOfRowKey(rowKey)
  const { extent: from = to, foundIn } = scene.extents().find(each => each.uploadId === uploadId) ?? {}
  const generation = to.generation + (scene.oneIn(8) ? 1 : 0)
  const name = { bucketId: parseBucketId(bucketId), key, uploadId, foundIn }
  return swapSealed({ ...name, generation, from, to, sealing: sealingOf(scene, uploadId) })
}

function payload(scene: Scene) {
  const found = scene.versions().filter(({ record }) => record.content.kind === "inline")
  if (found.length === 0) return undefined
  const { bucketId, key, record } = scene.pick(found)
  const { head } = record
  const sealing = { ...newSealing(scene), bind: scene.random.bytes(16) }
  const known = scene.oneIn(8) ? { ...head, order: head.order + 1 } : head
  return sealPayload({ bucketId, key, head: known, sealing, payload: scene.random.bytes(head.sizeBytes + 16) })
}

/** Seals the payload of a version that undelete keeps. */
function deletedPayload(scene: Scene) {
  const rows = scene.rows("deleted").filter(([, row]) => row.payload !== undefined)
  if (rows.length === 0) return undefined
  const [deletedRow, { value }] = scene.pick(rows)
  const { head } = versionOfRow("deleted", value)
  const { bucketId, key } = parseObjectRowKey(deletedRow)
  const sealing = { ...newSealing(scene), bind: scene.random.bytes(16) }
  const payload = scene.random.bytes(head.sizeBytes + 16)
  return sealPayload({ bucketId: parseBucketId(bucketId), key, head, sealing, payload, deletedRow })
}

export const ENCRYPT_COMMANDS: readonly PlayKind[] = [
  commandKind("AddSealing", 3, add),
  commandKind("BeginReencoding", 2, begin),
  commandKind("SwapSealed", 3, swap),
  commandKind("SealPayload", 2, scene => (scene.oneIn(3) ? deletedPayload(scene) : undefined) ?? payload(scene)),
]

export const ENCRYPT_QUERIES: readonly PlayKind[] = [
  queryKind("BytesToSeal", scene => bytesToSeal(sharedBytes(scene))),
  queryKind("RowsToEncrypt", scene => {
    const family = scene.pick(ENCRYPT_PLACES)
    const rows = scene.rows(family)
    const start = rows.length === 0 || scene.oneIn(3) ? ALL_OBJECT_ROWS.start : scene.pick(rows)[0]
    return rowsToEncrypt(family, start, { max: scene.pick([1, 2, 256]), withClasses: scene.oneIn(2) })
  }),
  queryKind("FirstPendingDeletion", () => firstPendingDeletion()),
  queryKind("SealedHeader", scene => {
    const found = scene.extents()
    if (found.length === 0) return undefined
    const { extent, ...name } = scene.pick(found)
    return sealedHeader(name, sealedExtent(extent))
  }),
]
