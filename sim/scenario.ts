/**
 * Runs one scenario in a separate process: `node dist/sim/scenario.js NAME SEED…`. Prints `passed`, or the name
 * of the failed check and its finding, and exits with 1.
 */
import { assert } from "@hayloft/base/assert.js"
import { CheckFailed } from "./world/checks.js"
import { agingCluster } from "./cluster/aging-cluster.js"
import { ClusterStorm, clusterOf } from "./cluster/cluster-storm.js"
import { limitedCluster } from "./cluster/limited-cluster.js"
import { SCENARIOS } from "./world/scenarios.js"

const CLUSTER_FAULT_MS = 60_000

const ALL: Readonly<Record<string, (seed: number) => Promise<void>>> = {
  ...SCENARIOS,
  cluster: seed => new ClusterStorm({ ...clusterOf(seed), seed, faultMs: CLUSTER_FAULT_MS }).run(),
  "aging cluster": agingCluster,
  "limited cluster": limitedCluster,
}

const [name = "", ...seeds] = process.argv.slice(2)

try {
  const scenario = ALL[name]
  assert(scenario !== undefined, () => `no scenario "${name}"; there are: ${Object.keys(ALL).join(", ")}`)
  for (const seed of seeds) await scenario(Number(seed))
  process.stdout.write("passed\n")
} catch (error) {
  const found = error instanceof Error ? error : new Error(String(error))
  process.stdout.write(`${found instanceof CheckFailed ? found.check : "error"} ${found.message}\n`)
  process.stderr.write(`${found.stack}\n`)
  process.exitCode = 1
}
