/** What a store does when parts of its machine fail. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, rowKeyOf } from "../../base/ids.js"
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
