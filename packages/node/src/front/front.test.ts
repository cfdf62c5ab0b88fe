/** Fronts serve one store: what one has written all others read, and what one leaves behind is found. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { createBucket, Machine } from "../testing-engine.js"
import { FrontWorld } from "./testing-fronts.js"

const random = new SimRandom(TEST_SEED)
const SIZES = [0, 100, 3 * KIB, 64 * KIB, 300 * KIB + 1]

async function opened(devices = 3) {
  const world = await FrontWorld.open(new Machine({ devices }), TEST_SEED)
  await world.run(createBucket(world.engine))
  return world
}

test("an object that one thread has stored is read by every other, whatever its size", async () => {
  const world = await opened()
  const [a, b] = [await world.begin(), await world.begin()]
  const threads = [world.engine.services, a.store.services, b.store.services]
  for (const [from, writer] of threads.entries()) {
    for (const bytes of SIZES) {
      const body = Buffer.from(random.bytes(bytes))
      await world.put(writer, `object ${from}`, body)
      for (const reader of threads) assert.ok(body.equals(await world.get(reader, `object ${from}`)))
    }
  }
  await world.close()
})
