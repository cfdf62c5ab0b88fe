/**
 * Shows that the checks of tables find bugs: each planted bug (see `plants.ts`) is built into a copy of the
 * program, and its check must fail there. Without a bug, the tests run the same checks.
 */
import { after, test } from "node:test"
import { duePlants, findingOf, PlantedCopies } from "../harness/planted-copies.js"
import { TABLE_PLANTS } from "./plants.js"

const copies = new PlantedCopies()
after(() => copies.remove())

for (const { bug, edits, caughtBy } of await duePlants(TABLE_PLANTS, import.meta.url)) {
  test(`caught by ${caughtBy}: ${bug}`, async t => {
    const planted = await copies.add(edits).load<typeof import("./checks.js")>("tests/table/checks.js")
    t.diagnostic(await findingOf(planted.TABLE_CHECKS[caughtBy]()))
  })
}
