/** Leases, the steward and retention in simulated time, each check with its seeds. */
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { STEWARD_CHECKS } from "./checks.js"

for (const [name, check] of Object.entries(STEWARD_CHECKS)) {
  test(name, async () => {
    for (const seed of seedsOf(1)) {
      try {
        await check(seed)
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      }
    }
  })
}
