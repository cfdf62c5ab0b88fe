/** Table stores behave like a sorted map: see `model.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkModel } from "./model.js"

const SEEDS = 4

test("a table store returns the written rows, and reports each dropped value once", async () => {
  let [levels, reported, merges] = [0, 0, 0]
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const outcome = await checkModel(seed)
    levels = Math.max(levels, outcome.levels)
    reported += outcome.reported
    merges += outcome.merges
  }
  assert.ok(levels >= 4, `${levels} levels`)
  assert.ok(reported > 100 * SEEDS && merges > 20 * SEEDS, `${reported} values, ${merges} merges`)
})
