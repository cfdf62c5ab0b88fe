/** Chord over simulated nodes: lookups are right and short, and a ring recovers from nodes that join and fail. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { agreement, balanceOfPlan, mapSizes, spreadOfChange, tableOfRing } from "./chord/full-map.js"
import { fingerStart, isBetween, isUpTo, successorOf } from "./chord/ids.js"
import { Ring } from "./chord/ring.js"
import { mean } from "./draws.js"

const NODES = 128
const MINUTE_MS = 60_000

test("the circle begins again behind its highest id", () => {
  const sorted = [10, 20, 4_000_000_000]
  assert.equal(successorOf(sorted, 20), 20)
  assert.equal(successorOf(sorted, 21), 4_000_000_000)
  assert.equal(successorOf(sorted, 4_000_000_001), 10)
  assert.equal(fingerStart(4_294_967_295, 0), 0)
  assert.ok(isBetween(5, 4_000_000_000, 10))
  assert.ok(!isBetween(10, 4_000_000_000, 10))
  assert.ok(isUpTo(10, 4_000_000_000, 10))
})

test("lookups in a ring without changes are right, in half of log2 N hops by fingers alone", () => {
  const ring = new Ring(NODES, 7)
  const lookups = ring.lookups(50, MINUTE_MS)
  assert.ok(lookups.length > 2_000)
  assert.ok(lookups.every(({ isRight, timeouts }) => isRight === true && timeouts === 0))
  const log = Math.log2(NODES)
  assert.ok(lookups.every(({ hops }) => hops <= log))
  const hops = mean(lookups.map((_, at) => ring.hopsByFingers(ring.ids[at % NODES] ?? 0, at * 1_000_003)))
  assert.ok(Math.abs(hops - log / 2) < 0.5, `${hops} hops`)
})

test("after a tenth of the nodes has failed and as many have joined, all entries become right", () => {
  const ring = new Ring(NODES, 8)
  ring.churn(13, MINUTE_MS)
  const during = ring.lookups(50, MINUTE_MS)
  assert.ok(during.some(({ timeouts }) => timeouts > 0))
  assert.equal(ring.ids.length, NODES)
  ring.lookups(1, 15 * MINUTE_MS)
  assert.deepEqual(ring.rightness, { successors: 1, predecessors: 1, lists: 1, fingers: 1 })
  assert.deepEqual(agreement(ring, 200, 8), { lookups: 200, agreed: 200 })
})

test("a lookup goes around nodes that have failed and names a node that runs", () => {
  const ring = new Ring(NODES, 9)
  ring.churn(40, 1)
  ring.events.runUntil(10)
  const ends = ring.lookups(50, 20_000)
  assert.ok(ends.some(({ timeouts }) => timeouts > 0))
  for (const { owner } of ends) assert.ok(owner === undefined || ring.network.nodes.has(owner))
})

test("the table of the ring is a layout that every node could have, and the sizes are those of the encoders", () => {
  const ring = new Ring(300, 10)
  const { width, table } = tableOfRing(ring)
  assert.equal(table.length, 65_536 * width)
  const { recordBytes, tableBytes } = mapSizes(ring)
  assert.ok(tableBytes > 65_536 * width * 2)
  assert.ok(recordBytes > 300 * 50)
  const { meanMs, mostMs, drainedMs } = spreadOfChange(300, 10)
  assert.ok(meanMs < mostMs && mostMs < drainedMs && drainedMs < 5_000)
  const { most, fewest } = balanceOfPlan(12)
  assert.ok(most < 1.01 && fewest > 0.99)
})

test("the same seed gives the same run", () => {
  const run = () => {
    const ring = new Ring(32, 11)
    ring.churn(4, 10_000)
    return [ring.lookups(20, MINUTE_MS), ring.network.carried]
  }
  assert.deepEqual(run(), run())
})
