/**
 * Shows that histories find bugs of engines: each planted one (see `plants.ts`) is built into a copy of the program, and
 * a history must fail there with one of the seeds.
 */
import { after, test } from "node:test"
import { duePlants, findingOf, PlantedCopies } from "../harness/planted-copies.js"
import { ENGINE_PLANTS } from "./plants.js"

const FOLDERS = ["src", "tests/engines", "tests/harness", "tests/sql", "tests/tablet"]
const CHECKS = ["histories.ts", "player.ts", "plants.ts", "scene.ts"].map(name => `tests/engines/${name}`)
const SEEDS_MAX = 40
const ROUNDS = { restartOneIn: 50, restarts: "before" } as const

const copies = new PlantedCopies(FOLDERS)
after(() => copies.remove())

for (const { bug, edits, caughtBy } of duePlants(ENGINE_PLANTS, CHECKS)) {
  test(`caught by histories (${caughtBy}): ${bug}`, async t => {
    const copy = copies.add(edits)
    const { playOnEmbedded, playOnSimulated } =
      await copy.load<typeof import("./histories.js")>("tests/engines/histories.js")
    const { SLOW } = await copy.load<typeof import("../sql/simulated-world.js")>("tests/sql/simulated-world.js")
    const runs = {
      embedded: (seed: number) => playOnEmbedded(seed, { ...ROUNDS, rounds: 150, atOnce: 4 }),
      alone: (seed: number) => playOnSimulated(seed, { ...ROUNDS, rounds: 600, atOnce: 1, nodes: ["a"], faults: SLOW }),
      together: (seed: number) =>
        playOnSimulated(seed, { ...ROUNDS, rounds: 150, atOnce: 4, nodes: ["a", "b"], faults: SLOW }),
    }
    let seed = 0
    const overSeeds = async (): Promise<void> => {
      for (seed = 1; seed <= SEEDS_MAX; seed += 1) await runs[caughtBy](seed)
    }
    const finding = await findingOf(overSeeds())
    t.diagnostic(`seed ${seed}: ${finding}`)
  })
}
