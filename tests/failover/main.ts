/**
 * `npm run failover -- [--seed N] [--only synchronous|asynchronous]`: a store of three nodes while its database, three
 * PostgreSQL servers under Patroni, fails over. Prints what was measured; exits with 1 if a promise was broken or
 * something is not installed.
 */
import { parseArgs } from "node:util"
import { missingForPatroni } from "../harness/patroni.js"
import { asynchronousFailover } from "./asynchronous.js"
import { synchronousFailover } from "./synchronous.js"

const { values } = parseArgs({
  options: { seed: { type: "string", default: String(Date.now() % 1_000_000) }, only: { type: "string" } },
})
const seed = Number(values.seed)

const startedMs = performance.now()
const say = (line: string): void =>
  void process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} ${line}\n`)

const PARTS = {
  synchronous: () => synchronousFailover(seed, say),
  asynchronous: () => asynchronousFailover(say),
}

const missing = missingForPatroni()
if (missing === undefined) {
  const faults: string[] = []
  for (const [name, play] of Object.entries(PARTS)) {
    if (values.only !== undefined && values.only !== name) continue
    say(`a database with ${name} standbys; seed ${seed}`)
    faults.push(...(await play()))
  }
  for (const fault of faults) say(`FAULT ${fault}`)
  say(faults.length === 0 ? "no fault" : `${faults.length} faults`)
  process.exitCode = faults.length === 0 ? 0 : 1
} else {
  say(`not played; it needs: ${missing}`)
  process.exitCode = 1
}
