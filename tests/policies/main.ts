/**
 * `npm run policies -- [--cases N] [--seed N]`: compares the policy engine with the oracle on random requests and
 * random policies. Prints the command that repeats a failing case, and exits with 1.
 */
import { parseArgs } from "node:util"
import { CASES_OF_A_WORLD, compareWorld, NO_TALLY } from "./compare.js"

const CASES_DEFAULT = 100_000
const FAILURES_SHOWN = 3

const { values } = parseArgs({ options: { cases: { type: "string" }, seed: { type: "string", default: "1" } } })
const first = Number(values.seed)
const worlds = Math.ceil(Number(values.cases ?? CASES_DEFAULT) / CASES_OF_A_WORLD)
const tally = { ...NO_TALLY }
let failed = 0
for (let seed = first; seed < first + worlds && failed < FAILURES_SHOWN; seed += 1) {
  try {
    compareWorld(seed, tally)
  } catch (error) {
    process.stdout.write(`failed  npm run policies -- --cases 1 --seed ${seed}\n${String(error)}\n`)
    failed += 1
  }
}
const { allowed, explicitlyDenied, implicitlyDenied } = tally
process.stdout.write(
  `${allowed} allowed, ${explicitlyDenied} denied, ${implicitlyDenied} allowed by nothing; ${failed} failed\n`,
)
process.exitCode = failed > 0 ? 1 : 0
