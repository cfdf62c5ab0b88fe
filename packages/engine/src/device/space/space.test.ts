/** Devices that fill up: which writes are accepted, which space is reserved, and which requests get it back. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Ballast, Noise, dropBallast } from "./ballast.js"
import { logBytesMaxWhenShort, SPACE_LIMITS } from "@hayloft/base/space/space-core.js"
import { Spaces, type DeviceSpace } from "./space.js"

/** A reserve of 160 KiB in files of 10 KiB. */
const LIMITS = {
  ...SPACE_LIMITS,
  reserveBytesMin: 160 * KIB,
  fullBytes: 4 * KIB,
  ballastPieceBytes: 4 * KIB,
  ballastPiecesPerCheck: 64,
}
const CAPACITY = 1024 * KIB
const isFull = (error: unknown): boolean => isFailure(error, "deviceFull")

async function scene(folders: readonly string[] = ["/d"]) {
  const sim = new SimDisk(undefined, { capacityBytes: CAPACITY })
  const clock = new SimClock()
  const disk = sim.boot()
  const spaces = new Spaces(clock, new SimRandom(1), new SimTelemetry().log, LIMITS)
  const opened: DeviceSpace[] = []
  for (const folder of folders) {
    await disk.makeFolder(folder)
    opened.push(await spaces.open(folder, disk, folder, true))
  }
  const stop = new AbortController()
  const running = Promise.all(opened.map(space => space.run(stop.signal)))
  const [space] = opened
  assert.ok(space)
  const fill = async (name: string, bytes: number) => {
    const file = await space.disk.open(`/d/${name}`, "create")
    await file.write([new Uint8Array(bytes)], 0)
    return file
  }
  const end = async () => {
    stop.abort()
    await clock.runUntil(running)
    for (const each of opened) await each.close()
  }
  return { sim, clock, disk, spaces, opened, space, fill, end }
}

test("the ballast is written in the background until the reserve is whole, once for each file system", async () => {
  const { sim, clock, opened, end } = await scene(["/d", "/e"])
  await clock.advance(LIMITS.checkEveryMs + 1)
  for (const space of opened) {
    assert.equal(space.fullness.ballastBytes, 160 * KIB)
    assert.equal(space.fullness.usableBytes, CAPACITY - 160 * KIB)
  }
  assert.equal(sim.medium.usedBytes, 160 * KIB)
  assert.ok(sim.medium.namesIn("/d/ballast").length > 0 && sim.medium.namesIn("/e/ballast").length > 0)
  await end()
})

test("bytes written since the last check count, and so do pending ones", async () => {
  const { space, fill, end } = await scene()
  assert.equal(space.fullness.usableBytes, CAPACITY - 160 * KIB)
  await fill("a", 400 * KIB)
  assert.equal(space.fullness.usableBytes, CAPACITY - 560 * KIB)
  space.addPending(() => 64 * KIB)
  assert.equal(space.fullness.usableBytes, CAPACITY - 624 * KIB)
  assert.ok(space.mayTakeNeedles(400 * KIB) && !space.mayTakeNeedles(401 * KIB))
  assert.ok(space.mayTakeMetadata(480 * KIB) && !space.mayTakeMetadata(481 * KIB))
  await space.check()
  assert.equal(space.fullness.usableBytes, CAPACITY - 624 * KIB, "counted once")
  await end()
})

test("a log is too long from a share of the reserve on, but only once the disk is full", async () => {
  const { space, fill, end } = await scene()
  const long = logBytesMaxWhenShort(160 * KIB, LIMITS)
  assert.deepEqual([space.isLogTooLong(long), space.isLogTooLong(CAPACITY)], [false, false])
  await fill("a", CAPACITY - 160 * KIB)
  assert.deepEqual([space.isLogTooLong(long - 1), space.isLogTooLong(long)], [false, true])
  await end()
})

test("a full disk is noticed, by a check at the latest, and is used again once there is space", async () => {
  const { sim, space, clock, end } = await scene()
  sim.capacityBytes = 100 * KIB
  assert.ok(space.mayTakeNeedles(100 * KIB), "before the next check")
  await clock.advance(LIMITS.checkEveryMs + 1)
  assert.ok(!space.mayTakeNeedles(100 * KIB))
  await assert.rejects(async () => space.spaceForMetadata(100 * KIB), isFull)
  sim.capacityBytes = CAPACITY
  await clock.advance(200)
  await space.spaceForMetadata(100 * KIB)
  assert.equal(space.fullness.level, "enough")
  await end()
})

test("ballast is given back to a write that finds no space, and grows again later when there is some", async () => {
  const { sim, clock, disk, space, fill, end } = await scene()
  await clock.advance(LIMITS.checkEveryMs + 1)
  const taken = await fill("others", CAPACITY - 160 * KIB)
  assert.equal((await disk.space("/d")).freeBytes, 0)
  assert.equal(space.fullness.level, "full")
  await fill("checkpoint", 60 * KIB)
  assert.ok(space.fullness.ballastBytes >= 80 * KIB)
  assert.equal(space.fullness.level, "full")
  await fill("log", 60 * KIB)
  assert.equal(space.fullness.level, "critical")
  assert.ok(!space.mayTakeMetadata())
  await assert.rejects(fill("too much", 60 * KIB), isFull)
  assert.equal(space.fullness.ballastBytes, 0)
  await taken.truncate(0)
  await clock.advance(LIMITS.regrowMs + 2 * LIMITS.checkEveryMs)
  assert.equal(space.fullness.ballastBytes, 160 * KIB)
  assert.equal(space.fullness.level, "enough")
  assert.ok(sim.medium.usedBytes < CAPACITY / 2)
  await end()
})

test("ballast is given back only on request, and grows only where others keep space", async () => {
  const { sim, clock, space, end } = await scene()
  sim.capacityBytes = 100 * KIB
  await clock.advance(10 * LIMITS.checkEveryMs)
  const { ballastBytes, reserveBytes } = space.fullness
  assert.equal(reserveBytes, 25 * KIB)
  assert.equal(ballastBytes, 25 * KIB)
  sim.capacityBytes = 26 * KIB
  await clock.advance(10 * LIMITS.checkEveryMs)
  assert.equal(space.fullness.ballastBytes, 25 * KIB, "also where the disk is full of what is not ours")
  await end()
})

test("a quota that the file system does not report is learned from the write that finds no space, and its end too", async () => {
  const { sim, clock, space, fill, end } = await scene()
  await clock.advance(LIMITS.checkEveryMs + 1)
  let quotaBytes = 400 * KIB
  sim.intercept(call => {
    const grows = call.kind === "write" && sim.medium.usedBytes > quotaBytes
    if (grows) throw fail("deviceFull", { code: "EDQUOT" })
  })
  await fill("first", 200 * KIB)
  assert.equal(space.fullness.level, "enough")
  await fill("second", 60 * KIB).catch(() => undefined)
  assert.ok(!space.mayTakeNeedles(100 * KIB), "although the file system calls half of itself free")
  quotaBytes = Infinity
  await clock.advance(LIMITS.regrowMs + 2 * LIMITS.checkEveryMs)
  assert.ok(space.mayTakeNeedles(100 * KIB))
  await end()
})

test("space that becomes free just after a write found none is not taken for a quota", async () => {
  const { sim, clock, space, fill, end } = await scene()
  await clock.advance(LIMITS.checkEveryMs + 1)
  let isFull = true
  sim.intercept(call => {
    if (!isFull || call.kind !== "write") return
    isFull = false
    throw fail("deviceFull", { code: "ENOSPC" })
  })
  await fill("first", 60 * KIB)
  assert.ok(!isFull)
  assert.equal(space.fullness.level, "enough")
  assert.ok(space.mayTakeNeedles(500 * KIB))
  assert.ok(sim.medium.usedBytes <= 220 * KIB, "the ballast is no larger than before")
  await end()
})

test("work that needs more than is free is refused once the ballast is given back, however often it asks", async () => {
  const { clock, space, end } = await scene()
  await clock.advance(LIMITS.checkEveryMs + 1)
  let times = 0
  while (times < 100 && (await space.giveBack(4 * KIB))) times += 1
  assert.ok(times > 0 && times <= 160 / 4, `${times} times`)
  assert.equal(space.fullness.ballastBytes, 0)
  await end()
})

test("ballast of an earlier process is ballast, and a start without space gives one file back", async () => {
  const { sim, clock, disk, spaces, end } = await scene()
  await clock.advance(LIMITS.checkEveryMs + 1)
  await end()
  const space = await spaces.open("/d", disk, "/d", true)
  assert.equal(space.fullness.ballastBytes, 160 * KIB)
  await space.close()
  sim.capacityBytes = sim.medium.usedBytes
  assert.ok(await dropBallast(disk, "/d"))
  assert.ok((await disk.space("/d")).freeBytes >= 10 * KIB)
  await disk.makeFolder("/none")
  assert.equal(await dropBallast(disk, "/none"), false)
})

test("one of two devices on a file system that is taken offline leaves the other its space", async () => {
  const { clock, opened, end } = await scene(["/d", "/e"])
  await clock.advance(LIMITS.checkEveryMs + 1)
  const [gone, left] = opened
  assert.ok(gone && left)
  await gone.close()
  await clock.advance(5 * LIMITS.checkEveryMs)
  assert.equal(left.fullness.ballastBytes, 160 * KIB)
  assert.ok(left.mayTakeNeedles(100 * KIB))
  await end()
})

test("ballast of a disk that was taken out is not written to the disk below, where its folder was", async () => {
  const disk = new SimDisk().boot()
  const ballast = await Ballast.open(disk, "/gone", new Noise(new SimRandom(1)))
  await assert.rejects(ballast.grow(4 * KIB, 10 * KIB), error => isFailure(error, "deviceFailed"))
  assert.equal(await disk.exists("/gone"), false)
})
