/** Packs of which little is left go, whatever the objects in them are. */
import { PACKING_SERVICE } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseBucketId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { candidatesFrom } from "./candidates-core.js"
import { beginAgain, isPassDue, notePacked, NOTHING_PACKED, packingOf, takePackingSlice } from "./pack-commands-core.js"
import { type Scene, assertCounted, settle } from "../dedup/testing-dedup.js"
import {
  observing,
  assertBodies,
  bodyIn,
  keyOf,
  never,
  opened,
  packsIn,
  pass,
  putMany,
  removing,
  renew,
} from "./testing-packing.js"

const write = command<[writes: readonly EntryWrite[]], void>({
  name: "TestWriteRecords",
  touches: writes => writes.map(({ family, key }) => [family, key] as const),
  decide: (view, _time, writes) => {
    for (const { family, key } of writes) view.get(family, key)
    return { writes: [...writes], result: undefined }
  },
})

const LARGE = { blockBytes: MIB }

async function remove(scene: Scene, bodies: Map<string, Buffer>, first: number, end: number): Promise<void> {
  for (let i = first; i < end; i += 1) {
    await scene.world.clock.runUntil(removing(scene, keyOf(i)))
    bodies.delete(keyOf(i))
  }
  await settle(scene)
}

test("an object whose metadata was replaced keeps no pack and delays no other object", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 64 * KIB }))
  const bodies = await putMany(scene, 40, () => 400)
  await pass(scene)
  const object = { bucket: scene.bucket, key: objectKeyOfText(keyOf(0)), conditions: {} }
  const replaceAttributes = { headers: { contentType: "text/x" }, userMetadata: [] }
  await clock.runUntil(services.objects.copy({ source: object, ...object, signal: never, replaceAttributes } as never))
  await remove(scene, bodies, 1, 30)
  for (const [key, bytes] of await putMany(scene, 60, () => 400, 100)) bodies.set(key, bytes)
  for (let n = 0; n < 2; n += 1) {
    await pass(scene)
    await settle(scene)
  }
  const stat = await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))
  assert.deepEqual([stat.packedObjects, stat.sparsePacks, stat.waitingObjects], [70, 0, 0])
  await assertBodies(scene, bodies)
  assertCounted(scene)
})

/** Objects are cold; some are removed once they were looked at for the last time, while the bytes of their pack are written. */
async function removedWhilePacked(count: number, removed: readonly string[]) {
  let atWrite: (() => Promise<unknown>) | undefined
  const behind = observing((call, path) => {
    if (call !== "write" || !path.endsWith(".volume")) return
    const removals = atWrite?.()
    atWrite = undefined
    return removals
  })
  const scene = await opened("ec:2+1", undefined, { ...LARGE, behind })
  const { clock, services } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 64 * KIB }))
  const bodies = await putMany(scene, count, () => 5_000)
  await clock.advance(90_000)
  atWrite = () => Promise.all(removed.map(key => removing(scene, key)))
  await scene.world.settle("packing")
  assert.equal(atWrite, undefined, "the pack was written")
  for (const key of removed) bodies.delete(key)
  await settle(scene)
  return { scene, bodies }
}

test("a pack whose first object is removed while it is made is made by the next pass, and no job fails", async () => {
  const { scene, bodies } = await removedWhilePacked(40, [keyOf(0)])
  assert.deepEqual(packsIn(scene), [])
  await pass(scene)
  await settle(scene)
  assert.deepEqual(
    packsIn(scene).map(({ count }) => count),
    [39],
  )
  await assertBodies(scene, bodies)
  assertCounted(scene)
})

test("a pack whose objects changed while it was made has the room of all of them", async () => {
  const { scene, bodies } = await removedWhilePacked(
    40,
    Array.from({ length: 24 }, (_, i) => keyOf(i + 16)),
  )
  assert.deepEqual(
    packsIn(scene).map(({ count, pack }) => [count, pack?.objects, pack?.bytes]),
    [[16, 40, 40 * 5_000]],
  )
  await pass(scene)
  await settle(scene)
  assert.deepEqual(
    packsIn(scene).map(({ count, pack }) => [count, pack?.objects]),
    [[16, 16]],
  )
  await assertBodies(scene, bodies)
})

test("an object that was appended to does not keep a pack of which little is left", async () => {
  const scene = await opened("ec:2+1", undefined, LARGE)
  const { clock, services } = scene.world
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds: 0, maxBytes: 64 * KIB }))
  const bodies = await putMany(scene, 40, () => 400)
  await pass(scene)
  const more = Buffer.from("more")
  await clock.runUntil(services.buckets.setSetting(scene.bucket, "append", "{}"))
  await renew(scene)
  await clock.runUntil(
    services.appends.append({
      bucket: scene.bucket,
      key: objectKeyOfText(keyOf(3)),
      tags: [],
      signal: never,
      body: sourceOf(more),
      attributes: { headers: {}, userMetadata: [] },
      atOffset: undefined,
      appendId: undefined,
      conditions: {},
    }),
  )
  bodies.set(keyOf(3), Buffer.concat([bodyIn(bodies, 3), more]))
  await remove(scene, bodies, 5, 40)
  await pass(scene)
  await settle(scene)
  assert.equal(packsIn(scene).length, 0)
  await assertBodies(scene, bodies)
  assertCounted(scene)
})

test("a process that lost a slice goes on behind it with the objects that it holds", async () => {
  const scene = await opened()
  const { clock, tablet: metadata } = scene.world
  const bucketId = scene.bucket.id
  await putMany(scene, 2_100, () => 30)
  await clock.advance(90_000)
  const job = scene.world.job("packing")
  for (let steps = 0; steps < 2; steps += 1) await clock.runUntil(job.step(never))
  const { pass: under } = await clock.runUntil(asPromise(() => metadata.ask(packingOf(bucketId))))
  const start = must(under?.next, "a pass is under way")
  const cold = { beforeMs: Infinity, maxBytes: 64 * KIB }
  const { next: end } = await clock.runUntil(
    asPromise(() => metadata.ask(candidatesFrom(bucketId, start, cold, 1_000))),
  )
  const slice = { bucketId, nowMs: clock.wallMs(), start, end, first: start, packed: NOTHING_PACKED }
  assert.ok(await clock.runUntil(metadata.run(takePackingSlice(slice))))
  await scene.world.settle("packing")
  assert.deepEqual(
    packsIn(scene)
      .map(({ count }) => count)
      .sort((a, b) => b - a),
    [...Array.from({ length: 8 }, () => 128), 1_100 - 8 * 128],
  )
})

test("a setting that is made again during a pass begins another one at once", async () => {
  const scene = await opened()
  const { clock, tablet: metadata } = scene.world
  await putMany(scene, 40, () => 400)
  await pass(scene)
  await clock.runUntil(metadata.run(beginAgain(scene.bucket.id)))
  // The pass that was under way ends.
  const packed = { packs: 1, objects: 16, bytes: 6_400 }
  await clock.runUntil(metadata.run(notePacked(scene.bucket.id, clock.wallMs(), packed)))
  const { setting, pass: after } = await clock.runUntil(asPromise(() => metadata.ask(packingOf(scene.bucket.id))))
  const bucket = { bucketId: scene.bucket.id, setting: must(setting, "it was set"), pass: after }
  assert.ok(isPassDue(bucket, clock.wallMs()))
  assert.equal(after?.packed.objects, 16)
})

test("a record that cannot be decoded delays no other object", async () => {
  const scene = await opened()
  const { clock, tablet: metadata, services } = scene.world
  const bodies = await putMany(scene, 40, () => 400)
  const key = objectRowKey(scene.bucket.id, objectKeyOfText(keyOf(2)))
  await clock.runUntil(metadata.run(write([{ family: "current", key, value: Buffer.from("no record") }])))
  bodies.delete(keyOf(2))
  await pass(scene)
  const stat = await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))
  assert.deepEqual([stat.packedObjects, stat.leftOut["unreadable"]], [39, 1])
  await assertBodies(scene, bodies)
})

test("a pass that took long is followed by another within a day", () => {
  const day = 86_400_000
  const setting = { afterSeconds: 30 * 86_400, maxBytes: 1 }
  const pass = { startedMs: 0, endedMs: day, next: undefined, packed: NOTHING_PACKED }
  const isDue = (ms: number) => isPassDue({ bucketId: parseBucketId(1), setting, pass }, ms)
  assert.deepEqual([isDue(2 * day - 1), isDue(2 * day)], [false, true])
  const short = { ...pass, startedMs: day - 60_000 }
  const isShortDue = (ms: number) =>
    isPassDue({ bucketId: parseBucketId(1), setting: { afterSeconds: 0, maxBytes: 1 }, pass: short }, day + ms)
  assert.deepEqual([isShortDue(20 * 60_000 - 1), isShortDue(20 * 60_000)], [false, true])
})
