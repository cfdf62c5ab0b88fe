import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "./testing-properties.js"
import { ClientPace } from "./pace.js"

test("only waiting counts, and a window is checked once it is over", () => {
  const pace = new ClientPace(1000, 10_000)
  pace.wait(0)
  assert.equal(pace.isTooSlow(9_999), false)
  pace.moved(10_000)
  assert.equal(pace.isTooSlow(10_000), false, "just fast enough")
  pace.moved(9_999)
  assert.equal(pace.isTooSlow(20_000), true, "the next window starts from nothing")
  pace.rest(20_000)
  assert.equal(pace.isTooSlow(1_000_000), false, "we were the slow ones")
})

test("a window in which the process was suspended does not count against the client", () => {
  const pace = new ClientPace(1000, 10_000)
  pace.wait(0)
  assert.equal(pace.isTooSlow(1_000), false)
  assert.equal(pace.isTooSlow(60_000), false, "the machine slept")
  assert.equal(pace.isTooSlow(69_999), false)
  assert.equal(pace.isTooSlow(70_000), true, "nothing came after it either")
})

test("a client at twice the pace is never cut, one at half of it always is", () => {
  const steps = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 60, maxLength: 120 })
  fc.assert(
    fc.property(steps, fc.constantFrom(0.5, 2), (durations, factor) => {
      const pace = new ClientPace(1000, 5000)
      let nowMs = 0
      let cut = false
      for (const durationMs of durations) {
        pace.wait(nowMs)
        nowMs += durationMs
        pace.moved(durationMs * factor)
        cut ||= pace.isTooSlow(nowMs)
        pace.rest(nowMs)
        nowMs += 1000
      }
      assert.equal(cut, factor < 1 && durations.reduce((sum, durationMs) => sum + durationMs, 0) >= 5000)
    }),
  )
})
