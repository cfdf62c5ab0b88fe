/** Reassigning the places of devices that stay offline. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkRecord } from "./check-record.js"
import { markOffline } from "./device-states-core.js"
import { deviceId, storeOf } from "./testing-records.js"
import { LONG_OUT_MS, placeWithoutLongOffline } from "./long-out-core.js"

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
