/**
 * `npm run sim -- [--kind storm|twins|disks|cluster|aging|limits] [--seed N] [--seeds COUNT] [--devices D] [--rounds R]`: simulated
 * runs from seeds.
 *
 * A storm is concurrent clients on a machine that is stopped repeatedly, then audited; twins are
 * the engine and the model under the same commands; in disks, a nemesis damages disks, within the limits that the
 * store promises to survive, and in every fourth run beyond them. A cluster is several machines on one database, which a
 * nemesis breaks for R minutes of virtual time; D devices are on each. In an aging one objects expire and move for R steps
 * while clocks jump; one with limits has quotas that its clients reach in R rounds. The same seed repeats the same run.
 * Prints how far a long run is, and the command that repeats each failed run, and exits with 1 after all runs if one failed. A run that
 * does not end fails with the calls that sleep.
 */
import { parseArgs } from "node:util"
import { assert } from "@hayloft/base/assert.js"
import { keepStacks, type SimClock } from "@hayloft/base/seams/clock/sim.js"
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

/** The real time between two lines of progress. */
const PROGRESS_MS = 5_000

interface Run {
  readonly seed: number
  readonly devices: number
  readonly rounds: number
}

interface Begun {
  readonly run: () => Promise<void>
  /** Returns a summary of the run so far. */
  readonly summary: () => string
  readonly clock: SimClock
}

interface Kind {
  devicesOf(seed: number): number
  readonly rounds: number
  begin(run: Run): Begun
}

/** A run of machines on one simulated cluster. */
const onCluster = (run: {
  run(): Promise<void>
  readonly summary: string
  readonly cluster: { readonly clock: SimClock }
}): Begun => ({
  run: () => run.run(),
  summary: () => run.summary,
  clock: run.cluster.clock,
})

const KINDS: Readonly<Record<string, Kind>> = {
  storm: {
    devicesOf: seed => stormOf(seed).devices,
    rounds: 5,
    begin: run => {
      const storm = new Storm({ ...stormOf(run.seed), ...run })
      return {
        run: () => storm.run(),
        summary: () => `${storm.observer.count} operations, ${storm.world.incarnation} processes`,
        clock: storm.world.clock,
      }
    },
  },
  twins: {
    devicesOf: seed => twinsOf(seed).devices,
    rounds: 5,
    begin: ({ seed, devices, rounds }) => {
      const twins = new Twins({ ...twinsOf(seed), devices, steps: rounds * 40 })
      return { run: () => twins.run(), summary: () => `${rounds * 40} commands`, clock: twins.world.clock }
    },
  },
  disks: {
    devicesOf: seed => dramaOf(seed).devices,
    rounds: DRAMA.rounds,
    begin: run => {
      const drama = new DiskDrama({ ...DRAMA, ...dramaOf(run.seed), ...run })
      return { run: () => drama.run(), summary: () => drama.summary, clock: drama.machine.clock }
    },
  },
  cluster: {
    devicesOf: seed => clusterOf(seed).devicesPerNode,
    rounds: 10,
    begin: ({ seed, devices, rounds }) =>
      onCluster(new ClusterStorm({ ...clusterOf(seed), seed, devicesPerNode: devices, faultMs: rounds * 60_000 })),
  },
  aging: {
    devicesOf: () => 1,
    rounds: 40,
    begin: ({ seed, rounds }) => onCluster(new AgingCluster(seed, rounds)),
  },
  limits: {
    devicesOf: () => 1,
    rounds: 8,
    begin: ({ seed, rounds }) => onCluster(new LimitedCluster(seed, rounds)),
  },
}

/** Runs it, and prints a line of progress now and then. Returns the summary. */
async function performed({ run, summary, clock }: Begun): Promise<string> {
  const progress = setInterval(() => {
    process.stderr.write(`running ${(clock.monotonicMs() / 60_000).toFixed(1)} min of virtual time: ${summary()}\n`)
  }, PROGRESS_MS)
  try {
    await run()
    return summary()
  } finally {
    clearInterval(progress)
  }
}

keepStacks()
const kind = KINDS[values.kind]
assert(kind !== undefined, () => `no kind "${values.kind}"; there are: ${Object.keys(KINDS).join(", ")}`)
const [first, count] = [Number(values.seed), Number(values.seeds)]
let failed = 0
for (let seed = first; seed < first + count; seed += 1) {
  const devices = Number(values.devices ?? kind.devicesOf(seed))
  const run = { seed, devices, rounds: Number(values.rounds ?? kind.rounds) }
  const command = `npm run sim -- --kind ${values.kind} --seed ${seed} --devices ${devices} --rounds ${run.rounds}`
  try {
    process.stdout.write(`ok      ${command}: ${await performed(kind.begin(run))}\n`)
  } catch (error) {
    const shown = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stdout.write(`failed  ${command}\n${shown}\n`)
    failed += 1
  }
}
if (count > 1) process.stdout.write(`${count - failed} of ${count} runs passed\n`)
process.exitCode = failed > 0 ? 1 : 0
