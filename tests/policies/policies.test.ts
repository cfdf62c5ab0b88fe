/**
 * The policy engine and the oracle reach the same decisions on random requests and policies, as the seed draws
 * them; `npm run policies` runs more.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { CASES_OF_A_WORLD, compareWorld, NO_TALLY } from "./compare.js"

const CASES = runsOf(3_000)

test(`${CASES} random requests get the oracle's decision, and an added statement has no opposite effect`, () => {
  const tally = { ...NO_TALLY }
  const worlds = CASES / CASES_OF_A_WORLD
  for (let seed = TEST_SEED * worlds; seed < (TEST_SEED + 1) * worlds; seed += 1) {
    try {
      compareWorld(seed, tally)
    } catch (error) {
      throw new Error(`npm run policies -- --cases 1 --seed ${seed}: ${String(error)}`, { cause: error })
    }
  }
  // The vocabulary makes every outcome common: agreement on refusals alone would prove little.
  for (const [outcome, count] of Object.entries(tally)) assert.ok(count > CASES / 10, `${outcome}: ${count}`)
})
