/** Table stores do what a sorted map does: see `model.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkModel } from "./model.js"

const SEEDS = 4

test("a table store shows the written rows, and reports each dropped value once", async () => {
  let [levels, told, merges] = [0, 0, 0]
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const outcome = await checkModel(seed)
    levels = Math.max(levels, outcome.levels)
    told += outcome.told
    merges += outcome.merges
  }
  assert.ok(levels >= 4, `${levels} levels`)
  assert.ok(told > 100 * SEEDS && merges > 20 * SEEDS, `${told} values, ${merges} merges`)
})
