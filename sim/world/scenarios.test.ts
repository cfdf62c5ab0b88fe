/** Runs each scenario; storms have their own test. */
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { SCENARIOS } from "./scenarios.js"

/** Planted bugs are sought from seed 1, too. */
const SEEDS = Array.from({ length: runsOf(1) }, (_, at) => at + 1)

for (const [name, run] of Object.entries(SCENARIOS)) {
  if (name.startsWith("storm")) continue
  test(`scenario: ${name}`, async () => {
    for (const seed of SEEDS) await run(seed)
  })
}
