/** Tests of the removal of an erased bucket's versions: what it refuses, and what it looks at. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { encodeBucket, type BucketRecord } from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { setVersioning } from "./bucket-commands-core.js"
import { bucketOfRow } from "./bucket-rows-core.js"
import { dropErasedKey, leftoversOf } from "./erase-commands-core.js"
import { countingRows, KEY, newBucket, putOf, randomOf, refuses } from "./testing-bucket.js"
import { putVersion, removeLatest } from "./version-commands-core.js"
import "../testing-features.js"

const UNTIL_MS = 9_000_000_000_000

/** A bucket that was erased, with a locked version, as no command leaves it: buckets with object lock are not erased. */
async function erased(lock: VersionLock) {
  const { metadata, bucketId, row } = await newBucket()
  const key = bucketRowKey(bucketId)
  const bucket = bucketOfRow(must(metadata.committed.get("buckets", key), "the bucket"))
  const plant = (changed: BucketRecord): void => metadata.plant("buckets", key, encodeBucket(changed))
  plant({ ...bucket, lock: { defaultRetention: undefined } })
  await metadata.run(putVersion(putOf({ bucketId }, 1, { lock })))
  plant({ ...bucket, state: "erasing" })
  const drop = (clockMs: number) => metadata.run(dropErasedKey(bucketId, KEY, clockMs))
  return { drop, isThere: () => metadata.committed.get("current", row) !== undefined }
}

for (const mode of ["GOVERNANCE", "COMPLIANCE"] as const) {
  test(`a version retained in mode ${mode} is removed only once that is over`, async () => {
    const { drop, isThere } = await erased({ retention: { mode, untilMs: UNTIL_MS }, legalHold: undefined })
    await refuses(drop(UNTIL_MS - 1), "objectLocked")
    assert.ok(isThere())
    await drop(UNTIL_MS)
    assert.ok(!isThere())
  })
}

test("a version that is held is never removed", async () => {
  const { drop, isThere } = await erased({ retention: undefined, legalHold: true })
  await refuses(drop(Number.MAX_SAFE_INTEGER), "objectLocked")
  assert.ok(isThere())
})

test("a step looks at few of the versions of a key, and finds all keys in the end", async () => {
  const [versions, keysAtOnce] = [2_000, 4]
  const { metadata, bucketId } = await newBucket()
  await metadata.run(setVersioning(bucketId, "enabled"))
  for (let i = 0; i < versions; i += 1) await metadata.run(putVersion(putOf({ bucketId }, i % 250)))
  const other = { ...putOf({ bucketId }, 1), key: objectKeyOfText("other") }
  await metadata.run(putVersion(other))
  await metadata.run(removeLatest({ ...other, random: randomOf(1) }))
  const key = bucketRowKey(bucketId)
  const bucket = bucketOfRow(must(metadata.committed.get("buckets", key), "the bucket"))
  metadata.plant("buckets", key, encodeBucket({ ...bucket, state: "erasing" }))
  let steps = 0
  for (let isOver = false; !isOver; steps += 1) {
    const { counts, view } = countingRows(metadata.committed)
    const { keys } = leftoversOf(bucketId, keysAtOnce).answer(view)
    assert.ok(counts.rows <= 100, `${counts.rows} rows`)
    for (const each of keys) await metadata.run(dropErasedKey(bucketId, each, 0))
    isOver = keys.length === 0
  }
  assert.ok(steps <= versions / 16 + 3, `${steps} steps`)
})
