/** Readers of fronts: what they read stays until they have ended, and a front that does not read holds up no other. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { StoreServices } from "@hayloft/features/index.js"
import { Machine, noSignal } from "../testing-engine.js"
import { FrontWorld } from "./testing-fronts.js"

const random = new SimRandom(TEST_SEED)
/** More than is read ahead. */
const LARGE = 6 * MIB
const CALLS_OF_ENGINE_MAX = 2
const SOON_MS = 10_000

const opened = () => FrontWorld.withBucket(new Machine({ devices: 3 }), TEST_SEED)

/** Opens the body; its pieces are read one by one. */
async function reading(world: FrontWorld, services: StoreServices, key: string) {
  const bucket = await world.bucketOf(services)
  const body = await services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {} })
  const pieces = body.read(noSignal)[Symbol.asyncIterator]()
  const read: Uint8Array[] = []
  return {
    /** False: there are no more. */
    async next(): Promise<boolean> {
      const next = await pieces.next()
      if (next.done === true) return false
      read.push(Uint8Array.from(next.value))
      return true
    },
    get bytes(): Buffer {
      return Buffer.concat(read)
    },
  }
}

for (const change of ["overwritten", "removed"] as const) {
  test(`an object that is ${change} while a front reads it is read to its end; then its bytes go`, async () => {
    const world = await opened()
    const { engine } = world
    const [slow, other] = await world.begins(2)
    assert.ok(slow && other)
    for (const changer of [engine.services, other.services, slow.services]) {
      const body = Buffer.from(random.bytes(LARGE))
      await world.put(changer, "key", body)
      const reader = await world.run(reading(world, slow.services, "key"))
      await world.run(reader.next())
      if (change === "overwritten") await world.put(changer, "key", random.bytes(100))
      else await world.remove(changer, "key")
      const before = world.needles
      await world.settle("collector")
      // A reader that begins now does not hold it.
      if (change === "overwritten") await world.get(other.services, "key")
      await world.machine.clock.advance(SOON_MS)
      await world.settle("collector")
      assert.equal(world.needles, before)
      while (await world.run(reader.next())) await world.machine.clock.advance(random.below(100))
      assert.ok(reader.bytes.equals(body))
      await world.settle("collector")
      assert.equal(world.needles, 0)
    }
    await world.close()
  })
}

test("bytes that a front was reading when it ended are removed", async () => {
  const world = await opened()
  for (const isUnderWay of [false, true]) {
    const front = await world.begin()
    await world.put(world.engine.services, "key", random.bytes(LARGE))
    const reader = await world.run(reading(world, front.services, "key"))
    await world.run(reader.next())
    await world.remove(world.engine.services, "key")
    await world.settle("collector")
    assert.ok(world.needles > 0)
    const next = isUnderWay ? reader.next().catch(() => false) : undefined
    front.die()
    await world.run(front.ofEngine.closed)
    await next
    await world.settle("collector")
    assert.equal(world.needles, 0)
  }
  await world.close()
})

test("a front that does not read holds up the removal of bytes and nothing else, until it reads or ends", async () => {
  const world = await opened()
  const { clock } = world.machine
  for (const isKilled of [false, true]) {
    const [held, other] = await world.begins(2)
    assert.ok(held && other)
    await world.put(other.services, "key", random.bytes(LARGE))
    // Its requests are under way as it stops to read.
    const asked = Promise.allSettled([
      world.getting(held.services, "key"),
      world.putting(held.services, "own", random.bytes(200 * KIB)),
    ])
    await clock.advance(1)
    const goOn = held.hold()
    await world.remove(other.services, "key")
    const collected = world.step("collector")
    let isOver = false
    void collected.then(() => (isOver = true))
    for (let round = 0; round < 20; round += 1) {
      const body = Buffer.from(random.bytes(100 * KIB))
      await world.put(other.services, `key ${round}`, body)
      assert.ok(body.equals(await world.get(world.engine.services, `key ${round}`)))
      await world.remove(other.services, `key ${round}`)
      const region = `region ${round}`
      await world.run(world.engine.recordManager.change("region", record => ({ ...record, region })))
      await clock.advance(SOON_MS)
      // However much there would be to tell.
      assert.ok(held.ofEngine.unanswered <= CALLS_OF_ENGINE_MAX, `${held.ofEngine.unanswered} calls wait for it`)
    }
    assert.ok(!isOver, "its readers are unknown")
    if (isKilled) held.die()
    else goOn()
    await world.run(collected)
    await world.run(asked)
    if (isKilled) await world.run(held.ofEngine.closed)
    assert.equal(held.ofEngine.unanswered, 0)
    if (!isKilled) await world.remove(held.services, "own")
    await world.settle("collector")
    if (!isKilled) assert.equal(world.needles, 0)
    for (const front of [held, other]) front.die()
  }
  await world.close()
})
