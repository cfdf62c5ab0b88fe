/** The commands and queries by which buckets are erased. */
import { parseBucketId, rowKeyOf, type BucketId } from "@hayloft/base/ids.js"
import { BUCKET_SECRET, bucketKeyRowKey, decodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { resealSecrets, secretsUnder } from "@hayloft/access/keys/reseal-core.js"
import {
  bucketErasures,
  closeForErasure,
  countUnsealed,
  dropErasedBucket,
  dropErasedKey,
  dropErasedUpload,
  epochOfSecret,
  eraseBucket,
  erasedEpochs,
  leftoversOf,
  traceOfBucket,
} from "@hayloft/objects/commands/erase-commands-core.js"
import { decodeBucket, type BucketState } from "@hayloft/engine/format/records.js"
import { bucketIdOfRowKey, bucketRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { frozenOf } from "./multipart-kinds.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

/** After every retention that ends in these histories. */
const LATE_MS = 8_000_000_000_000

/** Sealed again, as far as a history can tell. */
function resealed(scene: Scene) {
  const rowKey = bucketKeyRowKey(scene.bucketId(), 1)
  const [row] = scene.rows("bucketKeys", { start: rowKey, end: rowKeyOf(`${rowKey}\x00`) })
  const key = row && decodeBucketKey(row[1].value)
  if (key?.kind !== "secret") return []
  const { epoch, sealed } = key
  return [{ rowKey, before: { epoch, sealed }, after: { epoch: epoch + 1, sealed: scene.random.bytes(60) } }]
}

const idsIn = (scene: Scene, state: BucketState): readonly BucketId[] =>
  scene
    .rows("buckets", { start: bucketRowKey(parseBucketId(1)), end: rowKeyOf("\xff") })
    .map(([, row]) => decodeBucket(row.value))
    .flatMap(bucket => (bucket.state === state ? [bucket.id] : []))

const hasSecret = (scene: Scene, id: BucketId): boolean =>
  scene.model.committed.get("bucketKeys", bucketKeyRowKey(id, BUCKET_SECRET)) !== undefined

/** More often one with a secret. */
function secretBucketId(scene: Scene, ids: readonly BucketId[]): BucketId {
  const found = ids.filter(id => hasSecret(scene, id))
  return found.length > 0 && !scene.oneIn(4) ? scene.pick(found) : scene.bucketId()
}

const openId = (scene: Scene): BucketId => secretBucketId(scene, idsIn(scene, "open"))
const closedId = (scene: Scene): BucketId => secretBucketId(scene, idsIn(scene, "closing"))
const erasedId = (scene: Scene): BucketId => secretBucketId(scene, idsIn(scene, "erasing"))

/** More often an object of an erased bucket. */
function erasedObject(scene: Scene) {
  const erasing = new Set(idsIn(scene, "erasing"))
  const found = scene.rows("current").filter(([rowKey]) => erasing.has(bucketIdOfRowKey(rowKey)))
  if (found.length === 0 || scene.oneIn(4)) return scene.object()
  const [rowKey] = scene.pick(found)
  return { bucketId: bucketIdOfRowKey(rowKey), key: parseObjectRowKey(rowKey).key }
}

/** More often an upload to an erased bucket. */
function erasedUpload(scene: Scene) {
  const erasing = new Set(idsIn(scene, "erasing"))
  const found = scene.addresses("uploads").filter(({ bucketId }) => erasing.has(bucketId))
  if (found.length > 0 && !scene.oneIn(4)) return scene.pick(found)
  return { ...scene.uploadAddress(), bucketId: erasedId(scene) }
}

export const ERASE_COMMANDS: readonly PlayKind[] = [
  commandKind("CloseForErasure", 3, scene => closeForErasure(openId(scene))),
  commandKind("EraseBucket", 3, scene => eraseBucket(closedId(scene), scene.pick([2, 3, 4]))),
  commandKind("DropErasedKey", 2, scene => {
    const { bucketId, key } = erasedObject(scene)
    return dropErasedKey(bucketId, key, scene.pick([0, LATE_MS]))
  }),
  commandKind("DropErasedUpload", 1, scene => {
    const address = erasedUpload(scene)
    return dropErasedUpload(address, frozenOf(scene, address))
  }),
  commandKind("DropErasedBucket", 2, scene => dropErasedBucket(erasedId(scene))),
  commandKind("ResealSecrets", 1, scene => resealSecrets(resealed(scene))),
]

export const ERASE_QUERIES: readonly PlayKind[] = [
  queryKind("CountUnsealed", scene => {
    const bucketId = scene.bucketId()
    const place = { family: scene.pick([0, 1, 2, 3, 4]), from: bucketRowKey(bucketId) }
    return countUnsealed(bucketId, place, { rowsMax: scene.pick([1, 3, 1_000]), clockMs: scene.pick([0, LATE_MS]) })
  }),
  queryKind("EpochOfSecret", scene => epochOfSecret(scene.bucketId())),
  queryKind("TraceOfBucket", scene => traceOfBucket(scene.oneIn(4) ? parseBucketId(1_000) : scene.bucketId())),
  queryKind("BucketErasures", () => bucketErasures()),
  queryKind("ErasedEpochs", () => erasedEpochs()),
  queryKind("LeftoversOf", scene => leftoversOf(scene.bucketId(), scene.pick([1, 2, 64]))),
  queryKind("SecretsUnder", scene => secretsUnder(scene.pick([1, 2]), rowKeyOf(""))),
]
