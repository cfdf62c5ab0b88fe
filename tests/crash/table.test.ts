/** Table stores under power cuts, by enumeration. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { checkCrashes, checkSalvageCrashes } from "../table/crash.js"

const SEEDS = seedsOf(1)

test("after a power cut a table store is in the state before or after the interrupted operation", async () => {
  let states = 0
  for (const seed of SEEDS) states += await checkCrashes(seed, { subsetsMax: 2, deepEvery: 500 })
  assert.ok(states > 500 * SEEDS.length, `only ${states} states`)
})

test("after a power cut either all rows of a removal exist or none, and every other row exists", async () => {
  assert.ok((await checkSalvageCrashes(2)) > 100)
})
