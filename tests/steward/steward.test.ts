/** Leases, the steward and retention in simulated time, each check with several seeds. */
import { test } from "node:test"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { STEWARD_CHECKS } from "./checks.js"

const SEEDS = 2

for (const [name, check] of Object.entries(STEWARD_CHECKS)) {
  test(name, async () => {
    for (let seed = TEST_SEED; seed < TEST_SEED + SEEDS; seed += 1) {
      try {
        await check(seed)
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      }
    }
  })
}
