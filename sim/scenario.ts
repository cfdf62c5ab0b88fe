/**
 * Runs one scenario in a separate process: `node dist/sim/scenario.js NAME SEED…`. Prints `passed`, or the name
 * of the failed check and its finding, and exits with 1.
 */
import { assert } from "../src/base/assert.js"
import { CheckFailed } from "./world/checks.js"
import { isScenario, SCENARIOS } from "./world/scenarios.js"

const [name = "", ...seeds] = process.argv.slice(2)

try {
  assert(isScenario(name), () => `no scenario "${name}"; there are: ${Object.keys(SCENARIOS).join(", ")}`)
  for (const seed of seeds) await SCENARIOS[name](Number(seed))
  process.stdout.write("passed\n")
} catch (error) {
  const found = error instanceof Error ? error : new Error(String(error))
  process.stdout.write(`${found instanceof CheckFailed ? found.check : "error"} ${found.message}\n`)
  process.stderr.write(`${found.stack}\n`)
  process.exitCode = 1
}
