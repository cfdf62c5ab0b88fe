/**
 * Tests that the work left out by a start during a halt is done after it, once, and that whatever prevents it is
 * reported.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import type { Halt } from "@hayloft/engine/metadata/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { afterHalt } from "./after-halt.js"

test("a failing beginning is repeated until it succeeds, and logged once", async () => {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const metadata: { halt: Halt | undefined } = {
    halt: { number: 1, reason: "rolled back", highest: parseIncarnation(1), live: [] },
  }
  let begun = 0
  const begin = async (): Promise<void> => {
    begun += 1
    if (begun < 4) throw fail("keysUnavailable")
  }
  const stop = new AbortController()
  const running = afterHalt(metadata, { clock, log: telemetry.log }, begin).run(stop.signal)
  await clock.advance(10_000)
  assert.equal(begun, 0, "the store is halted")
  metadata.halt = undefined
  await clock.advance(20_000)
  assert.equal(begun, 4)
  assert.equal(telemetry.entries("start_after_halt_failed").length, 1)
  stop.abort()
  await clock.runUntil(running)
})
