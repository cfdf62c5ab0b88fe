/** Random histories of several nodes near the limits of quotas, with nodes that end. */
import { test } from "node:test"
import { LimitedCluster } from "./limited-cluster.js"

const SEEDS = 2
const ROUNDS = 5

for (let seed = 1; seed <= SEEDS; seed += 1) {
  test(`counts of several nodes are exact, limits hold, and only what does not fit is refused (seed ${seed})`, () =>
    new LimitedCluster(seed, ROUNDS).run())
}
