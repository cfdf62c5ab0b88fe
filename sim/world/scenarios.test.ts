/** The small stories, each for a seed or two; storms have a test of their own. */
import { test } from "node:test"
import { SCENARIOS } from "./scenarios.js"

for (const [name, run] of Object.entries(SCENARIOS)) {
  if (name.startsWith("storm")) continue
  test(`scenario: ${name}`, async () => {
    for (const seed of [1, 2]) await run(seed)
  })
}
