import assert from "node:assert/strict"
import { test } from "node:test"
import { deviceId } from "./testing-devices.js"
import type { Layout } from "./layout.js"
import { movement } from "./movement.js"

const layout = (width: number, devices: readonly number[], ...table: number[]): Layout => ({
  version: 1,
  width,
  table: Uint8Array.from(table, device => devices.indexOf(device)),
  devices: devices.map(deviceId),
})

test("a slot counts as moved if its device differs, however the devices are listed", () => {
  const before = layout(2, [1, 2, 3], 1, 2, 2, 3, 3, 1)
  const after = layout(2, [4, 3, 2, 1], 1, 2, 4, 3, 3, 4)
  const { moved, added, dropped, share, devices } = movement(before, after)
  assert.deepEqual({ moved, added, dropped, share }, { moved: 2, added: 0, dropped: 0, share: 1 / 3 })
  assert.deepEqual(Object.fromEntries(devices), {
    [deviceId(1)]: { slotsIn: 0, offlineSlots: 1 },
    [deviceId(2)]: { slotsIn: 0, offlineSlots: 1 },
    [deviceId(3)]: { slotsIn: 0, offlineSlots: 0 },
    [deviceId(4)]: { slotsIn: 2, offlineSlots: 0 },
  })
})

test("new and dropped slots are counted apart from moved ones", () => {
  const narrow = layout(1, [1, 2], 1, 2)
  const wide = layout(2, [1, 2, 3], 1, 2, 3, 1)
  assert.deepEqual([movement(narrow, wide).moved, movement(narrow, wide).added], [1, 2])
  assert.equal(movement(narrow, wide).devices.get(deviceId(1))?.slotsIn, 1)
  assert.deepEqual([movement(wide, narrow).moved, movement(wide, narrow).dropped], [1, 2])
  assert.equal(movement(wide, narrow).devices.get(deviceId(1))?.offlineSlots, 1)
})

test("a narrower policy moves only the slots that it uses", () => {
  const before = layout(2, [1, 2, 3], 1, 2, 2, 3)
  const after = layout(2, [1, 2, 3], 1, 3, 1, 3)
  assert.equal(movement(before, after).moved, 2)
  const first = movement(before, after, 1)
  assert.deepEqual([first.moved, first.added, first.share], [1, 0, 0.5])
  assert.deepEqual(first.devices.get(deviceId(3)), { slotsIn: 0, offlineSlots: 0 })
})
