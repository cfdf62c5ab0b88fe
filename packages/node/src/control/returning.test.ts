/** Tests of what the job that takes devices back reports to an operator. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Returning } from "./returning.js"
import { deviceEntry } from "./testing-record.js"

test("a device that cannot return is a warning once for each reason", async () => {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  let reason = "the folder is another device"
  const takeBack = (): Promise<never> => Promise.reject(fail("foreignFolder", { message: reason }))
  const returning = new Returning(() => [deviceEntry(1, "offline")], takeBack, clock, telemetry.log)
  const tryForHours = async (hours: number): Promise<void> => {
    for (let minute = 0; minute < 60 * hours; minute += 1) {
      await returning.step()
      await clock.advance(60_000)
    }
  }
  const reasons = () => telemetry.entries("device_cannot_return_yet").map(({ fields }) => fields["reason"])
  await tryForHours(2)
  assert.deepEqual(reasons(), [reason])
  reason = "no space"
  await tryForHours(2)
  assert.deepEqual(reasons(), ["the folder is another device", reason])
})
