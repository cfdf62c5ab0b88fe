/** Table stores under power cuts, by enumeration. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { TABLE_CHECKS } from "../table/checks.js"

const SEEDS = seedsOf(1)

test("after a power cut a table store is in the state before or after the interrupted operation", async () => {
  let states = 0
  for (const seed of SEEDS) states += await TABLE_CHECKS.crashes(seed)
  assert.ok(states > 500 * SEEDS.length, `only ${states} states`)
})

test("after a power cut either all rows of a removal exist or none, and every other row exists", async () => {
  assert.ok((await TABLE_CHECKS.salvage()) > 100)
})
