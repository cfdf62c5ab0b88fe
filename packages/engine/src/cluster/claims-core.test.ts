import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, parseNodeName, type Incarnation } from "@hayloft/base/ids.js"
import { claimDevice, devicesOfNode, releaseDevices } from "./claims-core.js"
import { markOffline, markReturning } from "./device-states-core.js"
import { clusterOf, deviceId, homeOn, storeOf } from "./testing-records.js"

const live = () => false
const overIf =
  (...over: readonly number[]) =>
  (incarnation: Incarnation) =>
    over.includes(incarnation)
const homeAt = (record: ReturnType<typeof storeOf>, number: number) => record.devices[number]?.home
const record = clusterOf(["n1@a:2", "n2@b:2"], "replica:2")

test("a device without a home is claimed, once", () => {
  const claimed = claimDevice(storeOf(2), deviceId(1), homeOn("n1", "a", 3), live)
  assert.deepEqual([homeAt(claimed, 0), homeAt(claimed, 1)], [undefined, homeOn("n1", "a", 3)])
  assert.equal(claimDevice(claimed, deviceId(1), homeOn("n1", "a", 3), live), claimed)
})

test("a device of another live incarnation is refused, with the name of its node", () => {
  for (const home of [homeOn("n2", "b", 7), homeOn("n1", "a", 7)]) {
    assert.throws(
      () => claimDevice(record, deviceId(0), home, live),
      error => isFailure(error, "conflict") && /served by node n1/.test(error.message),
    )
  }
  assert.throws(
    () => claimDevice(record, deviceId(77), homeOn("n1", "a"), live),
    error => isFailure(error, "invalidArgument"),
  )
})

test("a device whose incarnation is over is claimed by the node that has it now, and nothing else changes", () => {
  const offline = markOffline(record, [deviceId(0)], 5)
  const claimed = claimDevice(offline, deviceId(0), homeOn("n2", "b", 7), overIf(1))
  assert.deepEqual(homeAt(claimed, 0), homeOn("n2", "b", 7))
  assert.equal(claimed.devices[0]?.state, "offline")
  assert.equal(claimed.layout, record.layout)
  const back = markReturning(claimed, deviceId(0), 6)
  assert.equal(back.devices[0]?.state, "rebuilding")
  assert.deepEqual(homeAt(back, 0), homeOn("n2", "b", 7))
})

test("an incarnation may correct the names of its own device", () => {
  const named = { ...homeOn("n1", "c"), disk: "8:16" }
  assert.deepEqual(homeAt(claimDevice(record, deviceId(0), named, live), 0), named)
})

test("released devices keep their homes and may be claimed immediately", () => {
  const released = releaseDevices(record, parseNodeName("n1"), parseIncarnation(1))
  assert.deepEqual(
    released.devices.map(({ home }) => home),
    [homeOn("n1", "a", 0), homeOn("n1", "a", 0), homeOn("n2", "b", 1), homeOn("n2", "b", 1)],
  )
  assert.deepEqual(homeAt(claimDevice(released, deviceId(0), homeOn("n2", "b", 1), live), 0), homeOn("n2", "b", 1))
  assert.equal(releaseDevices(released, parseNodeName("n1"), parseIncarnation(1)), released)
  assert.equal(releaseDevices(record, parseNodeName("n1"), parseIncarnation(2)), record)
  assert.equal(releaseDevices(record, parseNodeName("n3"), parseIncarnation(1)), record)
})

test("the devices of a node are those whose home it is, claimed or not", () => {
  const released = releaseDevices(record, parseNodeName("n1"), parseIncarnation(1))
  const numbers = devicesOfNode(released, parseNodeName("n1")).map(({ id }) => id)
  assert.deepEqual(numbers, [deviceId(0), deviceId(1)])
  assert.deepEqual(devicesOfNode(storeOf(2), parseNodeName("n1")), [])
})
