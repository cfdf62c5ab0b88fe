import assert from "node:assert/strict"
import { test } from "node:test"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { defaultPolicy, parsePolicy, shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { usableBytes, weightsFor } from "./capacity.js"
import { Disorder } from "./disorder.js"
import { deviceId, equal, weighted } from "./testing-devices.js"
import type { Layout } from "./layout.js"
import { planLayout, planNext } from "./next-layout.js"
import { idealUsableBytes } from "./testing-placement.js"

const TB = 1e12
const capacityMap = (capacities: readonly number[]) => new Map(capacities.map((bytes, i) => [deviceId(i), bytes]))

test("equal disks provide k/n of their capacity", () => {
  const layout = planLayout(equal(7), 7)
  const policy = parsePolicy("ec:4+3")
  const capacities = equal(7).map(() => TB)
  assert.equal(idealUsableBytes(capacities, policy), 4 * TB)
  assert.equal(usableBytes(layout, capacityMap(capacities), policy), 4 * TB)
})

test("the ideal is the most that distinct devices allow", () => {
  const ideal = (capacities: readonly number[], policy: string) => idealUsableBytes(capacities, parsePolicy(policy))
  assert.equal(ideal([10, 4, 3], "replica:2"), 7, "the large one can be paired with the others only")
  assert.equal(ideal([5, 4, 3], "replica:2"), 6)
  assert.equal(ideal([10, 1, 1], "ec:2+1"), 2)
  assert.equal(ideal([10, 10], "ec:2+1"), 0)
  assert.equal(ideal([10, 7], "replica:1"), 17)
  assert.equal(ideal([9, 9, 2, 2], "ec:2+1"), 8, "two large in each block, four blocks with one of the small")
})

/** The largest fill, found by trying: blocks one by one on the devices with the most free space. */
function filledGreedily(capacities: readonly number[], shards: number): number {
  const left = [...capacities]
  for (let blocks = 0; ; blocks += 1) {
    left.sort((a, b) => b - a)
    if ((left[shards - 1] ?? 0) < 1) return blocks
    for (let i = 0; i < shards; i += 1) left[i] = (left[i] ?? 0) - 1
  }
}

test("the ideal agrees with filling block by block", () => {
  const disorder = new Disorder(5)
  for (let round = 0; round < 200; round += 1) {
    const capacities = Array.from({ length: 2 + disorder.below(6) }, () => 1 + disorder.below(200))
    const copies = 1 + disorder.below(capacities.length)
    const ideal = idealUsableBytes(capacities, { kind: "replica", copies })
    assert.equal(ideal, filledGreedily(capacities, copies), `${capacities.join(" ")} × ${copies}`)
  }
})

test("95 % of the ideal is usable with unequal disks", () => {
  const disorder = new Disorder(1)
  let worst = 1
  for (let round = 0; round < runsOf(120); round += 1) {
    const capacities = Array.from({ length: 2 + disorder.below(13) }, () => 10 ** (11 + 2 * disorder.fraction()))
    const policy = defaultPolicy(1 + disorder.below(capacities.length))
    const devices = weighted(weightsFor(capacities))
    const layout = planLayout(devices, shardCount(policy), 1, round % 50 === 0 ? PARTITIONS : 8192)
    const share = usableBytes(layout, capacityMap(capacities), policy) / idealUsableBytes(capacities, policy)
    assert.ok(share >= 0.95 && share <= 1.000_001, `round ${round}: ${share} of ${capacities.join(" ")}`)
    worst = Math.min(worst, share)
  }
  assert.ok(worst > 0.95, String(worst))
})

test("95 % of the ideal is usable even if disks are added one by one", () => {
  const disorder = new Disorder(2)
  for (let round = 0; round < runsOf(5); round += 1) {
    const capacities = Array.from({ length: 12 }, () => 10 ** (11 + 2 * disorder.fraction()))
    const weights = weightsFor(capacities)
    const policy = defaultPolicy(1 + disorder.below(6))
    const width = shardCount(policy)
    let layout: Layout = planLayout(weighted(weights.slice(0, width)), width, 1, 16_384)
    for (let count = width + 1; count <= 12; count += 1) {
      layout = planNext(layout, weighted(weights.slice(0, count)), width, count)
      const present = capacities.slice(0, count)
      const share = usableBytes(layout, capacityMap(present), policy) / idealUsableBytes(present, policy)
      assert.ok(share >= 0.95, `round ${round}, ${count} disks: ${share}`)
    }
  }
})

test("a policy narrower than the layout counts the slots that it uses", () => {
  const layout = planLayout(equal(6), 6)
  const capacities = capacityMap(equal(6).map(() => TB))
  const policy = parsePolicy("replica:2")
  const share = usableBytes(layout, capacities, policy) / (3 * TB)
  assert.ok(share > 0.97 && share <= 1, String(share))
  assert.equal(shardsNeeded(policy), 1)
})

test("a device of unknown capacity limits nothing", () => {
  const layout = planLayout(equal(3), 2)
  assert.equal(usableBytes(layout, new Map(), parsePolicy("replica:2")), Infinity)
  assert.ok(usableBytes(layout, new Map([[deviceId(0), TB]]), parsePolicy("replica:2")) < 1.6 * TB)
})

test("a policy wider than the layout is counted as its blocks are written", () => {
  const capacities = capacityMap(equal(4).map(() => TB))
  const usable = (policy: string, width: number) =>
    usableBytes(planLayout(equal(width), width), capacities, parsePolicy(policy))
  assert.equal(usable("ec:2+2", 3), 2 * TB, "two parts of three where two of four were chosen")
  assert.equal(usable("ec:2+2", 2), TB, "two copies")
  assert.equal(usable("replica:1", 1), TB)
})
