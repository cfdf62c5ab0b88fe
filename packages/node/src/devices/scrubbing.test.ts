/** Every device is verified within its period, a little each day, however often the process starts. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseDeviceId, parseIncarnation, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { NeedleScrub, openVolumes } from "@hayloft/engine/volume/index.js"
import type { Engine } from "../engine.js"
import { DAY_MS, readScrubRecord, SCRUB_PACE, Scrubbing } from "./scrubbing.js"
import { createBucket, Machine, noSignal, sourceOf } from "../testing-engine.js"

const STEP_MS = DAY_MS / 4
const OBJECTS = 60

/** Runs the scrub until it rests. */
async function scrub(machine: Machine, engine: Engine): Promise<void> {
  const job = must(
    engine.jobs.find(({ name }) => name === "scrub"),
    "there is such a job",
  )
  for (let steps = 0; steps < 10_000; steps += 1) {
    if ((await machine.clock.runUntil(job.step(noSignal))) !== "busy") return
  }
  assert.fail("the scrub never rests")
}

test("by default everything is verified within 30 days, a little each day, and a restart loses no progress", async () => {
  const machine = new Machine({ devices: 4 })
  let engine = await machine.open()
  const bucket = await createBucket(engine)
  for (let i = 0; i < OBJECTS; i += 1) {
    const given = { attributes: { headers: {}, userMetadata: [] }, tags: [], conditions: {}, signal: noSignal }
    const body = sourceOf(Buffer.alloc(200 * KIB, `${i} `))
    await machine.clock.runUntil(
      engine.services.objects.put({ ...given, bucket, key: objectKeyOfText(`key ${i}`), body }),
    )
  }
  const heldBytes = engine.devices.reduce((sum, { volumes }) => sum + volumes.usage().writtenBytes, 0)
  let readBytes = 0
  const begunDays = new Map<string, number>()
  const endedDays = new Map<string, number>()
  for (let days = 0; endedDays.size < 4; days += STEP_MS / DAY_MS) {
    assert.ok(days < 34, `after ${days} days ${endedDays.size} devices are verified`)
    if (days % 5 === 0) {
      await machine.clock.runUntil(engine.stop())
      machine.disk.kill()
      engine = await machine.open()
    }
    machine.disk.intercept(call => {
      if (call.kind !== "read" || !call.path.includes("/volumes/")) return
      const thereBytes = (machine.disk.medium.fileAt(call.path)?.current.length ?? 0) - call.offsetBytes
      readBytes += Math.min(call.lengthBytes, Math.max(0, thereBytes))
    })
    await scrub(machine, engine)
    machine.disk.intercept(() => undefined)
    for (const { place, tending } of engine.devices) {
      const { isRunning, passStartedMs } = tending.scrub.view
      if (isRunning && !begunDays.has(place.path)) begunDays.set(place.path, days)
      if (!isRunning && passStartedMs > 0 && !endedDays.has(place.path)) endedDays.set(place.path, days)
    }
    await machine.clock.advance(STEP_MS)
  }
  const begun = [...begunDays.values()]
  assert.ok(Math.max(...begun) <= 3, `they begin within three days: ${begun.join()}`)
  assert.ok(new Set(begun).size > 1, `not all at once: ${begun.join()}`)
  for (const [path, day] of endedDays) {
    const tookDays = day - (begunDays.get(path) ?? 0)
    assert.ok(tookDays >= 20 && tookDays <= 30, `${path} took ${tookDays} days`)
  }
  // Readahead at the end of a step is read once more.
  assert.ok(readBytes >= 0.95 * heldBytes && readBytes <= 1.1 * heldBytes, `${readBytes} of ${heldBytes} bytes`)
})

test("a store that is started every day is verified within its period; each device begins on a different day", async () => {
  const firstDays = new Set<number>()
  for (let number = 1; number <= 8; number += 1) {
    const clock = new SimClock()
    const disk = new SimDisk()
    const deviceId = parseDeviceId(number.toString(16).padStart(16, "0"))
    const aliveSinceMs = clock.wallMs()
    let firstDay: number | undefined
    let isWhole = false
    for (let day = 0; day * DAY_MS < SCRUB_PACE.periodMs; day += 1) {
      const lifetime = disk.boot()
      const rows = new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
      const directory = { folder: "/d/volumes", deviceId, incarnation: parseIncarnation(day + 1) }
      const volumes = await openVolumes(lifetime, rows, directory, undefined)
      const saved = await readScrubRecord(lifetime, "/d")
      const scrub = new NeedleScrub(volumes.upkeep, saved?.state, () => undefined)
      const device = { id: deviceId, path: "/d", disk: lifetime, volumes, aliveSinceMs }
      const scrubbing = new Scrubbing(device, scrub, saved, clock)
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

/** Returns what starts the next process of a device, with its scrub: each step verifies a tenth of the device. */
async function processesOf(clock: SimClock) {
  const disk = new SimDisk()
  const id = parseDeviceId("0123456789abcdef")
  const aliveSinceMs = clock.wallMs()
  const first = disk.boot()
  await first.makeFolder("/d")
  await first.syncFolder("/")
  return async () => {
    disk.kill()
    const lifetime = disk.boot()
    const saved = await readScrubRecord(lifetime, "/d")
    let doneShare = 0
    const scrub = {
      state: { at: undefined, damaged: [] },
      damagesFound: 0,
      isLookingAgain: false,
      get doneShare() {
        return doneShare
      },
      step: async () => {
        doneShare += 0.1
        return doneShare < 0.95 ? ("busy" as const) : ("done" as const)
      },
    }
    const volumes = { usage: () => ({ volumes: 1, writtenBytes: 1_000, liveBytes: 1_000, deadBytes: 0, deadShare: 0 }) }
    return new Scrubbing({ id, path: "/d", disk: lifetime, volumes, aliveSinceMs }, scrub, saved, clock)
  }
}

test("a pass that an operator has requested goes on without rest in the next process, also right after its beginning", async () => {
  const clock = new SimClock()
  const process = await processesOf(clock)
  let scrubbing = await process()
  await scrubbing.startNow()
  scrubbing = await process()
  assert.equal(await scrubbing.step(noSignal), "busy", "a request is kept before its pass has begun")
  for (let restarts = 0; restarts < 3; restarts += 1) {
    scrubbing = await process()
    assert.equal(scrubbing.view.isRunning, true, "the pass goes on")
    assert.equal(await scrubbing.step(noSignal), "busy", "it does not rest")
  }
  while ((await scrubbing.step(noSignal)) === "busy" && scrubbing.view.isRunning);
  const { oldestVerifiedMs, passStartedMs } = scrubbing.view
  assert.equal(oldestVerifiedMs, passStartedMs, "everything was verified since the request")
  scrubbing = await process()
  assert.equal(await scrubbing.step(noSignal), "idle", "the request is done")
})

test("a wall clock that was far ahead for a while, also when the device was made, keeps no pass from going on, nor from beginning", async () => {
  const aheadMs = 400 * DAY_MS
  for (const passesBefore of ["none", "a part", "one"] as const) {
    const clock = new SimClock()
    clock.jumpWall(aheadMs)
    const process = await processesOf(clock)
    const pass = async (scrubbing: Scrubbing, isOver: () => boolean): Promise<void> => {
      for (let days = 0; !isOver(); days += 1) {
        assert.ok(days < 100, `the scrub goes on after ${passesBefore}`)
        while ((await scrubbing.step(noSignal)) === "busy" && !isOver());
        await clock.advance(DAY_MS)
      }
    }
    const before = await process()
    const firstMs = before.view.oldestVerifiedMs
    if (passesBefore === "a part") await pass(before, () => before.view.isRunning)
    if (passesBefore === "one") await pass(before, () => before.view.oldestVerifiedMs !== firstMs)
    clock.jumpWall(-aheadMs)
    const scrubbing = await process()
    let hasBegun = false
    await pass(scrubbing, () => {
      const { isRunning } = scrubbing.view
      hasBegun ||= isRunning
      return hasBegun && !isRunning
    })
  }
})
