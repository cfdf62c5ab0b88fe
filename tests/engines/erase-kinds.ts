/** The commands and queries by which buckets are erased. */
import { rowKeyOf } from "../../src/base/ids.js"
import { bucketKeyRowKey, decodeBucketKey } from "../../src/format/bucket-key.js"
import { resealSecrets, secretsUnder } from "../../src/keys/reseal-core.js"
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
} from "../../src/object/commands/erase-commands-core.js"
import { bucketRowKey } from "../../src/format/row-key.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

/** Sealed again, as far as a history can tell. */
function resealed(scene: Scene) {
  const rowKey = bucketKeyRowKey(scene.bucketId(), 1)
  const [row] = scene.rows("bucketKeys", { start: rowKey, end: rowKeyOf(`${rowKey}\x00`) })
  const key = row && decodeBucketKey(row[1].value)
  if (key?.kind !== "secret") return []
  const { epoch, sealed } = key
  return [{ rowKey, before: { epoch, sealed }, after: { epoch: epoch + 1, sealed: scene.random.bytes(60) } }]
}

export const ERASE_COMMANDS: readonly PlayKind[] = [
  commandKind("CloseForErasure", 1, scene => closeForErasure(scene.bucketId())),
  commandKind("EraseBucket", 1, scene => eraseBucket(scene.bucketId(), scene.pick([1, 2, 3]))),
  commandKind("DropErasedKey", 2, scene => dropErasedKey(scene.bucketId(), scene.key())),
  commandKind("DropErasedUpload", 1, scene => dropErasedUpload(scene.uploadAddress())),
  commandKind("DropErasedBucket", 2, scene => dropErasedBucket(scene.bucketId())),
  commandKind("ResealSecrets", 1, scene => resealSecrets(resealed(scene))),
]

export const ERASE_QUERIES: readonly PlayKind[] = [
  queryKind("CountUnsealed", scene => {
    const bucketId = scene.bucketId()
    const place = { family: scene.pick([0, 1, 2, 3, 4]), from: bucketRowKey(bucketId) }
    return countUnsealed(bucketId, place, scene.pick([1, 3, 1_000]))
  }),
  queryKind("EpochOfSecret", scene => epochOfSecret(scene.bucketId())),
  queryKind("BucketErasures", () => bucketErasures()),
  queryKind("ErasedEpochs", () => erasedEpochs()),
  queryKind("LeftoversOf", scene => leftoversOf(scene.bucketId(), scene.pick([1, 2, 64]))),
  queryKind("SecretsUnder", scene => secretsUnder(scene.pick([1, 2]), rowKeyOf(""))),
]
