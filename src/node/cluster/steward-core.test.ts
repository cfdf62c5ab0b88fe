/** How long nodes count as silent, and what the steward does with their devices. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation, parseNodeName } from "../../base/ids.js"
import { storeOf } from "../../cluster/testing-records.js"
import { Silences, withoutSilentDevices } from "./steward-core.js"

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
    [{ name: A, incarnation: parseIncarnation(row), beat }],
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
