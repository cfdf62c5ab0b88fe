/** New folders that failed at a start become devices once their disk works. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { LeftOut } from "./left-out.js"

const MINUTE_MS = 60_000

test("a folder that failed at the start is added once its disk works; until then it is tried ever more seldom", async () => {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const devices = new Set<string>(["/known"])
  let [isBroken, tries] = [true, 0]
  const add = async (path: string): Promise<void> => {
    tries += 1
    if (isBroken) throw fail("deviceFailed", { message: "the device did not finish a call" })
    devices.add(path)
  }
  const job = new LeftOut(["/known", "/new"], {
    clock,
    log: telemetry.log,
    isDevice: path => devices.has(path),
    add,
  })
  for (let minutes = 0; minutes < 60; minutes += 1) {
    await job.step()
    await clock.advance(MINUTE_MS)
  }
  assert.ok(tries >= 6 && tries <= 10, `${tries} tries within an hour`)
  assert.equal(job.progress(), "1 new folder left out")
  assert.equal(telemetry.entries("folder_still_left_out").length, 1, "the same reason is told once")
  isBroken = false
  await clock.advance(15 * MINUTE_MS)
  assert.equal(await job.step(), "busy")
  assert.ok(devices.has("/new"))
  assert.equal(await job.step(), "idle")
  assert.equal(job.progress(), "no new folder is left out")
})
