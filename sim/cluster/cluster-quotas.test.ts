/** Random histories of several nodes near the limits of quotas, with nodes that end. */
import { test } from "node:test"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { LimitedCluster } from "./limited-cluster.js"

const ROUNDS = 5

for (const seed of seedsOf(1)) {
  test(`counts of several nodes are exact, limits hold, and only what does not fit is refused (seed ${seed})`, () =>
    new LimitedCluster(seed, ROUNDS).run())
}
