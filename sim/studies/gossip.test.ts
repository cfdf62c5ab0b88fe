/** Gossip, and heartbeats in a database: who is noticed, when, and who is taken for dead although it runs. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { heartbeatCosts } from "./gossip/costs.js"
import {
  heartbeatDetection,
  heartbeatsUnder,
  swimCosts,
  swimDetection,
  swimUnder,
  type Fault,
} from "./gossip/experiments.js"

const NODES = 9
const MINUTE_MS = 60_000
/** A node of no zone that would be lost with it. */
const ODD = 3

const [cutFromB, cutFromAll, halves]: readonly Fault[] = [
  { durationMs: 17 * MINUTE_MS, begin: hosts => hosts.cut((from, to) => from === ODD && to === 4) },
  { durationMs: 17 * MINUTE_MS, begin: hosts => hosts.cut(from => from === ODD) },
  { durationMs: 17 * MINUTE_MS, begin: hosts => hosts.cut((from, to) => from % 2 !== to % 2) },
]
const none: Fault = { durationMs: 0 }

test("a node that has failed is known to all within the time of suspicion by gossip", () => {
  const { suspected, dead } = swimDetection(NODES, 1)
  assert.ok(suspected.firstMs > 0 && suspected.firstMs <= dead.firstMs)
  assert.ok(dead.firstMs >= 4_000 && dead.allMs < 12_000, `${dead.firstMs} to ${dead.allMs} ms`)
})

test("a node that has failed is written around after seconds, and its devices go offline after 15 minutes", () => {
  const { unwritten, shown, endedMs, offlineMs } = heartbeatDetection(NODES, 1)
  assert.ok(unwritten.allMs < 5_000, `${unwritten.allMs} ms`)
  assert.ok(shown.firstMs >= 25_000 && shown.allMs < 45_000)
  assert.ok(Math.abs(endedMs - 5 * MINUTE_MS) < 15_000)
  assert.ok(Math.abs(offlineMs - 15 * MINUTE_MS) < 15_000)
})

test("lost packets make neither kind take a node for dead, up to one in twenty", () => {
  const fault = { loss: 0.05, durationMs: 3 * MINUTE_MS }
  assert.equal(swimUnder(NODES, 1, fault).dead, 0)
  const { silent, cutOff, ended, offline } = heartbeatsUnder(NODES, 1, fault)
  assert.deepEqual([silent, cutOff, ended, offline], [0, 0, 0, 0])
})

test("a pause of a minute makes gossip declare a node dead, and ends nothing of Hayloft", () => {
  const fault: Fault = { durationMs: 2 * MINUTE_MS, begin: hosts => hosts.pause(ODD, MINUTE_MS) }
  const swim = swimUnder(NODES, 1, fault, MINUTE_MS)
  assert.deepEqual([swim.dead, swim.observersMost, swim.deadAtEnd], [1, NODES - 1, 0])
  const { silent, ended, offline, unwrittenAtEnd } = heartbeatsUnder(NODES, 1, fault, MINUTE_MS)
  assert.deepEqual([silent, ended, offline, unwrittenAtEnd], [1, 0, 0, 0])
})

test("one broken link concerns its two nodes alone", () => {
  assert.equal(swimUnder(NODES, 1, cutFromB ?? none).dead, 0)
  const { cutOff, offline, unwrittenPairs } = heartbeatsUnder(NODES, 1, cutFromB ?? none)
  assert.deepEqual([cutOff, offline, unwrittenPairs], [0, 0, 2])
})

test("a node that only receives is cut off, and its devices go offline", () => {
  const { silent, cutOff, ended, offline } = heartbeatsUnder(NODES, 1, cutFromAll ?? none)
  assert.deepEqual([silent, cutOff, ended, offline], [0, 1, 0, 1])
})

test("of two halves that do not reach each other nothing goes offline without the operator", () => {
  const { offline, heldBack } = heartbeatsUnder(NODES + 1, 1, halves ?? none)
  assert.deepEqual([offline, heldBack], [0, NODES + 1])
})

test("while the database is away no node counts as silent", () => {
  const fault = { durationMs: 17 * MINUTE_MS + 2_500, databaseAway: true }
  const { silent, ended, offline, silentMsMost } = heartbeatsUnder(NODES, 1, fault, MINUTE_MS)
  assert.deepEqual([silent, ended, offline], [0, 0, 0])
  assert.ok(silentMsMost < 15_000, `${silentMsMost} ms`)
})

test("messages of gossip do not grow with the nodes, those of Hayloft do, and so do the rows that its database returns", () => {
  const [few, many] = [swimCosts(10, 1), swimCosts(60, 1)]
  assert.ok(Math.abs(few.messages - many.messages) < 0.5)
  const [ten, hundred] = [heartbeatCosts(10), heartbeatCosts(100)]
  assert.equal(ten.messages, 9)
  assert.equal(hundred.messages, 99)
  assert.equal(hundred.rows, 100 * ten.rows)
})
