import assert from "node:assert/strict"
import { test } from "node:test"
import { DEVICES_MAX, PARTITIONS } from "@hayloft/base/limits.js"
import { seedsOf } from "@hayloft/base/testing-seed.js"
import { Disorder } from "./disorder.js"
import { deviceId, equal, weighted } from "./testing-devices.js"
import { fewestMoves } from "./testing-fewest-moves.js"
import { isSound, slotsPerDevice, type Layout, type LayoutDevice } from "./layout.js"
import { movement } from "./movement.js"
import { planLayout, planNext, replaceDevice } from "./next-layout.js"
import { sharesOf } from "./shares.js"

/** Few enough for many plans, enough for shares within a few percent. */
const FEW_PARTITIONS = 4096

const heldBy = (layout: Layout): ReadonlyMap<string, number> => {
  const held = slotsPerDevice(layout)
  return new Map(layout.devices.map((id, i) => [id, held[i] ?? 0]))
}

/** Slots that each device should hold, and the fewest moves to get there. */
function due(
  before: Layout,
  devices: readonly LayoutDevice[],
  width: number,
): { shares: Map<string, number>; least: number } {
  const partitions = before.table.length / before.width
  const shares = sharesOf(
    devices.map(({ weight }) => weight),
    devices.map(() => partitions),
    partitions * width,
  )
  const common = Math.min(width, before.width)
  const held = slotsPerDevice(before, common)
  const kept = (id: string) => held[before.devices.findIndex(other => other === id)] ?? 0
  const incoming = devices.map(({ id }, i) => Math.max(0, (shares[i] ?? 0) - kept(id))).reduce((sum, x) => sum + x, 0)
  return {
    shares: new Map(devices.map(({ id }, i) => [id, shares[i] ?? 0])),
    least: incoming - partitions * (width - common),
  }
}

function checkStep(before: Layout, after: Layout, devices: readonly LayoutDevice[], width: number, what: string): void {
  const used = devices.filter(({ weight }) => weight > 0)
  assert.ok(isSound(after), what)
  assert.equal(after.width, width, what)
  assert.deepEqual(new Set(after.devices), new Set(used.map(({ id }) => id)), what)
  const { shares, least } = due(before, used, width)
  const held = heldBy(after)
  for (const [id, share] of shares) {
    const off = Math.abs((held.get(id) ?? 0) - share)
    assert.ok(off <= Math.max(2, 0.02 * share), `${what}: ${id} holds ${held.get(id)} instead of ${share}`)
  }
  const { moved, share } = movement(before, after)
  const slack = 0.04 * before.table.length + 4
  if (moved <= least + slack) return
  // A device that comes into every partition may displace others that have to gain elsewhere.
  const needed = fewestMoves(before, after, used, moved - slack)
  assert.ok(moved <= needed + slack, `${what}: moved ${moved} (${share}), needed ${needed}`)
}

test("adding one of d+1 equal devices moves no more than its share", () => {
  for (const count of [1, 2, 3, 5, 8, 15]) {
    for (const width of [1, 2, 4, 7, 11].filter(width => width <= count)) {
      const before = planLayout(equal(count), width)
      const after = planNext(before, equal(count + 1), width, 2)
      const { share, devices } = movement(before, after)
      assert.ok(share <= 1.2 / (count + 1), `${count} devices, width ${width}: ${share}`)
      assert.equal(devices.get(deviceId(count))?.offlineSlots, 0)
      for (let old = 0; old < count; old += 1) assert.equal(devices.get(deviceId(old))?.slotsIn, 0)
      checkStep(before, after, equal(count + 1), width, `${count} devices, width ${width}`)
    }
  }
})

test("two devices added together meet as often as random ones would", () => {
  const after = planNext(planLayout(equal(8), 3), equal(10), 3, 2)
  const [a, b] = [8, 9]
  let together = 0
  for (let at = 0; at < after.table.length; at += 3) {
    const slots = after.table.subarray(at, at + 3)
    if (slots.includes(a) && slots.includes(b)) together += 1
  }
  const expected = PARTITIONS * (3 / 10) ** 2
  assert.ok(Math.abs(together / expected - 1) < 0.1, `${together} instead of ${expected}`)
})

test("removing one of equal devices moves its slots and nothing else", () => {
  for (const [count, width] of [
    [8, 7],
    [9, 4],
    [15, 11],
    [3, 2],
  ] as const) {
    const before = planLayout(equal(count), width)
    const held = heldBy(before).get(deviceId(1)) ?? 0
    const gone = equal(count).filter((_, i) => i !== 1)
    const after = planNext(before, gone, width, 2)
    checkStep(before, after, gone, width, `${count} devices, width ${width}`)
    assert.ok(movement(before, after).moved <= held * 1.03, `moved ${movement(before, after).moved} of ${held}`)
    const weightless = equal(count).map((device, i) => (i === 1 ? { ...device, weight: 0 } : device))
    assert.deepEqual(planNext(before, weightless, width, 2), after)
  }
})

test("adding a device and removing it again leaves the other slots in place", () => {
  const first = planLayout(equal(6), 4)
  const grown = planNext(first, equal(7), 4, 2)
  const back = planNext(grown, equal(6), 4, 3)
  assert.ok(movement(first, back).share < 1 / 7)
  assert.ok(movement(grown, back).share < 1.03 / 7)
})

test("planning without a change moves nothing", () => {
  const before = planLayout(weighted([5, 1, 2, 9, 3]), 3)
  const after = planNext(before, weighted([5, 1, 2, 9, 3]), 3, 2)
  assert.deepEqual(after, { ...before, version: 2 })
  assert.deepEqual(planNext(before, [...weighted([5, 1, 2, 9, 3])].reverse(), 3, 2), after)
})

test("the same change gives the same layout", () => {
  const before = planLayout(weighted([5, 1, 2, 9, 3]), 3)
  const [a, b] = [1, 2].map(() => planNext(before, weighted([5, 4, 2, 0, 3, 6]), 4, 2))
  assert.deepEqual(a, b)
})

test("widening appends slots, and narrowing drops the last ones", () => {
  const narrow = planLayout(equal(5), 3)
  const wide = planNext(narrow, equal(5), 5, 2)
  const back = planNext(wide, equal(5), 3, 3)
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const slots = wide.table.subarray(partition * 5, partition * 5 + 3)
    assert.deepEqual(slots, narrow.table.subarray(partition * 3, partition * 3 + 3))
  }
  const { moved, added, dropped } = movement(narrow, wide)
  assert.deepEqual({ moved, added, dropped }, { moved: 0, added: 2 * PARTITIONS, dropped: 0 })
  assert.deepEqual(back.table, narrow.table)
  assert.equal(movement(wide, back).dropped, 2 * PARTITIONS)
})

test("a device that may not gain gets no slot, and what it loses goes elsewhere", () => {
  const before = planLayout(equal(5), 3)
  const closed = [...weighted([1, 1, 1, 5, 1, 1])].map((device, i) =>
    i === 3 ? { ...device, mayGain: false } : device,
  )
  const without = closed.filter((_, i) => i !== 0)
  for (const [devices, width] of [
    [closed, 3],
    [closed, 4],
    [without, 3],
  ] as const) {
    const after = planNext(before, devices, width, 2)
    assert.ok(isSound(after))
    assert.equal(movement(before, after).devices.get(deviceId(3))?.slotsIn, 0)
  }
})

test("a device takes exactly the slots of the one that it replaces", () => {
  const before = planLayout(equal(5), 3)
  const after = replaceDevice(before, deviceId(2), deviceId(77), 2)
  const { devices, moved } = movement(before, after)
  assert.equal(after.version, 2)
  assert.equal(devices.get(deviceId(2))?.offlineSlots, moved)
  assert.equal(devices.get(deviceId(77))?.slotsIn, moved)
  assert.equal(moved, heldBy(before).get(deviceId(2)))
})

test("the largest number of devices and slots can be planned", () => {
  const before = planLayout(equal(DEVICES_MAX), 14)
  const ramp = weighted(Array.from({ length: DEVICES_MAX }, (_, i) => 1 + i))
  checkStep(before, planNext(before, ramp, 14, 2), ramp, 14, "ramp")
  const others = ramp.map((device, i) => (i < 16 ? { ...device, id: deviceId(100 + i) } : device))
  checkStep(before, planNext(before, others, 14, 2), others, 14, "half of all devices are others")
})

test("any sequence of changes keeps layouts sound, balanced and calm", () => {
  for (const seed of seedsOf(10)) {
    const disorder = new Disorder(seed)
    const weight = () => Math.round(10 ** (2 * disorder.fraction()) * 10) / 10
    let next = 2 + disorder.below(10)
    let devices = weighted(Array.from({ length: next }, weight))
    let width = 1 + disorder.below(devices.length)
    let layout = planLayout(devices, width, 1, FEW_PARTITIONS)
    for (let step = 2; step <= 12; step += 1) {
      const victim = disorder.below(devices.length)
      const change = disorder.below(5)
      if (change <= 1 && devices.length < DEVICES_MAX) {
        devices = [...devices, { id: deviceId(next), weight: weight() }]
        next += 1
      } else if (change === 2 && devices.length > width) devices = devices.filter((_, i) => i !== victim)
      else if (change === 3)
        devices = devices.map((device, i) => (i === victim ? { ...device, weight: weight() } : device))
      else width = 1 + disorder.below(devices.length)
      const after = planNext(layout, devices, width, step)
      checkStep(
        layout,
        after,
        devices,
        width,
        `seed ${seed}, step ${step}, change ${change}, ${devices.length} devices`,
      )
      layout = after
    }
  }
})
