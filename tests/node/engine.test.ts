/** The behaviour of a store when parts of its machine fail. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, rowKeyOf } from "@hayloft/base/ids.js"
import { isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { SPACE_WAIT_MS_MAX } from "@hayloft/engine/device/checkpoint/checkpointer.js"
import { closeBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { Encryption } from "@hayloft/objects/bodies/encryption.js"
import { ObjectReader } from "@hayloft/objects/bodies/object-reader.js"
import { ReadPins } from "@hayloft/objects/bodies/read-pins.js"
import { SealedBodies } from "@hayloft/objects/bodies/sealed-body.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { testingKeys } from "@hayloft/access/keys/testing-keys.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { failing } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Engine } from "@hayloft/node/engine.js"
import { bytesOf, createBucket, Machine, noSignal, sourceOf } from "@hayloft/node/testing-engine.js"

const key = objectKeyOfText("key")
const given = { key, attributes: { headers: {}, userMetadata: [] }, tags: [], conditions: {}, signal: noSignal }
const put = (engine: Engine, bucket: Bucket, bytes: Uint8Array) =>
  engine.services.objects.put({ ...given, bucket, body: sourceOf(bytes) })
const get = async (engine: Engine, bucket: Bucket) =>
  bytesOf(await engine.services.objects.get({ bucket, key, conditions: {} }))
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

test("a body of more blocks than a command has rows is stored while a device fails, and every missing shard has a hint", async () => {
  const machine = new Machine({ devices: 4, blockBytes: 256 })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d4/volumes", code: "EIO", forEver: true }))
  const bytes = Buffer.alloc(300 * KIB, "x")
  await put(engine, bucket, bytes)
  assert.deepEqual(await get(engine, bucket), bytes)
  const hints = [...must(engine.tablet, "the devices keep the metadata").committed.range("missingShardHints", ALL)]
  assert.ok(hints.length > 1_100, `${hints.length} hints for 1,200 blocks`)
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
    assert.deepEqual(await get(engine, bucket), small, "reads continue")
    // If space were freed while the device examines why a write failed, it would assume a quota.
    await machine.clock.advance(1_000)
    machine.disk.capacityBytes = 2 ** 40
    await machine.clock.advance(1_000)
    const later = Buffer.alloc(3 * KIB, "y")
    await put(engine, bucket, later)
    assert.deepEqual(await get(engine, bucket), later)
    machine.disk.kill()
    assert.deepEqual(await get(await machine.open(), bucket), later)
  })
}

test("small objects and listings survive rot on the device that is read first", async () => {
  const machine = new Machine({ devices: 3 })
  let engine = await machine.open()
  const bucket = await createBucket(engine)
  const keys = ["a", "b", "c"].map(objectKeyOfText)
  const small = (name: string) => Buffer.alloc(1 * KIB, name)
  for (const name of keys)
    await engine.services.objects.put({ ...given, key: name, bucket, body: sourceOf(small(name)) })
  await engine.stop()
  machine.disk.flipBit("/d1/payloads/0000000001.volume", 8 * (4096 + 300))
  machine.rotTables(1)
  engine = await machine.open()
  for (const name of keys) {
    const body = await engine.services.objects.get({ bucket, key: name, conditions: {} })
    assert.deepEqual(await bytesOf(body), small(name))
  }
  const page = await engine.services.objects.list({ bucket, prefix: "", delimiter: "", after: "", max: 10 })
  assert.deepEqual(
    page.entries.map(entry => (entry.kind === "object" ? entry.object.key : "")),
    keys,
  )
  await engine.services.objects.setTags({ bucket, key: keys[1] ?? key }, [["tag", "value"]])
  const again = await engine.services.objects.get({ bucket, key: keys[1] ?? key, conditions: {} })
  assert.deepEqual(await bytesOf(again), small("b"), "a command copies the payload from the undamaged replica")
})

test("a store opens and completes an interrupted deletion, with more pending deletions than the limit for writers", async () => {
  const machine = new Machine({ devices: 1 })
  const first = await machine.open()
  const bucket = await createBucket(first)
  for (let i = 0; i < 10; i += 1) await first.accounts.createKey({ accountId: bucket.owner, userName: undefined })
  await first.metadata.run(closeBucket(bucket.id))
  machine.disk.kill()
  machine.checkpointLimits = { rowsMax: 2 }
  const engine = await Promise.race([
    machine.open(),
    machine.clock.advance(SPACE_WAIT_MS_MAX + 1).then(() => undefined),
  ])
  assert.ok(engine, "it opens")
  await put(engine, await engine.services.buckets.open(bucket.name), Buffer.from("body"))
})

async function removeLog(machine: Machine, folder: string): Promise<void> {
  const disk = machine.disk.boot()
  for (const name of await disk.list(folder)) await disk.remove(`${folder}/${name}`)
}

test("a device that has lost its rows and its log is taken offline at the start", async () => {
  const machine = new Machine({ devices: 2 })
  let engine = await machine.open()
  const bucket = await createBucket(engine)
  await put(engine, bucket, Buffer.from("body"))
  await engine.stop()
  await machine.stores.discard("/d1/base", machine.hostOf(1))
  await removeLog(machine, "/d1/log")
  engine = await machine.open()
  assert.deepEqual(
    engine.recordManager.record.devices.map(device => device.state),
    ["offline", "active"],
  )
  assert.deepEqual(await get(engine, bucket), Buffer.from("body"))
})

/** Ends the process, and corrupts the first device. */
const spoilings: Record<string, (machine: Machine, engine: Engine) => Promise<void>> = {
  "cannot be opened": async machine => {
    machine.disk.kill()
    // In the first batch, because later batches record that it was durable.
    machine.disk.flipBit("/d1/log/segment-000001", 8 * 90)
  },
  "has lost what it held": async (machine, engine) => {
    await engine.stop()
    await machine.stores.discard("/d1/base", machine.hostOf(1))
    await removeLog(machine, "/d1/log")
  },
}

for (const [what, spoil] of Object.entries(spoilings)) {
  test(`a start that takes out a device that ${what}, and one that does not take the record of it, has the others`, async () => {
    const machine = new Machine({ devices: 5 })
    let engine = await machine.open()
    const bucket = await createBucket(engine)
    for (const body of ["one", "two"]) await put(engine, bucket, Buffer.from(body))
    await spoil(machine, engine)
    machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d2/control", code: "EIO", forEver: true }))
    engine = await machine.open()
    const { devices, tablets } = engine.recordManager.record
    assert.deepEqual(
      devices.map(device => device.state),
      ["offline", "offline", "active", "active", "active"],
    )
    assert.deepEqual(
      tablets[0]?.replicas.map(({ id }) => id),
      [devices[2]?.id],
    )
    assert.deepEqual(await get(engine, bucket), Buffer.from("two"))
    await put(engine, bucket, Buffer.from("three"))
    assert.deepEqual(await get(engine, bucket), Buffer.from("three"))
  })
}

for (const [what, size] of [
  ["in volumes", 40_000],
  ["with their rows", 400],
] as const) {
  test(`a store whose metadata is gone everywhere is not taken for a new one, and keeps its bodies ${what}`, async () => {
    const machine = new Machine({ devices: 2 })
    const engine = await machine.open()
    await put(engine, await createBucket(engine), Buffer.alloc(size, "body"))
    await engine.stop()
    for (const folder of ["/d1", "/d2"]) {
      await machine.stores.discard(`${folder}/base`, machine.hostOf(Number(folder.slice(2))))
      await removeLog(machine, `${folder}/log`)
    }
    for (let i = 0; i < 2; i += 1) {
      await assert.rejects(
        machine.open(),
        error => isFailure(error, "corruptLog") && /hayloft rescue/.test(error.message),
      )
    }
    const volumes = machine.disk.medium.namesIn(size > 4096 ? "/d1/volumes" : "/d1/payloads")
    assert.ok(volumes.length > 0)
  })
}

test("a device that cannot be opened at the start reports why, and its folder can be reused", async () => {
  const machine = new Machine({ devices: 3 })
  let engine = await machine.open()
  const bucket = await createBucket(engine)
  for (const body of ["one", "two"]) await put(engine, bucket, Buffer.from(body))
  machine.disk.kill()
  // In the first batch, because later batches record that it was durable.
  machine.disk.flipBit("/d1/log/segment-000001", 8 * 90)
  engine = await machine.open()
  const [first] = engine.recordManager.record.devices
  assert.ok(first)
  assert.equal(first.state, "offline")
  assert.match(engine.control.offlineReason(first.id) ?? "", /the commit log is damaged before its durable end/)
  assert.deepEqual(machine.released, ["/d1"])
  assert.deepEqual(await get(engine, bucket), Buffer.from("two"))
})

test("a failed read leaves no pin, which would retain all released bytes", async () => {
  const machine = new Machine({ devices: 1 })
  let engine = await machine.open()
  await put(engine, await createBucket(engine), Buffer.alloc(1 * KIB, "x"))
  await engine.stop()
  machine.disk.flipBit("/d1/payloads/0000000001.volume", 8 * (4096 + 300))
  engine = await machine.open()
  const [bucket] = (await engine.services.buckets.list({ owner: parseAccountId("root"), max: 1 })).buckets
  assert.ok(bucket)
  const pins = new ReadPins(machine.clock)
  const unused = () => Promise.reject(new Error("no blocks are read"))
  const blocks: Blocks = {
    write: unused,
    remove: unused,
    headerOf: unused,
    headersOf: unused,
    removeGroups: unused,
    mend: unused,
    moveAway: unused,
    reencode: unused,
    ownerOf: unused,
    hotCopies: undefined,
    memoryShare: 1,
    isFull: false,
    seenShards: unused,
    shardScanOf: () => [],
    shardScan: () => ({ groups: [], next: undefined }),
    markSuspect: () => false,
    suspicions: 0,
    isAssigned: () => true,
    shardsThere: () => 0,
    read: async function* () {},
  }
  const compute = new InlineCompute(makeCodec, { slabBytes: 64 * KIB, poolBytes: 64 * KIB })
  const { log } = new SimTelemetry()
  const sealedBodies = new SealedBodies(blocks, compute, log)
  const reader = new ObjectReader(
    { clock: machine.clock, log, metadata: engine.metadata, blocks, sealedBodies },
    pins,
    new Encryption(new SimRandom(1), engine.metadata, testingKeys(engine.metadata, machine.clock), false),
    engine.services.storeClock,
    { policyOf: () => undefined },
  )
  await assert.rejects(
    async () => reader.open({ bucket, key, conditions: {} }),
    error => isFailure(error, "corruptNeedle"),
  )
  assert.equal(pins.count, 0)
})

test("a device whose volume cannot be written costs one write at most; the others continue without it", async () => {
  const machine = new Machine({ devices: 3 })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d3/volumes", code: "EIO", forEver: true }))
  const bytes = Buffer.alloc(200 * KIB, "x")
  await assert.rejects(put(engine, bucket, bytes), error => isFailure(error, "deviceFailed"))
  await put(engine, bucket, bytes)
  assert.deepEqual(await get(engine, bucket), bytes)
  machine.disk.kill()
  assert.deepEqual(await get(await machine.open(), bucket), bytes)
})

test("a device that accepts no writes does not keep the others from freeing bytes", async () => {
  const machine = new Machine({ devices: 3 })
  const engine = await machine.open()
  const bucket = await createBucket(engine)
  const bytes = Buffer.alloc(200 * KIB, "x")
  await put(engine, bucket, bytes)
  machine.disk.intercept(failing({ kind: "write", nth: 1, pathPart: "/d3/volumes", code: "EIO", forEver: true }))
  await assert.rejects(put(engine, bucket, bytes), error => isFailure(error, "deviceFailed"))
  await engine.services.objects.remove({ bucket, key, conditions: {} })
  const collector = engine.jobs.find(({ name }) => name === "collector")
  while ((await collector?.step(noSignal)) === "busy") continue
  assert.deepEqual(
    [...must(engine.tablet, "the devices keep the metadata").committed.range("pendingDeletions", ALL)],
    [],
  )
  assert.deepEqual([...(engine.devices[0]?.rows.range("needles", ALL) ?? [])], [])
})
