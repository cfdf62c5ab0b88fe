/** The commands and queries on keys of buckets. */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { bucketKeysOf, numberOfBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import {
  addBucketKey,
  addBucketSecret,
  freshBucketKey,
  readBucketKey,
  restoreBucketKey,
} from "@hayloft/access/keys/bucket-keys-core.js"
import { epochsOfSecrets } from "@hayloft/access/keys/check-epochs.js"
import { dropBucketKeys, keyedBuckets } from "@hayloft/objects/commands/bucket-key-commands-core.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/buckets/system-bucket.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const bucketIdOf = (scene: Scene) => (scene.oneIn(10) ? SYSTEM_BUCKET_ID : scene.bucketId())
const useOf = (scene: Scene) => ({ keyArn: scene.pick(["arn:a", "arn:b"]), context: "{}" })

export const KEY_COMMANDS: readonly PlayKind[] = [
  commandKind("AddBucketSecret", 4, scene => {
    const secret = { epoch: scene.pick([1, 2]), sealed: scene.random.bytes(60) }
    return addBucketSecret(bucketIdOf(scene), secret)
  }),
  commandKind("AddBucketKey", 2, scene => addBucketKey(bucketIdOf(scene), useOf(scene), scene.random.bytes(8))),
  commandKind("RestoreBucketKey", 1, scene => {
    const key = { kind: "dataKey", createdMs: 0, ...useOf(scene), ciphertext: scene.random.bytes(8) } as const
    return restoreBucketKey(bucketIdOf(scene), scene.pick([2, 3, 4]), key)
  }),
  commandKind("DropBucketKeys", 1, scene => dropBucketKeys(bucketIdOf(scene))),
]

export const KEY_QUERIES: readonly PlayKind[] = [
  queryKind("ReadBucketKey", scene => {
    const bucketId = bucketIdOf(scene)
    const numbers = scene.rows("bucketKeys", bucketKeysOf(bucketId)).map(([row]) => numberOfBucketKey(row))
    return readBucketKey(
      bucketId,
      scene.pickOr(numbers, () => 1),
    )
  }),
  queryKind("EpochsOfSecrets", scene => epochsOfSecrets(rowKeyOf(""), scene.pick([1, 2, 1_000]))),
  queryKind("KeyedBuckets", scene => keyedBuckets(bucketRowKey(bucketIdOf(scene)))),
  queryKind("FreshBucketKey", scene => freshBucketKey(bucketIdOf(scene), useOf(scene), scene.nowMs)),
]
