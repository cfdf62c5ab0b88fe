/** Encrypted objects over a whole store: what restarts, lost keys and a deleted bucket leave. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, type BucketId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { bucketKeyRowKey, bucketKeysOf, encodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Engine } from "./engine.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "./testing-engine.js"

const [SMALL, LARGE] = [Buffer.alloc(3 * KIB, "small "), Buffer.alloc(300 * KIB, "large ")]

const put = (engine: Engine, bucket: Bucket, name: string, body: Buffer) =>
  engine.services.objects.put({
    bucket,
    key: objectKeyOfText(name),
    attributes: { headers: {}, userMetadata: [] },
    tags: [],
    conditions: {},
    encryption: { mode: "s3" },
    body: sourceOf(body),
    signal: noSignal,
  })

const get = async (engine: Engine, bucket: Bucket, name: string): Promise<Buffer> =>
  bytesOf(await engine.services.objects.get({ bucket, key: objectKeyOfText(name), conditions: {} }))

const keysOf = query(
  "KeysForTest",
  (view, bucketId: BucketId) => [...view.range("bucketKeys", bucketKeysOf(bucketId))].length,
)

async function world() {
  const machine = new Machine({ devices: 2 })
  const engine = await machine.open()
  return { machine, engine, bucket: await createBucket(engine) }
}

test("encrypted objects survive a crash and a restart with their keys", async () => {
  const { machine, engine, bucket } = await world()
  assert.equal(engine.recordManager.record.keyring, undefined)
  await put(engine, bucket, "small", SMALL)
  await put(engine, bucket, "large", LARGE)
  machine.disk.kill()
  const crashed = await machine.open()
  assert.deepEqual(await get(crashed, bucket, "small"), SMALL)
  assert.deepEqual(await get(crashed, bucket, "large"), LARGE)
  await crashed.stop()
  const engineAfter = await machine.open()
  assert.deepEqual(await get(engineAfter, bucket, "large"), LARGE)
  assert.equal(must(engineAfter.recordManager.record.keyring, "a ring").epochs.length, 1)
  await engineAfter.stop()
})

test("a deleted bucket leaves no key", async () => {
  const { machine, engine, bucket } = await world()
  await put(engine, bucket, "small", SMALL)
  assert.equal(await engine.metadata.ask(keysOf(bucket.id)), 1)
  await engine.services.objects.remove({ bucket, key: objectKeyOfText("small"), conditions: {} })
  await engine.services.buckets.remove(bucket)
  assert.equal(await engine.metadata.ask(keysOf(bucket.id)), 0)
  const again = await createBucket(engine)
  await put(engine, again, "small", SMALL)
  assert.deepEqual(await get(engine, again, "small"), SMALL)
  await engine.stop()
  machine.disk.kill()
})

test("a device whose superblock cannot be written goes offline, and the first encrypted object is stored without it", async () => {
  const machine = new Machine({ devices: 4 })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  machine.brokenSuperblocks.add("/d2")
  const isOffline = new Promise<void>(resolve =>
    engine.recordManager.onChange(({ devices }) => {
      if (devices[1]?.state === "offline") resolve()
    }),
  )
  await assert.rejects(put(engine, bucket, "small", SMALL), error => isFailure(error, "deviceFailed"))
  await isOffline
  await put(engine, bucket, "small", SMALL)
  assert.deepEqual(await get(engine, bucket, "small"), SMALL)
  await engine.stop()
})

/** Writes a secret of a bucket as if the record had lost the key ring, or came from another time. */
const plantSecret = command<[bucketId: BucketId, epoch: number], void>({
  name: "PlantSecretForTest",
  decide(view, _time, bucketId, epoch) {
    view.get("buckets", bucketRowKey(bucketId))
    const value = encodeBucketKey({ kind: "secret", createdMs: 0, epoch, sealed: new Uint8Array(60) })
    return { writes: [{ family: "bucketKeys", key: bucketKeyRowKey(bucketId, 1), value }], result: undefined }
  },
})

test("a store whose buckets have keys that the control record lacks is not opened", async () => {
  const { machine, engine, bucket } = await world()
  await engine.metadata.run(plantSecret(bucket.id, 3))
  await engine.stop()
  machine.disk.kill()
  await assert.rejects(
    machine.open(),
    error => isFailure(error, "keysUnavailable") && error.details["epoch"] === 3 && /epoch key 3/.test(error.message),
  )
})
