/** Reassigning the places of devices that stay offline. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { mostTogether } from "../placement/index.js"
import { checkRecord } from "./testing-check-record.js"
import { markOffline } from "./device-states-core.js"
import { clusterOf, deviceId, storeOf } from "./testing-records.js"
import { LONG_OUT_MS, placeWithout, placeWithoutLongOffline } from "./long-out-core.js"
import { layoutOf } from "./record-layout-core.js"

test("the places of a device that stays offline go to the others after a while", () => {
  const record = markOffline(storeOf(6, "ec:2+2"), [deviceId(0)], 1_000)
  assert.equal(placeWithoutLongOffline(record, 1_000 + LONG_OUT_MS - 1), record)
  const placed = placeWithoutLongOffline(record, 1_000 + LONG_OUT_MS)
  checkRecord(placed)
  assert.ok(!placed.layout.devices.includes(deviceId(0)))
  assert.equal(placed.previousLayout, record.layout)
  assert.equal(placeWithoutLongOffline(placed, 1_000 + 2 * LONG_OUT_MS), placed, "one transition at a time")
})

test("an offline device keeps its places if every device is needed", () => {
  const record = markOffline(storeOf(4), [deviceId(0)], 0)
  assert.equal(placeWithoutLongOffline(record, 10 * LONG_OUT_MS), record)
})

test("a store without offline devices is left as it is", () => {
  const record = storeOf(5, "replica:2")
  assert.equal(placeWithoutLongOffline(record, 10 * LONG_OUT_MS), record)
})

test("a caller with a clock of its own names the devices; only those that are offline lose their places", () => {
  const record = markOffline(storeOf(7, "ec:2+2"), [deviceId(0), deviceId(1)], 9e15)
  const placed = placeWithout(record, [deviceId(1), deviceId(2)])
  checkRecord(placed)
  assert.deepEqual(
    storeOf(7).devices.flatMap(({ id }, i) => (placed.layout.devices.includes(id) ? [] : [i])),
    [1],
  )
  assert.equal(placeWithout(placed, [deviceId(0)]), placed, "one transition at a time")
  assert.equal(placeWithout(record, []), record)
  assert.equal(placeWithout(record, [deviceId(2), deviceId(99)]), record)
})

test("the places of a machine go to other machines of all zones", () => {
  const nodes = ["a1@a:2", "a2@a:2", "b1@b:2", "b2@b:2", "c1@c:2", "c2@c:2"]
  const record = clusterOf(nodes, "ec:4+2")
  const gone = [deviceId(0), deviceId(1)]
  const placed = placeWithout(markOffline(record, gone, 0), gone)
  checkRecord(placed)
  const layout = layoutOf(placed.layout)
  const zoneOf = (id: string) => placed.devices.find(device => device.id === id)?.home?.zone ?? ""
  assert.ok(mostTogether(layout, zoneOf).every(shards => shards === 2))
})
