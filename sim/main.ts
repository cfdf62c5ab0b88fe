/**
 * `npm run sim -- [--seed N] [--seeds COUNT] [--devices 1|2|4|7] [--kind storm|twins] [--rounds R]`: simulated runs from seeds.
 *
 * A storm is concurrent clients on a machine that is cut off again and again, then audited; twins are
 * the engine and the model under the same commands. The same seed tells the same story: a run that fails
 * prints the command that tells it again, and ends the program with 1.
 */
import { parseArgs } from "node:util"
import { Storm } from "./world/storm.js"
import { Twins } from "./world/twins.js"

const DEVICES = [1, 2, 4, 7]

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    devices: { type: "string" },
    kind: { type: "string", default: "storm" },
    rounds: { type: "string", default: "5" },
  },
})

interface Run {
  readonly kind: string
  readonly seed: number
  readonly devices: number
  readonly rounds: number
}

async function perform({ kind, seed, devices, rounds }: Run): Promise<string> {
  if (kind === "twins") {
    await new Twins({ seed, devices, steps: rounds * 40 }).run()
    return `${rounds * 40} commands`
  }
  const storm = new Storm({ seed, devices, rounds, clients: 8, lifeMsMax: 300, versioned: seed % 3 === 0 })
  await storm.run()
  return `${storm.observer.count} operations, ${storm.world.incarnation} lives`
}

const command = ({ kind, seed, devices, rounds }: Run): string =>
  `npm run sim -- --kind ${kind} --seed ${seed} --devices ${devices} --rounds ${rounds}`

const first = Number(values.seed)
for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
  const devices = values.devices === undefined ? (DEVICES[seed % DEVICES.length] ?? 1) : Number(values.devices)
  const run = { kind: values.kind, seed, devices, rounds: Number(values.rounds) }
  try {
    process.stdout.write(`ok      ${command(run)}: ${await perform(run)}\n`)
  } catch (error) {
    const shown = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stdout.write(`failed  ${command(run)}\n${shown}\n`)
    process.exitCode = 1
    break
  }
}
