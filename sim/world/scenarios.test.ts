/** Runs each scenario for one or two seeds; storms have their own test. */
import { test } from "node:test"
import { DISK_SCENARIOS } from "./disk-scenarios.js"
import { SCENARIOS } from "./scenarios.js"

for (const [name, run] of Object.entries(SCENARIOS)) {
  if (name.startsWith("storm")) continue
  test(`scenario: ${name}`, async () => {
    for (const seed of name in DISK_SCENARIOS ? [1] : [1, 2]) await run(seed)
  })
}
