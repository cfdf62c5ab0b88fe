/** When ports close, and what signals mean to a process. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { endingAfter, portSignals } from "./shutdown.js"
import { StopSignals } from "./stop-signals.js"

function begun(drainMs: number, stopMs: number) {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const exits: number[] = []
  const signals = new StopSignals(clock, () => exits.push(clock.monotonicMs()))
  const { closing, cut } = portSignals({ clock, log: telemetry.log }, signals, { drainMs, stopMs })
  return { clock, telemetry, exits, signals, state: () => [closing.aborted, cut.aborted] }
}

test("ports stay open for the drain; then requests have their time", async () => {
  const { clock, telemetry, signals, state } = begun(10_000, 30_000)
  await clock.advance(60_000)
  assert.deepEqual(state(), [false, false])
  signals.take()
  await clock.advance(9_999)
  assert.deepEqual(state(), [false, false], "still served")
  await clock.advance(1)
  assert.deepEqual(state(), [true, false])
  await clock.advance(29_999)
  assert.deepEqual(state(), [true, false])
  await clock.advance(1)
  assert.deepEqual(state(), [true, true])
  assert.deepEqual(telemetry.entries("stopping")[0]?.fields, { drainSeconds: 10, stopTimeoutSeconds: 30 })
})

test("a second signal ends every wait, a third one the process; npm's copy of a Ctrl-C is not a second one", async () => {
  const { clock, exits, signals, state } = begun(10_000, 30_000)
  signals.beginServing()
  signals.take()
  await clock.advance(900)
  signals.take()
  await clock.advance(200)
  assert.deepEqual(state(), [false, false])
  signals.take()
  await clock.advance(0)
  assert.deepEqual([state(), exits], [[true, true], []])
  await clock.advance(500)
  signals.take()
  assert.deepEqual(exits, [])
  await clock.advance(501)
  signals.take()
  assert.deepEqual(exits, [2_101])
})

test("a second signal ends a process that serves nobody", async () => {
  const { clock, exits, signals } = begun(0, 30_000)
  signals.take()
  await clock.advance(1_001)
  signals.take()
  assert.deepEqual(exits, [1_001])
})

test("a service that ends after others runs until they have ended", async () => {
  const clock = new SimClock()
  const events: string[] = []
  const inner = {
    name: "admin",
    run: async (signal: AbortSignal) => {
      await clock.sleep(1e9, signal)
      events.push(`ended at ${clock.monotonicMs()}`)
    },
  }
  const stop = new AbortController()
  const running = endingAfter(inner, clock.sleep(500, new AbortController().signal)).run(stop.signal)
  await clock.advance(100)
  stop.abort()
  await clock.advance(399)
  assert.deepEqual(events, [])
  await clock.advance(1)
  await running
  assert.deepEqual(events, ["ended at 500"])
})
