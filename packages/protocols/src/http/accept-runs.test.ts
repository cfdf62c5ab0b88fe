/** Runs of accepts, in turns that the test ends. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { AcceptRuns } from "./accept-runs.js"

/** Calls at the end of a turn that are made at the end of a turn are for the next one, as with `setImmediate`. */
class TurnClock {
  nowMs = 0
  private calls: (() => void)[] = []
  readonly monotonicMs = (): number => this.nowMs
  readonly atEndOfTurn = (call: () => void): void => void this.calls.push(call)

  endTurn(tookMs: number): void {
    this.nowMs += tookMs
    const { calls } = this
    this.calls = []
    for (const call of calls) call()
  }
}

/** By turn of 1 ms: whether it accepts a connection; returns whether work is held in it. */
function heldIn(turns: readonly boolean[]): readonly boolean[] {
  const clock = new TurnClock()
  const runs = new AcceptRuns(clock)
  return turns.map(accepts => {
    if (accepts) runs.note()
    const isHeld = runs.holds(clock.nowMs)
    clock.endTurn(1)
    return isHeld
  })
}

const times = (count: number, value: boolean): boolean[] => Array.from({ length: count }, () => value)

test("work waits from the fourth turn in a row on that accepts a connection, until one accepts none", () => {
  const held = heldIn([...times(10, true), ...times(3, false), ...times(4, true)])
  assert.deepEqual(held, [...times(3, false), ...times(8, true), ...times(5, false), true])
})

test("connections that come in every other turn hold nothing", () => {
  assert.ok(!heldIn(Array.from({ length: 100 }, (_, i) => i % 2 === 0)).includes(true))
})

test("however long connections keep coming, work goes on in half of the time", () => {
  const held = heldIn(times(1_000, true))
  const share = held.filter(Boolean).length / held.length
  assert.ok(share > 0.4 && share < 0.6, `${share}`)
  assert.ok(held.slice(3, 103).every(Boolean), "first the connections")
})

test("several connections of one turn count once", () => {
  const clock = new TurnClock()
  const runs = new AcceptRuns(clock)
  for (let i = 0; i < 10; i += 1) runs.note()
  assert.equal(runs.holds(clock.nowMs), false)
})
