/**
 * The machine stops at moments of a run in which replicas leave, learn and return; after a restart every
 * acknowledged row is on every replica of the configuration.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { Scene, type RowInput } from "./scene.js"

const row = (key: string, value: string, payload?: string): RowInput => ({
  key,
  value,
  ...(payload !== undefined && { payload }),
})

/** A replica fails, returns and learns while writes continue; then the others fail, and it remains alone. */
async function life(scene: Scene): Promise<void> {
  await scene.open()
  for (let i = 0; i < 4; i += 1) await scene.write(row(`key ${i}`, `first ${i}`, `payload ${i}`), row(`gone ${i}`, "x"))
  await scene.device(1).checkpoint()
  scene.device(3).faulty.become("failing")
  await scene.write(row("key 1", "second"), { key: "gone 1", value: undefined })
  await scene.reopen(3)
  await scene.learn(3)
  const learning = scene.finishLearning()
  for (let i = 0; i < 3; i += 1)
    await scene.write(row("key 2", `third ${i}`, "payload"), { key: `gone ${i}`, value: undefined })
  await learning
  await scene.device(3).checkpoint()
  await scene.write(row("key 3", "fourth"))
  const promoting = scene.promote(3)
  await scene.write(row("new", "fifth", "payload"))
  await promoting
  scene.device(1).faulty.become("failing")
  await scene.write(row("key 1", "sixth"))
  await scene.device(3).checkpoint()
  scene.device(2).faulty.become("failing")
  await scene.write(row("key 2", "seventh", "payload"))
  await scene.write({ key: "gone 3", value: undefined })
}

/** Restarts twice: rows found after the first restart stay. */
async function afterwards(scene: Scene): Promise<void> {
  scene.stopAt = undefined
  for (let again = 0; again < 2; again += 1) {
    await scene.open()
    assert.deepEqual(scene.lostAtStart, [])
    assert.deepEqual(await scene.problems(), [])
    await scene.write(row("key 1", `again ${again}`, "payload"))
    await scene.device(Number(scene.configuration.replicas[0]?.id)).checkpoint()
  }
}

async function momentsOf(): Promise<number> {
  const scene = new Scene({ devices: 3, hasOpenings: true })
  await life(scene)
  assert.deepEqual(await scene.problems(), [])
  assert.deepEqual(
    scene.configuration.replicas.map(({ id }) => Number(id)),
    [3],
  )
  return scene.ticks
}

/** One of so many moments, the first of which is drawn; a soak has all. */
const STRIDE = Math.ceil(4 / runsOf(1))

for (const cutsPower of [false, true]) {
  test(`a machine that ${cutsPower ? "loses power" : "is killed"} at any moment loses nothing that was acknowledged`, async () => {
    const moments = await momentsOf()
    assert.ok(moments > 50, `${moments} moments`)
    for (let tick = 1 + (TEST_SEED % STRIDE); tick <= moments; tick += STRIDE) {
      const scene = new Scene({ devices: 3, hasOpenings: true })
      scene.stopAt = { tick, cutsPower: cutsPower ? new SimRandom(tick) : undefined }
      try {
        await scene.until(() => life(scene))
        await afterwards(scene)
      } catch (error) {
        throw new Error(`stopped at moment ${tick} of ${moments}: ${String(error)}`, { cause: error })
      }
    }
  })
}

async function loseAll(scene: Scene, number: number): Promise<void> {
  const device = scene.device(number)
  await device.stores.discard("/base")
  const disk = device.disk.boot()
  for (const name of await disk.list("/log")) await disk.remove(`/log/${name}`)
}

test("a replica without its metadata store leaves at the start, if its log does not contain everything", async () => {
  const scene = new Scene({ devices: 2, segmentBytes: 16 * KIB })
  await scene.open()
  for (let i = 0; i < 12; i += 1) {
    await scene.write(row(`key ${i}`, "x".repeat(2 * KIB)))
    if (i === 8) await scene.device(1).checkpoint()
  }
  await scene.device(1).stores.discard("/base")
  await scene.open()
  assert.deepEqual(scene.lostAtStart, [1])
  assert.deepEqual(await scene.problems(), [])
})

test("a replica without its log and metadata store leaves at the start", async () => {
  const scene = new Scene({ devices: 2 })
  await scene.open()
  await scene.write(row("a", "1"))
  for (const device of scene.devices) await device.checkpoint()
  await scene.write(row("b", "2"))
  await loseAll(scene, 1)
  await scene.open()
  assert.deepEqual(
    scene.configuration.replicas.map(({ id }) => Number(id)),
    [2],
  )
  assert.deepEqual(await scene.problems(), [])
})

test("a learner is never opened as a replica, however many rows it has", async () => {
  const scene = new Scene({ devices: 2, replicas: 1 })
  await scene.open()
  await scene.write(row("a", "1"))
  await scene.device(2).open(new Map())
  await scene.learn(2)
  await scene.finishLearning()
  await scene.write(row("b", "2"))
  await scene.open()
  assert.equal(scene.tablet.durableCopies, 1)
  assert.equal(scene.configuration.learner, undefined)
  assert.deepEqual(await scene.problems(), [])
})

test("a replica whose history lacks its beginning is refused", async () => {
  const scene = new Scene({ devices: 2, replicas: 1 })
  await scene.open()
  await scene.write(row("a", "1"))
  await scene.device(2).open(new Map())
  await scene.learn(2)
  await scene.finishLearning()
  await scene.promote(2)
  await scene.write(row("b", "2"))
  await scene.device(2).checkpoint()
  await scene.write(row("c", "3"))
  await loseAll(scene, 2)
  await scene.open()
  assert.deepEqual(
    scene.configuration.replicas.map(({ id }) => Number(id)),
    [1],
  )
  assert.deepEqual(await scene.problems(), [])
})
