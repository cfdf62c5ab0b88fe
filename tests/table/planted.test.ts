/**
 * Shows that the checks of tables find bugs: each planted bug (see `plants.ts`) is built into a copy of the
 * program, and its check must fail there.
 */
import { after, test } from "node:test"
import { duePlants, findingOf, PlantedCopies, type PlantedCopy } from "../harness/planted-copies.js"
import { TABLE_PLANTS, type TablePlant } from "./plants.js"

type Checks = Readonly<Record<TablePlant["caughtBy"], (program: PlantedCopy) => Promise<unknown>>>

const load = <T>(program: PlantedCopy, file: string): Promise<T> => program.load(`tests/table/${file}`)

const CHECKS: Checks = {
  model: async program => {
    const { checkModel } = await load<typeof import("./model.js")>(program, "model.js")
    for (const seed of [1, 2, 3]) await checkModel(seed)
  },
  crashes: async program => {
    const { checkCrashes } = await load<typeof import("./crash.js")>(program, "crash.js")
    await checkCrashes(1, { subsetsMax: 3 })
  },
  salvage: async program => (await load<typeof import("./crash.js")>(program, "crash.js")).checkSalvageCrashes(2),
  rot: async program => (await load<typeof import("./rot.js")>(program, "rot.js")).checkRot(1),
  "older manifest": async program => (await load<typeof import("./rot.js")>(program, "rot.js")).checkOlderManifest(3),
  "exchanged blocks": async program =>
    (await load<typeof import("./rot.js")>(program, "rot.js")).checkExchangedBlocks(),
  failures: async program => {
    const { checkFailures, preparedCommit } = await load<typeof import("./full.js")>(program, "full.js")
    await checkFailures(await preparedCommit(3), false)
  },
}

const copies = new PlantedCopies()
after(() => copies.remove())

const plants = await duePlants(TABLE_PLANTS, import.meta.url)

test("without a bug the same checks pass", async () => {
  const sound = copies.add([])
  for (const check of new Set(plants.map(({ caughtBy }) => caughtBy))) await CHECKS[check](sound)
})

for (const plant of plants) {
  test(`caught by ${plant.caughtBy}: ${plant.bug}`, async t => {
    t.diagnostic(await findingOf(CHECKS[plant.caughtBy](copies.add(plant.edits))))
  })
}
