/** Checks where shards are: an object of each form, lost and damaged copies, moves, and what is counted of all blocks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { needleIdOf, type BlockGroup } from "@hayloft/engine/block/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Engine } from "./engine.js"
import { createBucket, Machine, noSignal, sourceOf } from "./testing-engine.js"

const BLOCK = 64 * KIB

class Scene {
  private constructor(
    readonly machine: Machine,
    readonly engine: Engine,
    readonly bucket: Bucket,
  ) {}

  static async open(): Promise<Scene> {
    const machine = new Machine({ devices: 6, blockBytes: BLOCK })
    const engine = await machine.open()
    return new Scene(machine, engine, await machine.clock.runUntil(createBucket(engine)))
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.machine.clock.runUntil(work)
  }

  put(name: string, lengthBytes: number): Promise<unknown> {
    const attributes = { headers: {}, userMetadata: [] }
    const facts = { bucket: this.bucket, key: objectKeyOfText(name), attributes, tags: [], conditions: {} }
    return this.run(
      this.engine.services.objects.put({ ...facts, body: sourceOf(Buffer.alloc(lengthBytes, name)), signal: noSignal }),
    )
  }

  locate(name: string, offsetBytes = 0, max = 100) {
    const request = { bucket: this.bucket, key: objectKeyOfText(name), versionId: undefined, offsetBytes, max }
    return this.run(this.engine.services.shardPlaces.locate(request))
  }

  dispersion(samples = 16) {
    return this.run(this.engine.services.shardPlaces.dispersion(samples, noSignal))
  }

  /** Removes one copy as a lost write would. */
  async lose(name: string, block: number, slot: number): Promise<DeviceId> {
    const located = must((await this.locate(name)).blocks[block], "the block exists")
    const { extent } = located.block
    const { uploadId, part } = extent
    const group = { ...located, uploadId, part, block: located.block.block, shape: undefined, shards: [], damaged: [] }
    const id = must(located.slots[slot]?.assigned, "the slot has a device")
    const device = must(this.engine.exchange.own.get(id), "the device is open")
    await this.run(device.volumes.remove([needleIdOf(group satisfies BlockGroup, slot)]))
    return id
  }
}

test("each block of an object is found with its bytes, page by page", async () => {
  const scene = await Scene.open()
  await scene.put("long", 5 * BLOCK + 10)
  const first = await scene.locate("long", 0, 4)
  assert.deepEqual(
    first.blocks.map(({ block }) => [block.block, block.offsetBytes, block.lengthBytes]),
    [0, 1, 2, 3].map(block => [block, block * BLOCK, BLOCK]),
  )
  assert.equal(first.nextOffset, 4 * BLOCK)
  const rest = await scene.locate("long", first.nextOffset ?? 0)
  assert.deepEqual(
    rest.blocks.map(({ block }) => [block.block, block.lengthBytes]),
    [
      [4, BLOCK],
      [5, 10],
    ],
  )
  assert.equal(rest.nextOffset, undefined)
  for (const { slots, needed } of [...first.blocks, ...rest.blocks]) {
    assert.equal(needed, 4)
    assert.deepEqual(new Set(slots.map(({ found }) => found)), new Set(["assigned"]))
    assert.equal(new Set(slots.map(({ assigned }) => assigned)).size, 6)
  }
  // From a byte inside a block on: that block is the first.
  assert.equal((await scene.locate("long", BLOCK + 1)).blocks[0]?.block.block, 1)
})

test("a multipart object is located over the borders of its parts", async () => {
  const scene = await Scene.open()
  const { bucket, engine } = scene
  const key = objectKeyOfText("parts")
  const attributes = { headers: {}, userMetadata: [] }
  const created = { bucket, key, attributes, tags: [], checksum: undefined }
  const { multipartId } = await scene.run(engine.services.multipart.create(created))
  const target = { bucket, key, multipartId }
  const parts = []
  for (const partNumber of [1, 2]) {
    const body = sourceOf(Buffer.alloc(5 * MIB + partNumber, "p"))
    const { etag } = await scene.run(
      engine.services.multipart.putPart({ ...target, partNumber, body, signal: noSignal }),
    )
    parts.push({ partNumber, etag, checksum: undefined })
  }
  const facts = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined, signal: noSignal }
  await scene.run(engine.services.multipart.complete({ ...target, parts, ...facts }))
  const border = 5 * MIB + 1
  const { blocks, sizeBytes } = await scene.locate("parts", border - 1, 3)
  assert.equal(sizeBytes, 10 * MIB + 3)
  assert.deepEqual(
    blocks.map(({ block }) => [block.extent.part, block.block, block.offsetBytes, block.lengthBytes]),
    [
      [1, 80, 80 * BLOCK, 1],
      [2, 0, border, BLOCK],
      [2, 1, border + BLOCK, BLOCK],
    ],
  )
})

test("small bodies have no blocks, and what does not exist is said to", async () => {
  const scene = await Scene.open()
  await scene.put("small", 100)
  const { isInline, blocks, sizeBytes } = await scene.locate("small")
  assert.deepEqual([isInline, blocks, sizeBytes], [true, [], 100])
  await assert.rejects(scene.locate("nothing"), error => isFailure(error, "noSuchKey"))
})

test("lost shards are missing in both reports, and all others in their places", async () => {
  const scene = await Scene.open()
  for (let at = 0; at < 5; at += 1) await scene.put(`o${at}`, 3 * BLOCK)
  const whole = await scene.dispersion()
  assert.deepEqual([whole.isComplete, whole.share, whole.blocks, whole.missing], [true, 1, 15, [15]])
  assert.equal(whole.shards.assigned, 90)
  await scene.lose("o1", 0, 2)
  await scene.lose("o1", 0, 5)
  await scene.lose("o2", 1, 0)
  const { slots } = must((await scene.locate("o1")).blocks[0], "it has blocks")
  assert.deepEqual(
    slots.flatMap(({ found, slot }) => (found === "missing" ? [slot] : [])),
    [2, 5],
  )
  const { blocks, missing, notInPlace, shards, unreadable } = await scene.dispersion()
  assert.deepEqual([blocks, missing, notInPlace], [15, [13, 1, 1], [13, 1, 1]])
  assert.deepEqual([shards.assigned, shards.missing, unreadable], [87, 3, 0])
  await scene.lose("o1", 0, 0)
  assert.equal((await scene.dispersion()).unreadable, 1)
})

test("blocks that lack shards and that no object has are left out", async () => {
  const scene = await Scene.open()
  await scene.put("kept", BLOCK)
  await scene.put("gone", BLOCK)
  await scene.lose("gone", 0, 1)
  assert.deepEqual((await scene.dispersion()).missing, [1, 1])
  await scene.run(
    scene.engine.services.objects.remove({ bucket: scene.bucket, key: objectKeyOfText("gone"), conditions: {} }),
  )
  // The bytes are kept for a while, and still lack a shard.
  const { blocks, missing, unreferenced } = await scene.dispersion()
  assert.deepEqual([blocks, missing, unreferenced], [1, [1], 1])
})

test("a sample of a store is some of it, says so, and counts no block twice", async () => {
  const scene = await Scene.open()
  for (let at = 0; at < 8; at += 1) await scene.put(`o${at}`, 60 * BLOCK)
  const all = await scene.dispersion(16)
  assert.deepEqual([all.isComplete, all.blocks], [true, 480])
  // One stretch is longer than what is read of it.
  const one = await scene.dispersion(1)
  assert.equal(one.isComplete, false)
  assert.ok(one.blocks > 300 && one.blocks < 400, String(one.blocks))
  assert.ok(Math.abs(one.share - one.blocks / 480) < 0.1, String(one.share))
  assert.equal(one.missing[0], one.blocks)
})

test("a device that does not answer is named, and reports go on without it", async () => {
  const scene = await Scene.open()
  await scene.put("object", BLOCK)
  const { exchange } = scene.engine
  const [, device] = must([...exchange.own][0], "there are devices")
  const silent = parseDeviceId("f".repeat(16))
  const refuse = (): never => {
    throw fail("deviceFailed", { device: silent })
  }
  exchange.setRemote(silent, { id: silent, isWritable: false, volumes: { ...device.volumes, indexed: refuse } })
  const dispersion = await scene.dispersion()
  assert.deepEqual([dispersion.silent, dispersion.missing], [[silent], [1]])
  assert.deepEqual((await scene.locate("object")).silent, [silent])
})
