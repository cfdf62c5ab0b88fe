/** What the steward does with the devices of silent nodes. Silence itself is tested in tests/steward. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation, parseNodeName } from "../../base/ids.js"
import { storeOf } from "../../cluster/testing-records.js"
import { withoutSilentDevices } from "./steward-core.js"

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
