/** Everything on a device is verified in its time, however often the process starts. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, parseIncarnation, parseLogSequence } from "../../base/ids.js"
import { Rows } from "../../device/index.js"
import { SimClock } from "../../seams/clock/sim.js"
import { SimDisk } from "../../seams/disk/index.js"
import { MemoryStores } from "../../seams/store/memory.js"
import { NeedleScrub, openVolumes } from "../../volume/index.js"
import { DAY_MS, readScrubRecord, SCRUB_PACE, Scrubbing } from "./scrubbing.js"

const noSignal = new AbortController().signal

test("a store that is started every day is verified within its period, each device from a day of its own on", async () => {
  const firstDays = new Set<number>()
  for (let number = 1; number <= 8; number += 1) {
    const clock = new SimClock()
    const disk = new SimDisk()
    const deviceId = parseDeviceId(number.toString(16).padStart(16, "0"))
    const aliveSinceMs = clock.wallMs()
    let firstDay: number | undefined
    let isWhole = false
    for (let day = 0; day * DAY_MS < SCRUB_PACE.periodMs; day += 1) {
      const life = disk.boot()
      const rows = new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
      const home = { folder: "/d/volumes", deviceId, incarnation: parseIncarnation(day + 1) }
      const volumes = await openVolumes(life, rows, home, undefined)
      const saved = await readScrubRecord(life, "/d")
      const scrub = new NeedleScrub(volumes.upkeep, saved?.state, () => undefined)
      const scrubbing = new Scrubbing(deviceId, life, "/d", volumes, scrub, saved, aliveSinceMs, clock)
      for (let step = 0; step < 24; step += 1) {
        await scrubbing.step(noSignal)
        if (scrubbing.view.passStartedMs > 0) firstDay ??= day
        isWhole ||= scrubbing.view.oldestVerifiedMs > aliveSinceMs
        await clock.advance(DAY_MS / 24)
      }
      disk.kill()
    }
    assert.ok(firstDay !== undefined && firstDay <= SCRUB_PACE.offsetShare * 30, `first looked at on day ${firstDay}`)
    assert.ok(isWhole, "the pass has ended")
    firstDays.add(firstDay)
  }
  assert.ok(firstDays.size > 1, "not all of them at once")
})
