/** Packing: cold small objects reference ranges of one block, and clients notice nothing. */
import { PACKING_SERVICE } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { assertCounted, assertNothing, rowsIn, settle } from "../dedup/testing-dedup.js"
import { assertBodies, keyOf, never, opened, packsIn, pass, put, putMany, removing } from "./testing-packing.js"

const sizes = (i: number): number => 100 + ((i * 397) % 1_900)

test("objects are packed once they are cold, and have their bytes", async () => {
  const scene = await opened("ec:2+1", undefined)
  const { clock, services } = scene.world
  // Rows have a clock of their own.
  const afterSeconds = Math.ceil((clock.wallMs() - 1_700_000_000_000) / 1_000) + 3_600
  await clock.runUntil(PACKING_SERVICE.of(services.core).set(scene.bucket, { afterSeconds, maxBytes: 65_536 }))
  const bodies = await putMany(scene, 40, sizes)
  await pass(scene)
  assert.equal(packsIn(scene).length, 0)
  const young = await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))
  assert.deepEqual(young.leftOut, { young: 40 })
  await clock.advance(7 * 86_400_000)
  await scene.world.settle("packing")
  assert.ok(packsIn(scene).reduce((sum, { count }) => sum + count, 0) >= 38)
  assertCounted(scene)
  await settle(scene)
  await assertBodies(scene, bodies)
  // Small ones have no needles of their own.
  assert.equal(scene.world.needles, 3 * packsIn(scene).length)
})

test("the bytes of a pack go with its last object", async () => {
  const scene = await opened()
  await putMany(scene, 20, sizes)
  await pass(scene)
  assert.ok(packsIn(scene).length > 0)
  for (let i = 0; i < 20; i += 1) await scene.world.clock.runUntil(removing(scene, keyOf(i)))
  await assertNothing(scene)
})

test("objects that are few, long, empty or packed already stay as they are", async () => {
  const scene = await opened("ec:2+1", { afterSeconds: 0, maxBytes: 1_000 })
  await putMany(scene, 10, () => 500)
  await put(scene, "long", scene.world.random.bytes(1_001))
  await put(scene, "empty", new Uint8Array(0))
  await pass(scene)
  assert.equal(packsIn(scene).length, 0)
  await putMany(scene, 10, () => 500, 10)
  await pass(scene)
  const packs = packsIn(scene)
  assert.deepEqual(
    packs.map(({ count }) => count),
    [20],
  )
  const { clock, services } = scene.world
  const { leftOut, ...stat } = await clock.runUntil(PACKING_SERVICE.of(services.core).stat(scene.bucket))
  assert.deepEqual(leftOut, { packed: 20, long: 1, empty: 1 })
  assert.equal(stat.liveBytes, 20 * 500)
  const before = rowsIn(scene, "segments").length
  await pass(scene)
  assert.equal(rowsIn(scene, "segments").length, before)
})

test("objects of a pack of which little is left are packed again, or get bytes of their own", async () => {
  const scene = await opened()
  const bodies = await putMany(scene, 24, () => 400)
  await pass(scene)
  const remove = async (first: number, end: number): Promise<void> => {
    for (let i = first; i < end; i += 1) {
      await scene.world.clock.runUntil(removing(scene, keyOf(i)))
      bodies.delete(keyOf(i))
    }
    await settle(scene)
  }
  await remove(0, 13)
  await pass(scene)
  await settle(scene)
  // Eleven are too few for another pack.
  assert.equal(packsIn(scene).length, 0)
  await assertBodies(scene, bodies)
  assertCounted(scene)
  for (const [key, bytes] of await putMany(scene, 24, () => 400, 100)) bodies.set(key, bytes)
  await pass(scene)
  await settle(scene)
  assert.ok(packsIn(scene).reduce((sum, { count }) => sum + count, 0) >= 30)
  await assertBodies(scene, bodies)
})

test("on full disks objects stay in a pack of which little is left, until there is space", async () => {
  const scene = await opened()
  const { devices, clock } = scene.world
  const bodies = await putMany(scene, 24, () => 400)
  await pass(scene)
  for (let i = 0; i < 13; i += 1) {
    await clock.runUntil(removing(scene, keyOf(i)))
    bodies.delete(keyOf(i))
  }
  await settle(scene)
  const job = scene.world.job("packing")
  await clock.advance(90_000)
  for (const id of devices.live.keys()) devices.full.add(id)
  for (let throttled = 0, steps = 0; throttled < 5; steps += 1) {
    const outcome = await clock.runUntil(job.step(never))
    assert.ok(outcome !== "idle" && steps < 100, "the pass is not over")
    if (outcome === "throttled") throttled += 1
  }
  devices.full.clear()
  // The same pass: the next one is not due yet.
  while ((await clock.runUntil(job.step(never))) !== "idle");
  await settle(scene)
  assert.equal(packsIn(scene).length, 0)
  await assertBodies(scene, bodies)
  assertCounted(scene)
})

test("shards that objects had of their own are removed by the collector", async () => {
  const scene = await opened()
  await putMany(scene, 20, i => 5_000 + i)
  assert.equal(scene.world.needles, 60)
  await pass(scene)
  await scene.world.settle("collector")
  assert.deepEqual(
    packsIn(scene).map(({ count }) => count),
    [20],
  )
  assert.equal(scene.world.needles, 3)
})

test("on full disks a pass waits with what it holds, makes no job fail, and packs it once there is space", async () => {
  // Less than a pack waits at the end of a pass, a whole one in the middle.
  for (const count of [40, 200]) {
    const scene = await opened()
    const { devices, clock } = scene.world
    const bodies = await putMany(scene, count, () => 1_900)
    const packedObjects = (): number => packsIn(scene).reduce((sum, pack) => sum + pack.count, 0)
    const job = scene.world.job("packing")
    await clock.advance(90_000)
    for (const id of devices.live.keys()) devices.full.add(id)
    for (let throttled = 0, steps = 0; throttled < 5; steps += 1) {
      const outcome = await clock.runUntil(job.step(never))
      assert.ok(outcome !== "idle" && steps < 100, "the pass is not over")
      if (outcome === "throttled") throttled += 1
    }
    assert.equal(packedObjects(), 0)
    devices.full.clear()
    // The same pass: the next one is not due yet.
    while ((await clock.runUntil(job.step(never))) !== "idle");
    assert.ok(packedObjects() >= 40, `${packedObjects()} of ${count}`)
    await pass(scene)
    assert.ok(packedObjects() > count - 16, `${packedObjects()} of ${count}`)
    assertCounted(scene)
    await settle(scene)
    await assertBodies(scene, bodies)
  }
})
