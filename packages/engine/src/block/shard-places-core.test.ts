import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, parsePartitionId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { slotPlaces } from "./shard-places-core.js"

const [A, B, C, D] = ["a", "b", "c", "d"].map(digit => parseDeviceId(digit.repeat(16)))
assert.ok(A && B && C && D)
/** All partitions have the same devices. */
const layoutOn = (...devices: readonly (typeof A)[]) => ({
  version: 1,
  width: devices.length,
  devices,
  table: Uint8Array.from({ length: PARTITIONS * devices.length }, (_, at) => at % devices.length),
})
const copy = (slot: number, deviceId: typeof A) => ({ slot, deviceId, bodyBytes: 64 })
const places = (shards: readonly ReturnType<typeof copy>[], damaged: readonly ReturnType<typeof copy>[] = []) =>
  slotPlaces({ partition: parsePartitionId(7), shards, damaged }, parsePolicy("ec:2+1"), {
    current: layoutOn(A, B, C),
    previous: layoutOn(D, B, C),
  })
const found = (shards: readonly ReturnType<typeof copy>[], damaged: readonly ReturnType<typeof copy>[] = []) =>
  places(shards, damaged).map(slot => slot.found)

test("a shard is in its place, on the device of the previous layout, elsewhere, or missing", () => {
  assert.deepEqual(found([copy(0, A), copy(1, B), copy(2, C)]), ["assigned", "assigned", "assigned"])
  assert.deepEqual(found([copy(0, D), copy(1, D)]), ["former", "elsewhere", "missing"])
  assert.deepEqual(
    places([]).map(({ assigned }) => assigned),
    [A, B, C],
  )
})

test("the best whole copy counts, and a damaged one counts as missing, but is named", () => {
  assert.deepEqual(found([copy(0, D), copy(0, A)]), ["assigned", "missing", "missing"])
  assert.deepEqual(found([copy(0, D)], [copy(0, A)]), ["former", "missing", "missing"])
  const [first] = places([], [copy(0, A)])
  assert.deepEqual(first, {
    slot: 0,
    assigned: A,
    found: "missing",
    copies: [{ deviceId: A, reason: "assigned", isDamaged: true }],
  })
})

test("what its row names was written there while devices were down", () => {
  const layouts = { current: layoutOn(A, B), previous: undefined }
  const group = { partition: parsePartitionId(0), shards: [copy(0, C), copy(1, D)], damaged: [] }
  const slots = slotPlaces(group, parsePolicy("replica:3"), layouts, [[0, C]])
  assert.deepEqual(
    slots.map(slot => [slot.assigned, slot.found]),
    [
      [A, "placed"],
      [B, "elsewhere"],
      [undefined, "missing"],
    ],
  )
})
