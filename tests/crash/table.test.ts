/** Table stores under power cuts, by enumeration. `TABLE_CRASH_RUNS=50` tries more scripts than the default. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkCrashes, checkSalvageCrashes } from "../table/crash.js"

const RUNS = Number(process.env["TABLE_CRASH_RUNS"] ?? 1)

test("after a power cut a table store is in the state before or after the interrupted operation", async () => {
  let states = 0
  for (let seed = 1; seed <= RUNS; seed += 1) states += await checkCrashes(seed)
  assert.ok(states > 1000 * RUNS, `only ${states} states`)
})

test("after a power cut either all rows of a removal exist or none, and every other row exists", async () => {
  assert.ok((await checkSalvageCrashes(2)) > 100)
})
