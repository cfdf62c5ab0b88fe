/** Limits of one account or key, in virtual time: what passes, what is refused, what waits. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import type { RateLimits } from "@hayloft/engine/format/accounts/rate-limits.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { HolderRates, RATE_BOUNDS } from "./rate-limits-core.js"

const NONE: RateLimits = { requestsPerSecond: undefined, burst: undefined, bytesPerSecond: undefined }
const never = (): void => assert.fail("it does not wait")

function ratesOf(limits: Partial<RateLimits>, nodes = 1): HolderRates {
  const rates = new HolderRates()
  rates.setLimits({ ...NONE, ...limits }, nodes, 0)
  return rates
}

function passed(rates: HolderRates, nowMs: number, tries: number): number {
  let count = 0
  for (let i = 0; i < tries; i += 1) {
    if (rates.untilRequest(nowMs) > 0) continue
    rates.countRequest(nowMs)
    count += 1
  }
  return count
}

test("a burst passes at once, then as many requests as the limit allows, and the time until the next is right", () => {
  const rates = ratesOf({ requestsPerSecond: 10, burst: 30 })
  assert.equal(passed(rates, 0, 100), 30)
  assert.equal(rates.untilRequest(0), 100)
  assert.equal(passed(rates, 99, 100), 0)
  assert.equal(passed(rates, 100, 100), 1)
  assert.equal(passed(rates, 1_100, 100), 10)
  assert.equal(passed(rates, 100_000, 100), 30, "a pause earns no more than the burst")
})

test("nodes divide the limit, and a node may always let one request pass", () => {
  assert.equal(passed(ratesOf({ requestsPerSecond: 9 }, 3), 0, 100), 3)
  const rates = ratesOf({ requestsPerSecond: 1 }, 3)
  assert.equal(passed(rates, 0, 5), 1)
  assert.equal(Math.round(rates.untilRequest(0)), 3_000)
})

for (const seed of [1, 2, 3]) {
  test(`no window of time exceeds the limit of requests (seed ${seed})`, () => {
    const random = new SimRandom(seed)
    const rates = ratesOf({ requestsPerSecond: 50, burst: 7 })
    const times: number[] = []
    for (let nowMs = 0; nowMs < 20_000; nowMs += random.below(40)) {
      for (let i = passed(rates, nowMs, random.below(12)); i > 0; i -= 1) times.push(nowMs)
    }
    for (let i = 0; i < times.length; i += 1) {
      for (let j = i; j < times.length; j += 1) {
        const spanMs = must(times[j], "it passed") - must(times[i], "it passed")
        assert.ok(j - i + 1 <= 7 + spanMs / 20 + 1e-6, `${j - i + 1} in ${spanMs} ms`)
      }
    }
  })
}

/** Moves pieces of `sizes` at 1,000 bytes a second; returns when each one moved. */
function move(rates: HolderRates, sizes: readonly number[], untilMs: number): number[] {
  const moved: number[] = []
  let nowMs = 0
  for (const bytes of sizes) {
    if (rates.move(bytes, nowMs, () => void moved.push(nowMs)) === undefined) moved.push(nowMs)
  }
  while (nowMs < untilMs) {
    const waitMs = rates.untilWake(nowMs)
    if (waitMs === undefined) break
    nowMs += waitMs
    rates.wake(nowMs)
  }
  return moved
}

test("bytes wait, in the order in which they asked, and none is refused", () => {
  const rates = ratesOf({ bytesPerSecond: 1_000 })
  assert.deepEqual(move(rates, [500, 500, 500, 5_000, 100], 60_000), [0, 0, 0, 500, 5_500])
  assert.equal(rates.paced, 2)
  assert.equal(rates.refused, 0)
})

test("a piece whose client has gone moves no bytes and holds up nobody", () => {
  const rates = ratesOf({ bytesPerSecond: 1_000 })
  assert.equal(rates.move(2_000, 0, never), undefined)
  const cancel = rates.move(1_000_000, 0, never)
  let moved = false
  rates.move(10, 0, () => (moved = true))
  must(cancel, "it waits")()
  rates.wake(1_000)
  assert.ok(moved)
  assert.equal(rates.waiting, 0)
})

test("while bytes wait, few requests are under way; the others begin as these end", () => {
  const rates = ratesOf({ bytesPerSecond: 1_000 })
  assert.equal(rates.begin(0, never), undefined)
  assert.equal(rates.move(10_000, 0, never), undefined)
  let begun = 1
  for (let i = 0; i < 40; i += 1) {
    if (rates.begin(0, () => (begun += 1)) === undefined) begun += 1
  }
  assert.equal(begun, RATE_BOUNDS.activeMax)
  rates.end(0)
  assert.equal(begun, RATE_BOUNDS.activeMax + 1)
  rates.wake(8_999)
  assert.equal(begun, RATE_BOUNDS.activeMax + 1)
  // Slow readers keep all active requests: others begin all the same once no bytes wait, one after the other.
  rates.wake(9_000)
  assert.equal(begun, RATE_BOUNDS.activeMax + 2)
  assert.equal(rates.untilWake(9_000), RATE_BOUNDS.beginEveryMs)
  for (let i = 0; i < begun; i += 1) rates.end(9_000)
  while (rates.waiting > 0) rates.wake(9_000)
  for (; begun > RATE_BOUNDS.activeMax + 2; begun -= 1) rates.end(9_000)
  assert.equal(rates.waiting, 0)
})

test("requests that wait to begin are limited", () => {
  const rates = ratesOf({ bytesPerSecond: 1 })
  rates.move(1_000, 0, never)
  const beginning = RATE_BOUNDS.activeMax + RATE_BOUNDS.beginningMax
  for (let i = 0; i < beginning; i += 1) {
    assert.equal(rates.untilRequest(0), 0)
    rates.begin(0, never)
  }
  assert.ok(rates.untilRequest(0) > 0)
})

test("a changed limit keeps what was used, at the new rate", () => {
  const rates = ratesOf({ bytesPerSecond: 1 })
  rates.move(1_001_000, 0, never)
  const moved: number[] = []
  rates.move(1, 0, () => void moved.push(1))
  assert.equal(rates.setLimits({ ...NONE, bytesPerSecond: 1_000_000 }, 1, 0), true)
  rates.wake(0.9)
  assert.deepEqual(moved, [])
  rates.wake(1.1)
  assert.deepEqual(moved, [1])
})
