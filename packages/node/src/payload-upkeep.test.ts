/** Small objects whose bytes move between volumes while they are read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { owned } from "@hayloft/base/memory/lent.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Engine } from "./engine.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "./testing-engine.js"

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
const OBJECTS = 300
/** In the body of one of them. */
const ROTTEN_AT = 100 * KIB
const keyOf = (i: number) => objectKeyOfText(`object ${i}`)
const bodyOf = (i: number, version: number) => Buffer.alloc(3 * KIB, `${i} ${version} `)

const put = (engine: Engine, bucket: Bucket, i: number, version: number) =>
  engine.services.objects.put({
    key: keyOf(i),
    attributes: { headers: {}, userMetadata: [] },
    tags: [],
    conditions: {},
    signal: noSignal,
    bucket,
    body: sourceOf(bodyOf(i, version)),
  })

const checkpoint = async (engine: Engine) => {
  for (const { checkpointer } of engine.devices) {
    await checkpointer.checkpoint()
    await checkpointer.merge()
  }
}

const payloadBytes = (machine: Machine): number =>
  machine.disk.medium
    .namesIn("/d1/payloads")
    .reduce((sum, name) => sum + (machine.disk.medium.fileAt(`/d1/payloads/${name}`)?.current.length ?? 0), 0)

test("a volume with wrong usage numbers and a corrupt tail loses the corrupt part, and nothing else", async () => {
  const machine = new Machine({ devices: 1 })
  const first = await machine.open()
  const bucket = await createBucket(first)
  for (let i = 0; i < OBJECTS; i += 1) await put(first, bucket, i, 1)
  await first.stop()
  machine.disk.kill()
  const base = await machine.stores.openWriter("/d1/base", machine.hostOf(1))
  const books = [...base.range("marks", { start: rowKeyOf("payloads/"), end: rowKeyOf("payloads0") })]
  assert.equal(books.length, 1)
  await base.commit(books.map(([key]) => ({ family: "marks", key, value: undefined })))
  const [volume] = machine.disk.medium.namesIn("/d1/payloads")
  machine.disk.flipBit(`/d1/payloads/${volume}`, 8 * ROTTEN_AT)
  const engine = await machine.open()
  for (let i = 0; i < 3; i += 1) {
    await put(engine, bucket, OBJECTS + i, 1)
    await checkpoint(engine)
  }
  let read = 0
  for (let i = 0; i < OBJECTS; i += 1) {
    const got = async () => bytesOf(await engine.services.objects.get({ bucket, key: keyOf(i), conditions: {} }))
    read += await got().then(
      () => 1,
      () => 0,
    )
  }
  assert.equal(read, OBJECTS - 1)
})

test("overwritten and deleted small objects free their space, and readers with an old location are served", async () => {
  const machine = new Machine({ devices: 1 })
  let engine = await machine.open()
  const bucket = await createBucket(engine)
  const versions = new Map<number, number>()
  for (let i = 0; i < OBJECTS; i += 1) {
    await put(engine, bucket, i, 1)
    versions.set(i, 1)
  }
  await checkpoint(engine)
  const held = [...must(engine.tablet, "the devices keep the metadata").committed.range("current", ALL)]
  const firstVolume = machine.disk.medium.namesIn("/d1/payloads")[0]
  for (let i = 0; i < OBJECTS; i += 1) {
    if (i % 3 === 0) await engine.services.objects.remove({ bucket, key: keyOf(i), conditions: {} })
    else if (i % 3 === 1) await put(engine, bucket, i, 2)
    if (i % 3 === 0) versions.delete(i)
    else if (i % 3 === 1) versions.set(i, 2)
  }
  for (let left = 20; left > 0; left -= 1) await checkpoint(engine)
  const names = machine.disk.medium.namesIn("/d1/payloads")
  assert.ok(!names.includes(String(firstVolume)), `${names.join()} without ${firstVolume}`)
  const liveBytes = versions.size * 3 * KIB
  assert.ok(payloadBytes(machine) < liveBytes / 0.75, `${payloadBytes(machine)} bytes for ${liveBytes}`)
  let served = 0
  for (const [key, row] of held) {
    assert.equal(row.payload?.in, "volume", "a place from before")
    const bytes = await owned(engine.metadata.payload("current", key, row))
    if (bytes === undefined) continue
    served += 1
    assert.equal(bytes.length, 3 * KIB)
  }
  assert.equal(served, OBJECTS / 3, "those that are as they were")
  for (const crash of [false, true]) {
    if (crash) {
      machine.disk.kill()
      engine = await machine.open()
    }
    for (const [i, version] of versions) {
      const got = await engine.services.objects.get({ bucket, key: keyOf(i), conditions: {} })
      assert.deepEqual(await bytesOf(got), bodyOf(i, version))
    }
  }
})
