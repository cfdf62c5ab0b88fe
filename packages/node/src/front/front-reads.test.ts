/** A front reads with one question for a row, and the bytes of what is cached by itself; whatever happens to the volumes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { must } from "@hayloft/base/assert.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { Machine } from "../testing-engine.js"
import { FrontWorld } from "./testing-fronts.js"

const ROUNDS = 60
const KEYS = 12
const COMPACTION_STEPS = 40

async function opened() {
  const world = await FrontWorld.withBucket(new Machine({ devices: 3 }), TEST_SEED)
  return { world, front: await world.begin(), random: new SimRandom(TEST_SEED) }
}

test("a small object is one question, and none once it was read before, until it changes: whether its bytes are in the log or have moved", async () => {
  const { world, front, random } = await opened()
  const other = await world.begin()
  await world.run(world.bucketOf(front.services))
  for (const moves of [false, true]) {
    const bytes = random.bytes(4 * KIB)
    await world.put(other.services, "small", bytes)
    if (moves) for (const { checkpointer } of world.engine.devices) await world.run(checkpointer.checkpoint())
    front.takeCalled()
    // The front keeps the row of an object that it reads for the second time.
    for (const called of moves ? [["ask"], [], []] : [["ask"], ["ask"], []]) {
      assert.deepEqual(await world.get(front.services, "small"), Buffer.from(bytes))
      assert.deepEqual(front.takeCalled(), called)
    }
  }
  await world.remove(other.services, "small")
  await assert.rejects(world.get(front.services, "small"), error => isFailure(error, "noSuchKey"))
  await world.close()
})

test("a large object is read from its files by the front", async () => {
  const { world, front, random } = await opened()
  const bytes = random.bytes(200 * KIB)
  await world.put(front.services, "large", bytes)
  front.takeCalled()
  assert.deepEqual(await world.get(front.services, "large"), Buffer.from(bytes))
  const called = front.takeCalled()
  assert.ok(called.includes("cached place"), called.join())
  assert.ok(!called.includes("read"), called.join())
  await world.close()
})

test("fronts read what was written, while objects are replaced and removed and volumes are compacted", async () => {
  const { world, front, random } = await opened()
  const threads = [front.services, (await world.begin()).services, world.engine.services]
  const objects = new Map<string, Buffer>()
  const removed = () => world.engine.devices.reduce((sum, { volumes }) => sum + volumes.removedVolumes, 0)
  // Some seeds replace few objects that are large.
  for (let round = 0; round < ROUNDS || (removed() === 0 && round < 10 * ROUNDS); round += 1) {
    const services = must(threads[random.below(threads.length)], "a thread")
    const key = `key ${random.below(KEYS)}`
    if (random.below(4) === 0) {
      objects.delete(key)
      await world.remove(services, key)
    } else {
      const bytes = Buffer.from(random.bytes(1 + random.below(random.below(2) === 0 ? 8 * KIB : 300 * KIB)))
      objects.set(key, bytes)
      await world.put(services, key, bytes)
    }
    if (random.below(6) === 0) {
      for (const { checkpointer } of world.engine.devices) await world.run(checkpointer.checkpoint())
      await world.clean()
      for (let steps = 0; steps < COMPACTION_STEPS; steps += 1) await world.run(world.step("compaction"))
    }
    for (const [name, bytes] of objects) {
      const reader = must(threads[random.below(threads.length)], "a thread")
      assert.ok((await world.get(reader, name)).equals(bytes), `${name} in round ${round}`)
    }
  }
  assert.ok(removed() > 0, "volumes were removed")
  await world.close()
})
