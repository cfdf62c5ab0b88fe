/**
 * The policy engine and the oracle reach the same decisions on random requests and policies. The cases change from
 * day to day; `npm run policies` runs more.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { CASES_OF_A_WORLD, compareWorld, NO_TALLY } from "./compare.js"

const CASES = 10_000
const DAY_MS = 24 * 3_600_000
const today = Math.floor(Date.now() / DAY_MS)

test(`${CASES} random requests get the oracle's decision, and an added statement has no opposite effect`, () => {
  const tally = { ...NO_TALLY }
  const worlds = CASES / CASES_OF_A_WORLD
  for (let seed = today * worlds; seed < (today + 1) * worlds; seed += 1) {
    try {
      compareWorld(seed, tally)
    } catch (error) {
      throw new Error(`npm run policies -- --cases 1 --seed ${seed}: ${String(error)}`, { cause: error })
    }
  }
  // The vocabulary makes every outcome common: agreement on refusals alone would prove little.
  for (const [outcome, count] of Object.entries(tally)) assert.ok(count > CASES / 10, `${outcome}: ${count}`)
})
