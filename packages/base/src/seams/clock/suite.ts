/**
 * The tests that every clock must pass. `pass` lets real or simulated time pass.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Clock } from "./contract.js"

interface ClockUnderTest {
  readonly clock: Clock
  pass(durationMs: number): Promise<void>
}

export function clockSuite(kind: string, make: () => ClockUnderTest): void {
  const never = new AbortController().signal

  test(`${kind}: a sleep ends when its time has come, not before`, async () => {
    const { clock, pass } = make()
    const startMs = clock.monotonicMs()
    let wokeAtMs: number | undefined
    const slept = clock.sleep(30, never).then(() => (wokeAtMs = clock.monotonicMs()))
    await pass(5)
    // A real process may have been suspended for longer.
    assert.ok(wokeAtMs === undefined || wokeAtMs - startMs >= 29, `woke after ${String(wokeAtMs)} ms`)
    await pass(60)
    await slept
    assert.ok(wokeAtMs !== undefined && wokeAtMs - startMs >= 29, `woke after ${String(wokeAtMs)} ms`)
  })

  test(`${kind}: sleepers wake in the order of their deadlines`, async () => {
    const { clock, pass } = make()
    const woken: string[] = []
    const sleeps = [
      clock.sleep(40, never).then(() => woken.push("late")),
      clock.sleep(10, never).then(() => woken.push("early")),
    ]
    await pass(80)
    await Promise.all(sleeps)
    assert.deepEqual(woken, ["early", "late"])
  })

  test(`${kind}: a signal ends a sleep immediately and without an error`, async () => {
    const { clock } = make()
    const stop = new AbortController()
    const startMs = clock.monotonicMs()
    const slept = clock.sleep(60_000, stop.signal)
    stop.abort()
    await slept
    await clock.sleep(60_000, stop.signal)
    assert.ok(clock.monotonicMs() - startMs < 5_000)
  })

  test(`${kind}: a call at the end of a turn runs once, after all other work of the turn`, async () => {
    const { clock, pass } = make()
    const done: string[] = []
    clock.atEndOfTurn(() => done.push("end"))
    await Promise.resolve().then(() => done.push("turn"))
    // A turn that was delayed can be longer than that.
    while (done.length < 2) await pass(1)
    await pass(1)
    assert.deepEqual(done, ["turn", "end"])
  })

  test(`${kind}: a sleep of zero or negative length ends`, async () => {
    const { clock, pass } = make()
    const sleeps = [clock.sleep(0, never), clock.sleep(-5, never)]
    await pass(5)
    await Promise.all(sleeps)
  })

  test(`${kind}: an alarm rings once when it is due, and never after it was cancelled`, async () => {
    const { clock, pass } = make()
    const rung: string[] = []
    const callOff = clock.alarm(10, () => rung.push("called off"))
    const tooLate = clock.alarm(10, () => rung.push("in time"))
    clock.alarm(-5, () => rung.push("at once"))
    callOff()
    await pass(40)
    tooLate()
    assert.deepEqual(rung, ["at once", "in time"])
  })

  test(`${kind}: both times advance together`, async () => {
    const { clock, pass } = make()
    const [wallMs, monotonicMs] = [clock.wallMs(), clock.monotonicMs()]
    await pass(20)
    assert.ok(clock.monotonicMs() - monotonicMs >= 19)
    assert.ok(clock.wallMs() - wallMs >= 15)
    assert.ok(clock.wallMs() > Date.UTC(2020, 0, 1), "the wall clock counts from 1970")
  })
}
