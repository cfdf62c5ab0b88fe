/**
 * Clusters on simulated time: each seed breaks nodes, networks, disks and the database for a quarter of a virtual minute.
 * `npm run sim:cluster` runs more, and longer.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { ClusterStorm, clusterOf } from "./cluster-storm.js"

const FAULT_MS = 15_000
/** The cluster is changed, too. */
const REPEATED_SEED = 2
/** Its nodes have fronts. */
const FRONTS_SEED = 8

for (const seed of seedsOf(1)) {
  test(`a cluster loses nothing (npm run sim -- --kind cluster --seed ${seed} --rounds 0.25)`, async () => {
    await new ClusterStorm({ ...clusterOf(seed), seed, faultMs: FAULT_MS }).run()
  })
}

test(`a cluster whose nodes have fronts loses nothing (npm run sim -- --kind cluster --seed ${FRONTS_SEED} --rounds 0.25)`, async () => {
  await new ClusterStorm({ ...clusterOf(FRONTS_SEED), seed: FRONTS_SEED, faultMs: FAULT_MS }).run()
})

test("the same seed gives the same run", async () => {
  const digests: string[] = []
  for (let run = 0; run < 2; run += 1) {
    const storm = new ClusterStorm({ ...clusterOf(REPEATED_SEED), seed: REPEATED_SEED, faultMs: FAULT_MS })
    await storm.run()
    digests.push(storm.digest)
  }
  assert.equal(digests[0], digests[1])
})
