/**
 * Stores that keep copies of everything that was read, in a memory so small that they come and go all the time: clients must
 * not notice. HOT_SEEDS=N runs N seeds of each kind, and clusters.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { ClusterStorm, clusterOf } from "../cluster/cluster-storm.js"
import { Storm } from "./storm.js"
import { Twins } from "./twins.js"

const SEEDS = Number(process.env["HOT_SEEDS"] ?? 1)
const CLUSTERS = process.env["HOT_SEEDS"] === undefined ? 0 : SEEDS
/** Less than three of the longest blocks of the simulation. */
const hotCopies = { budgetBytes: 300_000, readsPerMinute: 1 }

for (let seed = 1; seed <= SEEDS; seed += 1) {
  const devices = [7, 2, 4, 1][seed % 4] ?? 1
  test(`engine and model agree although blocks have copies (seed ${seed}, ${devices} devices)`, () =>
    new Twins({ seed: 800 + seed, devices, steps: 120, hasEncryption: seed % 3 === 0, hotCopies }).run())

  test(`engine and model agree about appends although blocks have copies (seed ${seed}, ${devices} devices)`, () =>
    new Twins({ seed: 850 + seed, devices, steps: 120, hasAppends: true, hotCopies }).run())

  test(`a storm loses nothing, and every read is fresh, although blocks have copies (seed ${seed})`, async () => {
    const run = { seed: 900 + seed, devices, rounds: 3, clients: 8, lifeMsMax: 300, versioned: seed % 3 === 0 }
    const storm = new Storm({ ...run, hotCopies })
    await storm.run()
    assert.ok(storm.world.telemetry.metric("hayloft_hot_copies_made_total") > 0, "copies were made")
  })
}

for (let seed = 1; seed <= CLUSTERS; seed += 1) {
  test(`a cluster loses nothing although its nodes keep copies (seed ${seed})`, () =>
    new ClusterStorm({ ...clusterOf(seed), seed, faultMs: 60_000, hotCopies }).run())
}
