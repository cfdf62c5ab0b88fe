import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, parsePartitionId } from "../base/ids.js"
import { PARTITIONS } from "../base/limits.js"
import { planLayout, slotsOf } from "./layout.js"

const devices = (weights: readonly number[]) =>
  weights.map((weight, i) => ({ id: parseDeviceId(i.toString(16).padStart(16, "0")), weight }))

function counts(layout: ReturnType<typeof planLayout>): number[] {
  const held = layout.devices.map(() => 0)
  for (const index of layout.table) held[index] = (held[index] ?? 0) + 1
  return held
}

test("no partition has two slots on one device", () => {
  for (const [weights, width] of [
    [[1, 1, 1, 1, 1, 1, 1], 7],
    [[1, 2, 3, 4, 5], 3],
    [[10, 1, 1], 2],
  ] as const) {
    const layout = planLayout(devices(weights), width)
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const slots = slotsOf(layout, parsePartitionId(partition))
      assert.equal(new Set(slots).size, width)
    }
  }
})

test("devices hold shares by weight, as far as distinct devices allow", () => {
  const held = counts(planLayout(devices([1, 2, 3, 4]), 2))
  const total = 2 * PARTITIONS
  held.forEach((count, i) => assert.ok(Math.abs(count / total - (i + 1) / 10) < 0.002, `device ${i}: ${count / total}`))
  const capped = counts(planLayout(devices([100, 1, 1]), 2))
  assert.equal(capped[0], PARTITIONS)
  assert.ok(Math.abs((capped[1] ?? 0) / PARTITIONS - 0.5) < 0.002)
})

test("each device is in each slot about equally often", () => {
  const layout = planLayout(devices([1, 1, 1, 1, 1, 1, 1]), 7)
  const first = [0, 0, 0, 0, 0, 0, 0]
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const index = layout.table[partition * 7] ?? 0
    first[index] = (first[index] ?? 0) + 1
  }
  for (const count of first) assert.ok(Math.abs(count / PARTITIONS - 1 / 7) < 0.01, String(count))
})

test("the same devices give the same layout", () => {
  const a = planLayout(devices([3, 1, 2, 2]), 3)
  const b = planLayout(devices([3, 1, 2, 2]), 3)
  assert.deepEqual(a.table, b.table)
})
