/** The short form of `npm run planted`: bugs that make answers wrong. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { duePlants } from "../tests/harness/planted-copies.js"
import { fits, checkPlants } from "./planted.js"
import { SCENARIO_PLANTS, TESTED_PLANTS } from "./all-plants.js"
import { PLANTS } from "./plants.js"

test("each planted bug still fits its source", () => {
  assert.deepEqual(
    [...SCENARIO_PLANTS, ...TESTED_PLANTS].filter(plant => !fits(plant)).map(({ bug }) => bug),
    [],
  )
})

/** Answers before durability, refusals based on uncommitted entries, and a batch lost by recovery. */
const WRONG_ANSWERS = PLANTS.slice(0, 3)

test("a bug that makes answers wrong is caught", async () => {
  const plants = await duePlants(WRONG_ANSWERS, import.meta.url, ["sim/scenario.ts"])
  const verdicts = await checkPlants(plants, ["1"], () => undefined)
  assert.ok(verdicts.length > plants.length)
  for (const { bug, isCaught, found } of verdicts) assert.ok(isCaught, `${bug}: ${found}`)
})
