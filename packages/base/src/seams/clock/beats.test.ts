/** Everything that rests until a beat wakes in the same moment. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { nextBeat, untilBeatMs } from "./beats.js"
import { SimClock } from "./sim.js"

const never = new AbortController().signal

test("services that began at different times wake in the same moment, once for each beat", async () => {
  const clock = new SimClock()
  const wokenAtMs: number[] = []
  const look = async (periodMs: number): Promise<void> => {
    for (;;) {
      await nextBeat(clock, periodMs, never)
      wokenAtMs.push(clock.monotonicMs())
    }
  }
  await clock.advance(120)
  void look(1_000)
  await clock.advance(210)
  void look(1_000)
  await clock.advance(400)
  void look(500)
  await clock.advance(1_300)
  assert.deepEqual(wokenAtMs, [1_000, 1_000, 1_000, 1_500, 2_000, 2_000, 2_000])
})

test("a timer that rings a little early does not make one beat two", () => {
  assert.equal(untilBeatMs({ monotonicMs: () => 999.2 }, 1_000), 1_001)
  assert.equal(untilBeatMs({ monotonicMs: () => 1_000 }, 1_000), 1_000)
  assert.equal(untilBeatMs({ monotonicMs: () => 1_003.4 }, 1_000), 997)
})
