/** Fronts serve one store: what one has written all others read, and all follow the engine thread. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import { Machine } from "../testing-engine.js"
import { FrontRecords } from "./front-records.js"
import { FRONT_METHODS } from "./methods.js"
import { FrontWorld } from "./testing-fronts.js"

const random = new SimRandom(TEST_SEED)
const SIZES = [0, 100, 3 * KIB, 64 * KIB, 300 * KIB + 1]

const opened = (devices = 3) => FrontWorld.withBucket(new Machine({ devices }), TEST_SEED)

test("an object that one thread has stored is read by every other, whatever its size", async () => {
  const world = await opened()
  const fronts = await world.begins(2)
  const threads = [world.engine.services, ...fronts.map(({ services }) => services)]
  for (const [from, writer] of threads.entries()) {
    for (const bytes of SIZES) {
      const body = Buffer.from(random.bytes(bytes))
      await world.put(writer, `object ${from}`, body)
      for (const reader of threads) assert.ok(body.equals(await world.get(reader, `object ${from}`)))
    }
  }
  await world.close()
})

test("a front is ready from its first request on, also before the process has opened its port in all threads", async () => {
  const world = await opened()
  assert.equal((await world.begin()).store.state.health.ready, true)
  await world.close()
})

/** A link to the engine thread, as a front without services has it. */
async function linked(world: FrontWorld, random: Random) {
  const { clock } = world.machine
  const [here, there] = SimChannel.pair(clock, random)
  const ofEngine = new ThreadLink(there, clock)
  const { record } = await world.run(world.fronts.begin(ofEngine))
  ofEngine.start()
  return { link: new ThreadLink(here, clock), record }
}

test("changes of the record by several threads at once are made one after another, each on the one before", async () => {
  const world = await opened()
  const { recordManager } = world.engine
  const links: Awaited<ReturnType<typeof linked>>[] = []
  for (const at of [0, 1, 2]) links.push(await linked(world, random.fork(`channel ${at}`)))
  const managers = links.map(({ link, record }) => {
    const records = new FrontRecords(link, record)
    link.handle(FRONT_METHODS.follow, told => {
      if (told.record !== undefined) records.follow(told.record)
      return { oldestLayout: 1 }
    })
    link.start()
    return { records, link }
  })
  const all = [recordManager, ...managers.map(({ records }) => records)]
  for (let round = 1; round <= 10; round += 1) {
    await world.run(
      Promise.all(
        all.map((each, at) => each.change("region", record => ({ ...record, region: `${record.region}${at}` }))),
      ),
    )
    await world.machine.clock.advance(random.below(10))
  }
  const { region } = recordManager.record
  assert.equal([...region].sort().join(""), [0, 1, 2, 3].map(at => `${at}`.repeat(10)).join(""))
  await world.machine.clock.advance(1_000)
  for (const { records } of managers) assert.equal(records.record.region, region)
  for (const { link } of managers) link.close()
  await world.close()
})

test("a front that fails to follow a change is told again, until it does", async () => {
  const world = await opened()
  const { link } = await linked(world, random.fork("channel"))
  const told: (string | undefined)[] = []
  link.handle(FRONT_METHODS.follow, ({ record }) => {
    told.push(record?.region)
    if (told.length < 3) throw fail("internal")
    return { oldestLayout: 1 }
  })
  link.start()
  await world.run(world.engine.recordManager.change("region", record => ({ ...record, region: "eu" })))
  await world.machine.clock.advance(10_000)
  assert.deepEqual(told, ["eu", "eu", "eu"])
  link.close()
  await world.close()
})
