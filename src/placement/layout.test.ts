import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../base/failures.js"
import { parsePartitionId } from "../base/ids.js"
import { PARTITIONS } from "../base/limits.js"
import { equal, weighted } from "./testing-devices.js"
import { decodeLayout, encodeLayout, isSound, slotsOf, slotsPerDevice } from "./layout.js"
import { planLayout } from "./next-layout.js"

test("no partition has two slots on one device", () => {
  for (const [weights, width] of [
    [[1, 1, 1, 1, 1, 1, 1], 7],
    [[1, 2, 3, 4, 5], 3],
    [[10, 1, 1], 2],
  ] as const) {
    const layout = planLayout(weighted(weights), width)
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const slots = slotsOf(layout, parsePartitionId(partition))
      assert.equal(new Set(slots).size, width)
    }
  }
})

test("devices hold shares by weight, as far as distinct devices allow", () => {
  const held = slotsPerDevice(planLayout(weighted([1, 2, 3, 4]), 2))
  const total = 2 * PARTITIONS
  held.forEach((count, i) => assert.ok(Math.abs(count / total - (i + 1) / 10) < 0.002, `device ${i}: ${count / total}`))
  const capped = slotsPerDevice(planLayout(weighted([100, 1, 1]), 2))
  assert.equal(capped[0], PARTITIONS)
  assert.ok(Math.abs((capped[1] ?? 0) / PARTITIONS - 0.5) < 0.002)
})

test("each device is in each slot about equally often", () => {
  const layout = planLayout(equal(7), 7)
  for (const slots of [1, 4]) {
    for (const count of slotsPerDevice(layout, slots)) {
      assert.ok(Math.abs(count / PARTITIONS - slots / 7) < 0.01, `${slots} slots: ${count}`)
    }
  }
})

test("each two devices meet about equally often, so that all help to rebuild one", () => {
  const layout = planLayout(equal(10), 3)
  const together = Array.from({ length: 100 }, () => 0)
  for (let at = 0; at < layout.table.length; at += 3) {
    const slots = [...layout.table.subarray(at, at + 3)]
    for (const a of slots) for (const b of slots) together[a * 10 + b] = (together[a * 10 + b] ?? 0) + 1
  }
  const expected = (PARTITIONS * 3 * 2) / (10 * 9)
  together.forEach((count, at) => {
    if (at % 11 !== 0) assert.ok(Math.abs(count / expected - 1) < 0.06, `${at}: ${count} instead of ${expected}`)
  })
})

test("the same devices give the same layout", () => {
  const a = planLayout(weighted([3, 1, 2, 2]), 3)
  const b = planLayout(weighted([3, 1, 2, 2]), 3)
  assert.deepEqual(a.table, b.table)
})

test("a layout is read back as it was written, and damage is refused", () => {
  const layout = planLayout(equal(4), 3, 5)
  const bytes = encodeLayout(layout)
  assert.deepEqual(decodeLayout(bytes, 5, layout.devices), layout)
  const isRefused = (damaged: Uint8Array, devices = layout.devices) =>
    assert.throws(
      () => decodeLayout(damaged, 5, devices),
      error => isFailure(error, "corruptRecord"),
    )
  isRefused(bytes.subarray(0, -1))
  isRefused(new Uint8Array(0))
  isRefused(bytes, layout.devices.slice(1))
  const twice = bytes.slice()
  twice[2] = twice[1] ?? 0
  isRefused(twice)
  assert.equal(isSound({ ...layout, table: twice.subarray(1) }), false)
})
