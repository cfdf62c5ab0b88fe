/** How long nodes count as silent, which are cut off, and what the steward does with their devices. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation, parseNodeName, type NodeName } from "@hayloft/base/ids.js"
import { storeOf } from "@hayloft/engine/cluster/testing-records.js"
import { cutOffNodes, Silences, withoutSilentDevices } from "./steward-core.js"

const MINUTE = 60_000
const [A, B] = [parseNodeName("n0"), parseNodeName("n1")]

/** Six nodes with a device each, in two zones. */
function record() {
  const store = storeOf(6, "replica:2")
  const devices = store.devices.map((device, number) => {
    const node = parseNodeName(`n${number}`)
    const home = { node, incarnation: parseIncarnation(number + 1), zone: number < 3 ? "east" : "west", machine: node }
    return { ...device, home }
  })
  return { ...store, tablets: [], devices }
}

test("devices of a silent node go offline, and their places to others", () => {
  const before = record()
  assert.equal(withoutSilentDevices(before, new Map([[A, 14 * MINUTE]]), 0), before)
  const after = withoutSilentDevices(before, new Map([[A, 15 * MINUTE]]), 77)
  const [first, ...others] = after.devices
  assert.equal(first?.state, "offline")
  assert.equal(first.stateSinceMs, 77)
  assert.ok(others.every(({ state }) => state === "active"))
  assert.ok(!after.layout.devices.includes(first.id))
  assert.equal(after.previousLayout, before.layout)
})

test("nothing changes while the operator has to decide", () => {
  const before = record()
  const zone = [A, B, parseNodeName("n2")].map(node => [node, 20 * MINUTE] as const)
  assert.equal(withoutSilentDevices(before, new Map(zone), 0), before)
})

/** Rows and live incarnations of node A. */
const seen = (row: number, beat: number, ...live: readonly number[]) =>
  [
    [{ name: A, incarnation: parseIncarnation(row), beat, unreachable: [] }],
    {
      highest: parseIncarnation(Math.max(...live)),
      nodes: live.map(incarnation => ({ node: A, incarnation: parseIncarnation(incarnation) })),
    },
  ] as const

test("a node is silent since its row was first seen with this heartbeat", () => {
  const silences = new Silences()
  silences.observe(...seen(1, 3, 1), 0)
  silences.observe(...seen(1, 3, 1), 10 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 10 * MINUTE]])
  silences.observe(...seen(1, 4, 1), 11 * MINUTE)
  silences.observe(...seen(1, 4, 1), 12 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 1 * MINUTE]])
})

test("a node that has started again is silent only since then, although its row is that of its earlier process", () => {
  const silences = new Silences()
  silences.observe(...seen(1, 3, 1), 0)
  silences.observe(...seen(1, 3, 1), 14 * MINUTE)
  silences.observe(...seen(1, 3, 5), 15 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 0]])
  silences.observe(...seen(1, 3, 1, 5), 17 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 2 * MINUTE]])
  silences.observe(...seen(5, 1, 5), 18 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 0]])
  // An earlier incarnation that has not ended yet says nothing of the node.
  silences.observe(...seen(5, 1, 1, 5), 20 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 2 * MINUTE]])
})

test("a list of live incarnations that is older than the rows does not make a node silent", () => {
  const silences = new Silences()
  silences.observe(...seen(1, 3, 1), 0)
  silences.observe(...seen(2, 1, 1), 1 * MINUTE)
  silences.observe(...seen(2, 2, 1), 9 * MINUTE)
  assert.deepEqual([...silences.ofNodes()], [[A, 0]])
})

/** By node: those that it cannot reach. */
const rowsOf = (of: Readonly<Record<string, string>>) =>
  Object.entries(of).map(([name, unreachable]) => ({
    name: parseNodeName(name),
    unreachable: unreachable.split(" ").filter(Boolean).map(parseNodeName),
  }))
const cutOff = (of: Readonly<Record<string, string>>): string => [...cutOffNodes(rowsOf(of))].join(" ")

test("a node is cut off if more than half of the others cannot reach it", () => {
  assert.equal(cutOff({ a: "", b: "", c: "" }), "")
  assert.equal(cutOff({ a: "b", b: "a", c: "" }), "", "one link is cut")
  assert.equal(cutOff({ a: "b c", b: "a", c: "a" }), "a")
  assert.equal(cutOff({ a: "d e", b: "d e", c: "d e", d: "a b c", e: "a b c" }), "d e", "the smaller side")
  assert.equal(cutOff({ a: "c d", b: "c d", c: "a b", d: "a b" }), "a b c d", "no side is smaller")
  assert.equal(cutOff({ a: "b", b: "a" }), "a b")
  assert.equal(cutOff({ a: "" }), "")
  assert.equal(cutOff({ a: "a x", b: "x", c: "" }), "", "neither a node itself nor one without a row counts")
})

test("the reports of a node count only while it writes heartbeats", () => {
  const silences = new Silences()
  const names = ["a", "b", "c", "d"].map(parseNodeName)
  const live = {
    highest: parseIncarnation(4),
    nodes: names.map((node, i) => ({ node, incarnation: parseIncarnation(i + 1) })),
  }
  /** c and d wrote that they cannot reach a, and died. */
  const observe = (nowMs: number): boolean => {
    const rowOf = (name: NodeName, i: number) => ({
      name,
      incarnation: parseIncarnation(i + 1),
      beat: i < 2 ? nowMs : 1,
      unreachable: i >= 2 ? names.slice(0, 1) : [],
    })
    silences.observe(names.map(rowOf), live, nowMs)
    return silences.isCutOff(parseNodeName("a"))
  }
  assert.deepEqual([0, 10_000, 40_000].map(observe), [true, true, false])
  assert.equal(silences.ofNodesOutOfReach().get(parseNodeName("a")), 0)
  assert.equal(silences.ofNodesOutOfReach().get(parseNodeName("c")), 40_000)
})
