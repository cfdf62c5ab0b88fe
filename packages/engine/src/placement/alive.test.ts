import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePartitionId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { aliveSlots, fewestAlive } from "./alive.js"
import { deviceId, equal, weighted } from "./testing-devices.js"
import { aliveHistogram, riskiestFirst } from "./testing-placement.js"
import { slotsOf } from "./layout.js"
import { planLayout, planNext } from "./next-layout.js"

const layout = planLayout(weighted([1, 2, 3, 4, 5, 6]), 4)
const counting = new Set([0, 2, 3, 5].map(deviceId))

test("alive slots are those on devices that count", () => {
  for (const slots of [4, 2]) {
    const alive = aliveSlots(layout, counting, slots)
    const histogram = Array.from({ length: slots + 1 }, () => 0)
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const devices = slotsOf(layout, parsePartitionId(partition)).slice(0, slots)
      const expected = devices.filter(id => counting.has(id)).length
      assert.equal(alive[partition], expected)
      histogram[expected] = (histogram[expected] ?? 0) + 1
    }
    assert.deepEqual(aliveHistogram(alive, slots), histogram)
    assert.equal(
      fewestAlive(alive),
      histogram.findIndex(partitions => partitions > 0),
    )
  }
})

test("the partitions with the fewest alive slots come first, and whole ones never", () => {
  const alive = aliveSlots(layout, counting)
  const histogram = aliveHistogram(alive, 4)
  const all = riskiestFirst(alive, 4, PARTITIONS)
  assert.equal(all.length, PARTITIONS - (histogram[4] ?? 0))
  all.forEach((risk, i) => {
    const before = all[i - 1]
    assert.equal(risk.alive, alive[risk.partition])
    if (before === undefined) return
    assert.ok(before.alive < risk.alive || (before.alive === risk.alive && before.partition < risk.partition))
  })
  assert.deepEqual(riskiestFirst(alive, 4, 10), all.slice(0, 10))
  assert.deepEqual(riskiestFirst(aliveSlots(layout, new Set(layout.devices)), 4, 10), [])
})

test("while shards move, a slot is alive only if both its holders count", () => {
  const next = planNext(layout, equal(8), 3, 2)
  const alive = aliveSlots(next, counting, 4, layout)
  const widened = aliveSlots(layout, counting, 4, next)
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const old = slotsOf(layout, parsePartitionId(partition)).map(id => counting.has(id))
    const now = slotsOf(next, parsePartitionId(partition)).map(id => counting.has(id))
    assert.equal(alive[partition], now.filter((isAlive, slot) => isAlive && old[slot] === true).length)
    assert.equal(widened[partition], old.filter((isAlive, slot) => isAlive && now[slot] !== false).length)
  }
})
