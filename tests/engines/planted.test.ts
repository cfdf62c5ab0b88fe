/**
 * Shows that histories find bugs of engines: each planted one (see `plants.ts`) is built into a copy of the program, and
 * a history must fail there with one of the seeds.
 */
import { after, test } from "node:test"
import { caughtBySeed, duePlants, PlantedCopies } from "../harness/planted-copies.js"
import { SLOW } from "../sql/simulated-world.js"
import * as histories from "./histories.js"
import { ENGINE_PLANTS } from "./plants.js"

const SEEDS_MAX = 40
const ROUNDS = { restartOneIn: 50, restarts: "before" } as const

/** The commands and queries of a process, by their names, and its features. */
const copies = new PlantedCopies(["packages/engine/src/metadata/contract.ts", "packages/objects/src/door/parts.ts"])
after(() => copies.remove())

type Histories = Pick<typeof histories, "playOnEmbedded" | "playOnFronts" | "playOnSimulated">

const runsOf = ({ playOnEmbedded, playOnFronts, playOnSimulated }: Histories, faults: typeof SLOW) => ({
  embedded: (seed: number) => playOnEmbedded(seed, { ...ROUNDS, rounds: 150, atOnce: 4 }),
  fronts: (seed: number) => playOnFronts(seed, { ...ROUNDS, rounds: 150, atOnce: 4 }),
  alone: (seed: number) => playOnSimulated(seed, { ...ROUNDS, rounds: 600, atOnce: 1, nodes: ["a"], faults }),
  together: (seed: number) => playOnSimulated(seed, { ...ROUNDS, rounds: 150, atOnce: 4, nodes: ["a", "b"], faults }),
})

const sound = runsOf(histories, SLOW)

for (const { bug, edits, caughtBy } of await duePlants(ENGINE_PLANTS, import.meta.url)) {
  test(`caught by histories (${caughtBy}): ${bug}`, async t => {
    const copy = copies.add(edits)
    const planted = await copy.load<typeof histories>("tests/engines/histories.js")
    const world = await copy.load<typeof import("../sql/simulated-world.js")>("tests/sql/simulated-world.js")
    t.diagnostic(await caughtBySeed(SEEDS_MAX, runsOf(planted, world.SLOW)[caughtBy], sound[caughtBy]))
  })
}
