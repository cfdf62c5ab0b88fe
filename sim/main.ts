/**
 * `npm run sim -- [--kind storm|twins|disks|cluster|aging|limits] [--seed N] [--seeds COUNT] [--devices D] [--rounds R]`: simulated
 * runs from seeds.
 *
 * A storm is concurrent clients on a machine that is stopped repeatedly, then audited; twins are
 * the engine and the model under the same commands; in disks, a nemesis damages disks, within the limits that the
 * store promises to survive, and in every fourth run beyond them. A cluster is several machines on one database, which a
 * nemesis breaks for R minutes of virtual time; D devices are on each. In an aging one objects expire and move for R steps
 * while clocks jump; one with limits has quotas that its clients reach in R rounds. The same seed repeats the same run.
 * Prints the command that repeats each failed run, and exits with 1 after all runs if one failed.
 */
import { parseArgs } from "node:util"
import { assert } from "../src/base/assert.js"
import { AgingCluster } from "./cluster/aging-cluster.js"
import { ClusterStorm, clusterOf } from "./cluster/cluster-storm.js"
import { LimitedCluster } from "./cluster/limited-cluster.js"
import { DiskDrama, DRAMA, dramaOf } from "./world/disk-drama.js"
import { Storm, stormOf } from "./world/storm.js"
import { twinsOf } from "./world/twin-options.js"
import { Twins } from "./world/twins.js"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    devices: { type: "string" },
    kind: { type: "string", default: "storm" },
    rounds: { type: "string" },
  },
})

interface Run {
  readonly seed: number
  readonly devices: number
  readonly rounds: number
}

interface Kind {
  devicesOf(seed: number): number
  readonly rounds: number
  /** Returns the summary of a successful run. */
  perform(run: Run): Promise<string>
}

const KINDS: Readonly<Record<string, Kind>> = {
  storm: {
    devicesOf: seed => stormOf(seed).devices,
    rounds: 5,
    perform: async run => {
      const storm = new Storm({ ...stormOf(run.seed), ...run })
      await storm.run()
      return `${storm.observer.count} operations, ${storm.world.incarnation} processes`
    },
  },
  twins: {
    devicesOf: seed => twinsOf(seed).devices,
    rounds: 5,
    perform: async ({ seed, devices, rounds }) => {
      await new Twins({ ...twinsOf(seed), devices, steps: rounds * 40 }).run()
      return `${rounds * 40} commands`
    },
  },
  disks: {
    devicesOf: seed => dramaOf(seed).devices,
    rounds: DRAMA.rounds,
    perform: async run => {
      const drama = new DiskDrama({ ...DRAMA, ...dramaOf(run.seed), ...run })
      await drama.run()
      return drama.summary
    },
  },
  cluster: {
    devicesOf: seed => clusterOf(seed).devicesPerNode,
    rounds: 10,
    perform: async ({ seed, devices, rounds }) => {
      const storm = new ClusterStorm({ ...clusterOf(seed), seed, devicesPerNode: devices, faultMs: rounds * 60_000 })
      await storm.run()
      return storm.summary
    },
  },
  aging: {
    devicesOf: () => 1,
    rounds: 40,
    perform: async ({ seed, rounds }) => {
      const cluster = new AgingCluster(seed, rounds)
      await cluster.run()
      return cluster.summary
    },
  },
  limits: {
    devicesOf: () => 1,
    rounds: 8,
    perform: async ({ seed, rounds }) => {
      const cluster = new LimitedCluster(seed, rounds)
      await cluster.run()
      return cluster.summary
    },
  },
}

const kind = KINDS[values.kind]
assert(kind !== undefined, () => `no kind "${values.kind}"; there are: ${Object.keys(KINDS).join(", ")}`)
const [first, count] = [Number(values.seed), Number(values.seeds)]
let failed = 0
for (let seed = first; seed < first + count; seed += 1) {
  const devices = Number(values.devices ?? kind.devicesOf(seed))
  const run = { seed, devices, rounds: Number(values.rounds ?? kind.rounds) }
  const command = `npm run sim -- --kind ${values.kind} --seed ${seed} --devices ${devices} --rounds ${run.rounds}`
  try {
    process.stdout.write(`ok      ${command}: ${await kind.perform(run)}\n`)
  } catch (error) {
    const shown = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stdout.write(`failed  ${command}\n${shown}\n`)
    failed += 1
  }
}
if (count > 1) process.stdout.write(`${count - failed} of ${count} runs passed\n`)
process.exitCode = failed > 0 ? 1 : 0
