/** Table stores behave like a sorted map: see `model.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { TABLE_CHECKS } from "./checks.js"

const SEEDS = seedsOf(2)

test("a table store returns the written rows, and reports each dropped value once", async () => {
  let [levels, reported, merges] = [0, 0, 0]
  for (const seed of SEEDS) {
    const outcome = await TABLE_CHECKS.model(seed)
    levels = Math.max(levels, outcome.levels)
    reported += outcome.reported
    merges += outcome.merges
  }
  assert.ok(levels >= 4, `${levels} levels`)
  assert.ok(reported > 100 * SEEDS.length && merges > 20 * SEEDS.length, `${reported} values, ${merges} merges`)
})
