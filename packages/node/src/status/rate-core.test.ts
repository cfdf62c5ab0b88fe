import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { Rate } from "./rate-core.js"

const MIB = 1024 * 1024

/** Sees work every 5 s; `stepBytes` returns the bytes done in the 5 s before. */
function seen(totalBytes: number, seconds: number, stepBytes: (atSeconds: number) => number) {
  const rate = new Rate()
  let doneBytes = 0
  for (let at = 0; at <= seconds; at += 5) {
    if (at > 0) doneBytes += stepBytes(at)
    rate.see(at * 1000, { doneBytes, remainingBytes: totalBytes - doneBytes })
  }
  return rate.progress({ doneBytes, remainingBytes: totalBytes - doneBytes })
}

test("the end of uneven work is estimated to within 30 % after a minute", () => {
  const random = new SimRandom(7)
  const bytesPerSecond = 20 * MIB
  const totalBytes = 1200 * bytesPerSecond
  for (let seconds = 60; seconds < 1100; seconds += 65) {
    // Steps of 0 to twice the mean, as with large and small blocks, and busy and idle clients.
    const estimate = seen(totalBytes, seconds, () => (5 * bytesPerSecond * random.below(201)) / 100)
    const trueEnd = estimate.remainingBytes / bytesPerSecond
    const error = Math.abs((estimate.endsInSeconds ?? 0) / trueEnd - 1)
    assert.ok(error < 0.3, `after ${seconds} s: ${estimate.endsInSeconds} s instead of ${trueEnd}`)
  }
})

test("a change of pace shows within three minutes", () => {
  const estimate = seen(10_000 * MIB, 400, at => (at <= 200 ? 50 * MIB : 5 * MIB))
  assert.ok(Math.abs(estimate.bytesPerSecond / MIB - 1) < 0.01, `${estimate.bytesPerSecond / MIB} MiB/s`)
})

test("there is no estimate before ten seconds, without progress, and if nothing remains", () => {
  assert.equal(seen(1000, 5, () => 100).endsInSeconds, undefined)
  assert.equal(seen(1000, 60, () => 0).endsInSeconds, undefined)
  assert.deepEqual(
    seen(200, 10, () => 100),
    { doneBytes: 200, remainingBytes: 0, bytesPerSecond: 0 },
  )
})

test("new work is not measured by earlier work", () => {
  const rate = new Rate()
  rate.see(0, { doneBytes: 1000, remainingBytes: 10 })
  rate.see(20_000, { doneBytes: 1010, remainingBytes: 0 })
  rate.see(500_000, { doneBytes: 1010, remainingBytes: 4000 })
  rate.see(520_000, { doneBytes: 3010, remainingBytes: 2000 })
  assert.deepEqual(rate.progress({ doneBytes: 3010, remainingBytes: 2000 }), {
    doneBytes: 3010,
    remainingBytes: 2000,
    bytesPerSecond: 100,
    endsInSeconds: 20,
  })
  rate.see(530_000, { doneBytes: 100, remainingBytes: 900 })
  assert.equal(rate.bytesPerSecond, 0)
})
