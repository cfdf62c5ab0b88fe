/**
 * Clusters on simulated time: each seed breaks nodes, networks, disks and the database for a virtual minute.
 * `npm run sim:cluster` runs more, and longer.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { ClusterStorm, clusterOf } from "./cluster-storm.js"

const FAULT_MS = 60_000
/**
 * About a minute of processor time with the last test: faults, changes of the cluster, rot and a lost commit, with three and four
 * nodes, one and two devices each, with versions and without (`clusterOf`).
 */
const SEEDS = [2, 3, 4, 5, 7]

for (const seed of SEEDS) {
  test(`a cluster loses nothing (npm run sim -- --kind cluster --seed ${seed} --rounds 1)`, async () => {
    await new ClusterStorm({ ...clusterOf(seed), seed, faultMs: FAULT_MS }).run()
  })
}

test("the same seed gives the same run", async () => {
  const digests: string[] = []
  for (let run = 0; run < 2; run += 1) {
    const storm = new ClusterStorm({ ...clusterOf(77), seed: 77, faultMs: FAULT_MS / 6 })
    await storm.run()
    digests.push(storm.digest)
  }
  assert.equal(digests[0], digests[1])
})
