/** What a store does when parts of its machine fail. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, rowKeyOf } from "../../base/ids.js"
import { isFailure } from "../../base/failures.js"
import { KIB } from "../../base/limits.js"
import type { Bucket } from "../../object/index.js"
import { failing } from "../../seams/disk/index.js"
import type { Engine } from "./engine.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "./testing.js"

const key = objectKeyOfText("key")
const given = { key, headers: {}, userMetadata: [], tags: [], conditions: {}, signal: noSignal }
const put = (engine: Engine, bucket: Bucket, bytes: Uint8Array) =>
  engine.services.objects.put({ ...given, bucket, body: sourceOf(bytes) })
const get = async (engine: Engine, bucket: Bucket) =>
  bytesOf(await engine.services.objects.get({ bucket, key, conditions: {} }))
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

test("a body of more blocks than a command has rows is stored while a device fails, and all of it is owed", async () => {
  const machine = new Machine({ devices: 4, blockBytes: 256 })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d4/volumes", code: "EIO", forEver: true }))
  const bytes = Buffer.alloc(300 * KIB, "x")
  await put(engine, bucket, bytes)
  assert.deepEqual(await get(engine, bucket), bytes)
  const debts = [...engine.tablet.committed.range("debts", ALL)]
  assert.ok(debts.length > 1_100, `${debts.length} debts for 1,200 blocks`)
})

for (const devices of [1, 3]) {
  test(`a full disk refuses writes, and only while it is full, with ${devices} devices`, async () => {
    const machine = new Machine({ devices })
    const engine = await machine.open()
    const bucket = await createBucket(engine)
    const small = Buffer.alloc(3 * KIB, "x")
    machine.disk.capacityBytes = machine.disk.medium.usedBytes
    let stored = 0
    const refused = await (async () => {
      for (; stored < 10_000; stored += 1) await put(engine, bucket, small)
    })().catch((error: unknown) => error)
    assert.ok(isFailure(refused, "deviceFull"), `after ${stored} objects: ${String(refused)}`)
    assert.deepEqual(await get(engine, bucket), small, "reads go on")
    machine.disk.capacityBytes = 2 ** 40
    const later = Buffer.alloc(3 * KIB, "y")
    await put(engine, bucket, later)
    assert.deepEqual(await get(engine, bucket), later)
    machine.disk.kill()
    assert.deepEqual(await get(await machine.open(), bucket), later)
  })
}
