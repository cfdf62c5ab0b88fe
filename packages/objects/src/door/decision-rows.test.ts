/** Decisions on several objects: what features add to each of them is one change of the rows that they share. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, type BucketId, type ObjectKey } from "@hayloft/base/ids.js"
import { historyRowKey } from "@hayloft/engine/format/objects/history.js"
import { objectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { historySince } from "@hayloft/features/history/history-core.js"
import { setUndelete } from "@hayloft/features/undelete/undelete-commands-core.js"
import { usageOfBucket } from "../buckets/bucket-service.js"
import { setSetting, setVersioning } from "../commands/bucket-commands-core.js"
import { findLatest } from "../commands/found-versions-core.js"
import { RowEditor } from "../commands/row-editor-core.js"
import { newBucket, putOf } from "../commands/testing-bucket.js"
import { putVersion } from "../commands/version-commands-core.js"
import "../testing-features.js"

type Removed = "latest" | "oldest"

/** Removes a version of each key, in one decision. */
const removeOfEach = command<[bucketId: BucketId, keys: readonly ObjectKey[], which: Removed], void>({
  name: "RemoveOfEach",
  grows: false,
  touches: () => [],
  decide(view, time, bucketId, keys, which) {
    let last: RowEditor | undefined
    for (const key of keys) {
      const row = objectRowKey(bucketId, key)
      last = new RowEditor(view, time, bucketId, key, 0, last)
      const latest = must(findLatest(view, row), "there is a version")
      const [oldest] = [...view.range("versions", suffixRange(row))].slice(-1)
      if (which === "latest" || oldest === undefined) last.remove(latest)
      else
        last.remove({ head: decodeVersionHead(oldest[1].value), family: "versions", rowKey: oldest[0], row: oldest[1] })
    }
    return { ...must(last, "there is a key").finish(), result: undefined }
  },
})

const latestOrder = query(
  "LatestOrder",
  (view, bucketId: BucketId, key: ObjectKey) =>
    must(findLatest(view, objectRowKey(bucketId, key)), "there is a version").head.order,
)

test("kept objects of one decision are all counted", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setUndelete({ bucketId, days: 3 }))
  const keys = ["a", "b", "c"].map(objectKeyOfText)
  for (const [i, key] of keys.entries()) await metadata.run(putVersion({ ...putOf(scene, i + 1), key }))
  await metadata.run(removeOfEach(bucketId, keys, "latest"))
  const { kept } = must(await metadata.ask(usageOfBucket(bucketId)), "the bucket is there")
  assert.deepEqual(kept, { objects: 3, bytes: 300 })
})

test("of two keys whose history is noted in one row, the later one counts, in whatever order they are decided", async () => {
  for (const isReversed of [false, true]) {
    const scene = await newBucket()
    const { metadata, bucketId } = scene
    await metadata.run(setVersioning(bucketId, "enabled"))
    await metadata.run(setSetting(bucketId, "history", "{}"))
    const rowOf = (key: ObjectKey) => historyRowKey(bucketId, objectRowKey(bucketId, key))
    const first = objectKeyOfText("key")
    const others = Array.from({ length: 1_000 }, (_, i) => objectKeyOfText(`key ${i}`))
    const second = must(
      others.find(key => rowOf(key) === rowOf(first)),
      "some key is noted in the same row",
    )
    let number = 0
    for (const key of [first, first, second, second]) {
      const random = Buffer.alloc(8, (number += 1))
      await metadata.run(putVersion({ ...putOf(scene, number, { random }), key }))
    }
    const keys = isReversed ? [second, first] : [first, second]
    await metadata.run(removeOfEach(bucketId, keys, "oldest"))
    assert.equal(await metadata.ask(historySince(bucketId)), await metadata.ask(latestOrder(bucketId, second)))
  }
})
