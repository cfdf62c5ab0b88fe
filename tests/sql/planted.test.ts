/**
 * Shows that the simulated database has the anomalies of a real one: each planted bug (see `plants.ts`) is built into a
 * copy of the program, and its check must fail there with one of the seeds.
 */
import { after, test } from "node:test"
import { caughtBySeed, duePlants, PlantedCopies } from "../harness/planted-copies.js"
import { SQL_PLANTS } from "./plants.js"
import { SIMULATED_CHECKS } from "./simulated-checks.js"

const SEEDS_MAX = 200

const copies = new PlantedCopies()
after(() => copies.remove())

for (const { bug, edits, caughtBy } of await duePlants(SQL_PLANTS, import.meta.url)) {
  test(`caught by ${caughtBy}: ${bug}`, async t => {
    const copy = copies.add(edits)
    const planted = await copy.load<typeof import("./simulated-checks.js")>("tests/sql/simulated-checks.js")
    t.diagnostic(await caughtBySeed(SEEDS_MAX, planted.SIMULATED_CHECKS[caughtBy], SIMULATED_CHECKS[caughtBy]))
  })
}
