/** How long a process has seen devices offline. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LONG_OUT_MS } from "@hayloft/engine/cluster/index.js"
import { OfflineTimes } from "./offline-times-core.js"
import { deviceEntry, idOf } from "./testing-record.js"

/** Device 2 is offline since this moment of another node's wall clock; undefined: it is not. */
const withOffline = (stateSinceMs?: number) => ({
  devices: [
    deviceEntry(1),
    stateSinceMs === undefined ? deviceEntry(2) : { ...deviceEntry(2, "offline"), stateSinceMs },
  ],
})

test("a device is offline for long by the clock of the process that has seen it, whatever other clocks show", () => {
  for (const stateSinceMs of [0, 1e13]) {
    const times = new OfflineTimes()
    times.observe(withOffline(), 0)
    times.observe(withOffline(stateSinceMs), 5_000)
    assert.deepEqual(times.long(5_000), [])
    times.observe(withOffline(stateSinceMs), 60_000)
    assert.deepEqual(times.long(5_000 + LONG_OUT_MS - 1), [])
    assert.deepEqual(times.long(5_000 + LONG_OUT_MS), [idOf(2)])
  }
})

test("a device that returned, or went offline again, begins again", () => {
  const times = new OfflineTimes()
  times.observe(withOffline(7), 0)
  times.observe(withOffline(), 1_000)
  assert.deepEqual(times.long(LONG_OUT_MS), [])
  times.observe(withOffline(7), 2_000)
  // It returned, and went offline again, between two readings of the record.
  times.observe(withOffline(8), 3_000)
  assert.deepEqual(times.long(2_000 + LONG_OUT_MS), [])
  assert.deepEqual(times.long(3_000 + LONG_OUT_MS), [idOf(2)])
})
