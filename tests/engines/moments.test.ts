/** Reads at a moment while others write, on the embedded engine and on the SQL engine with several processes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimulatedWorld, SLOW } from "../sql/simulated-world.js"
import { Scene } from "../tablet/scene.js"
import { checkMoments, playMoments } from "./moments.js"
import { EmbeddedStore, SqlProcess } from "./stores.js"

const SEEDS = [1, 2, 3]

test("on the embedded engine a read at a moment shows exactly what was committed up to it", async () => {
  for (const seed of SEEDS) {
    const scene = new Scene({ devices: 3 })
    const store = new EmbeddedStore(scene)
    await store.open()
    let isTicking = false
    const tick = async (): Promise<void> => {
      // One driver at a time.
      if (isTicking) return
      isTicking = true
      await scene.clock.advance(1)
      isTicking = false
    }
    const wallMs = () => scene.clock.wallMs()
    const run = await playMoments(store.processes, new SimRandom(seed), { rounds: 40, wallMs, pause: tick })
    checkMoments(run)
    assert.ok(run.reads.length > 30)
    await store.stop()
  }
})

test("on the SQL engine it does so through every process", async () => {
  for (const seed of SEEDS) {
    const world = new SimulatedWorld(seed, SLOW)
    const pass = (ms: number) => world.pass(ms)
    await world.run(async () => {
      const open = (node: string) =>
        SqlProcess.open(
          () => world.open(node),
          () => pass(5),
        )
      const processes = [await open("a"), await open("b")]
      const run = await playMoments(processes, new SimRandom(seed), {
        rounds: 30,
        wallMs: () => world.clock.wallMs(),
        pause: pass,
      })
      checkMoments(run)
      for (const process of processes) await process.stop()
    })
  }
})
