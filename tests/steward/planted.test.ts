/**
 * Shows that the checks find bugs of leases, the steward and retention: each planted one (see `plants.ts`) is built into
 * a copy of the program, and its check must fail there with one of the seeds.
 */
import { after, test } from "node:test"
import { caughtBySeed, duePlants, PlantedCopies } from "../harness/planted-copies.js"
import { STEWARD_CHECKS } from "./checks.js"
import { STEWARD_PLANTS } from "./plants.js"

const SEEDS_MAX = 20

const copies = new PlantedCopies()
after(() => copies.remove())

for (const { bug, edits, caughtBy } of await duePlants(STEWARD_PLANTS, import.meta.url)) {
  test(`caught by "${caughtBy}": ${bug}`, async t => {
    const copy = copies.add(edits)
    const planted = await copy.load<typeof import("./checks.js")>("tests/steward/checks.js")
    t.diagnostic(await caughtBySeed(SEEDS_MAX, planted.STEWARD_CHECKS[caughtBy], STEWARD_CHECKS[caughtBy]))
  })
}
