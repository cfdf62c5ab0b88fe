/**
 * `npm run drama -- [--minutes 30] [--devices 5] [--seed N] [--only kill,rot,…]`: a long drama. Prints the acts,
 * the broken promises and the command that replays the run; exits with 1 if a promise was broken.
 */
import { parseArgs } from "node:util"
import { drama, replayCommand } from "./drama.js"
import { parseActs } from "./nemesis.js"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    devices: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string" },
  },
})
const options = {
  minutes: Number(values.minutes),
  devices: Number(values.devices),
  seed: Number(values.seed),
  only: values.only === undefined ? undefined : parseActs(values.only),
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

say(replayCommand(options))
const { violations, operations, acts, longestMs } = await drama({ ...options, log: say })
say([...acts].map(([name, count]) => `${name} ${count}`).join(", "))
say(`${operations} operations; no client waited longer than ${Math.round(longestMs)} ms`)
for (const violation of violations) say(violation)
say(violations.length === 0 ? "nothing lost" : `failed; replay with: ${replayCommand(options)}`)
process.exitCode = violations.length === 0 ? 0 : 1
