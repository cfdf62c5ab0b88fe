/** Table stores behave like a sorted map: see `model.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { TABLE_CHECKS } from "./checks.js"

const RUNS = runsOf(2)
const LEVELS = 4

test("a table store returns the written rows, and reports each dropped value once", async () => {
  let [runs, levels, reported, merges] = [0, 0, 0, 0]
  for (; runs < RUNS || (levels < LEVELS && runs < 10 * RUNS); runs += 1) {
    const outcome = await TABLE_CHECKS.model(TEST_SEED + runs)
    levels = Math.max(levels, outcome.levels)
    reported += outcome.reported
    merges += outcome.merges
  }
  assert.ok(levels >= LEVELS, `${levels} levels`)
  assert.ok(reported > 100 * runs && merges > 20 * runs, `${reported} values, ${merges} merges in ${runs} runs`)
})
