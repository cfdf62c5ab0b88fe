/** Rot is found before a reader finds it, reported once, and dropped once it is rebuilt. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { waitIfSlow } from "./contract.js"
import { decodeNeedlePlace, needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import type { NeedleScrubState } from "../format/device/needle-scrub.js"
import { decodeNeedleScrub, encodeNeedleScrub } from "../format/device/needle-scrub.js"
import { DISK_PAGE_BYTES } from "@hayloft/base/seams/disk/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Needle, NeedleId } from "./contract.js"
import { CompactedDevice, MapRows, needleFor, needleIdFor } from "./testing-volumes.js"
import { NEEDLE_SCRUB_LIMITS, VOLUME_LIMITS } from "./limits.js"
import { NeedleScrub } from "./needle-scrub.js"
import { VolumeUpkeep } from "./upkeep.js"

const SMALL = { ...VOLUME_LIMITS, volumeBytesMax: 128 * KIB, filesOpenMax: 3 }
const STEPS = { ...NEEDLE_SCRUB_LIMITS, stepBytes: 20 * KIB, stepNeedlesMax: 9, stepRowsMax: 6 }
const signal = new AbortController().signal
const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(28)) }

const needle = (number: number): Needle => needleFor(number, 4000 + 64 * (number % 7), new SimRandom(number))
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const ids = (...which: number[]): NeedleId[] => which.map(number => needleIdFor(number))

async function device(count: number): Promise<CompactedDevice> {
  const world = await new CompactedDevice(SMALL).start()
  for (let i = 1; i <= count; i += 8) {
    await Promise.all(numbers(i, Math.min(i + 7, count)).map(number => world.volumes.append(needle(number))))
  }
  await world.checkpoint()
  return world
}

interface Running {
  readonly scrub: NeedleScrub
  readonly found: NeedleId[]
}

function begun(world: CompactedDevice, saved?: NeedleScrubState): Running {
  const found: NeedleId[] = []
  return { found, scrub: new NeedleScrub(world.volumes.upkeep, saved, id => void found.push(id), STEPS) }
}

async function pass({ scrub }: Running): Promise<number> {
  for (let steps = 1; steps < 5000; steps += 1) if ((await scrub.step(signal)) === "done") return steps
  return assert.fail("a pass has no end")
}

const placeOf = (world: CompactedDevice, number: number) =>
  decodeNeedlePlace(world.rows.get("needles", needleKeyOf(needleIdFor(number)))?.value ?? assert.fail("lost"))
const pathOf = (volume: number): string => `/device/volumes/${String(volume).padStart(10, "0")}.volume`

function rot(world: CompactedDevice, number: number, byteOfNeedle: number | "body"): void {
  const { volume, offsetBytes, headerBytes } = placeOf(world, number)
  const byte = offsetBytes + (byteOfNeedle === "body" ? headerBytes + 2000 : byteOfNeedle)
  world.sim.flipBit(pathOf(volume), 8 * byte + 3)
}

test("a pass reads every live needle once, and dead ones not at all", async () => {
  const world = await device(100)
  rot(world, 33, "body")
  await world.volumes.remove(ids(33, 34, 35))
  const running = begun(world)
  const steps = await pass(running)
  assert.ok(steps > 20, `${steps} steps are not small ones`)
  assert.deepEqual(running.found, [])
  assert.equal(running.scrub.verifiedBytes, world.volumes.usage().liveBytes)
  const once = running.scrub.verifiedBytes
  await pass(running)
  assert.equal(running.scrub.verifiedBytes, 2 * once)
})

test("rot is reported, needle by needle, whatever it hit", async () => {
  const world = await device(100)
  rot(world, 5, "body")
  rot(world, 42, 30)
  // The header of its group: the needles of the group are whole.
  rot(world, 65, -30)
  rot(world, 100, "body")
  const running = begun(world)
  await pass(running)
  assert.deepEqual(new Set(running.found), new Set(ids(5, 42, 100)))
  assert.equal(running.found.length, 3)
  assert.equal(running.scrub.damagesFound, 3)
  for (const number of [5, 42, 100]) assert.equal(world.volumes.has(needleIdFor(number)), false)
  for (const number of [4, 41, 43, 44, 65, 66, 72]) assert.ok(world.volumes.has(needleIdFor(number)))
})

test("a rebuilt needle is good again, in the next pass and after restarts, with and without a metadata store", async () => {
  const world = await device(60)
  rot(world, 5, "body")
  rot(world, 17, 30)
  rot(world, 18, 30)
  const running = begun(world)
  await pass(running)
  assert.equal(running.found.length, 3)
  for (const number of [5, 17, 18]) await world.volumes.append(needle(number))
  running.found.length = 0
  await pass(running)
  assert.deepEqual(running.found, [])
  assert.deepEqual(running.scrub.state.damaged, [])
  for (const withBase of [true, false]) {
    await world.stop()
    if (!withBase) {
      world.base = new MapRows()
      world.mark = undefined
    }
    await world.start()
    for (const number of numbers(1, 60)) {
      const { id, body } = needle(number)
      assert.ok(world.volumes.has(id), `needle ${number}`)
      const found = await world.volumes.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow)
      assert.ok(Buffer.from(body).equals(found))
    }
  }
})

test("a pass continues after a restart, and verifies the bad needles first", async () => {
  const world = await device(100)
  rot(world, 5, "body")
  rot(world, 90, "body")
  let saved: NeedleScrubState | undefined
  const found: NeedleId[] = []
  let [incarnations, verified] = [0, 0]
  for (let isOver = false; !isOver; incarnations += 1) {
    const running = begun(world, saved)
    assert.equal(running.scrub.isLookingAgain, (saved?.damaged.length ?? 0) > 0)
    for (let step = 0; step < 30 && !isOver; step += 1) isOver = (await running.scrub.step(signal)) === "done"
    assert.equal(running.scrub.isLookingAgain, false)
    found.push(...running.found)
    verified += running.scrub.verifiedBytes
    saved = decodeNeedleScrub(encodeNeedleScrub(running.scrub.state))
    if (!isOver) {
      await world.stop()
      await world.start()
    }
    assert.ok(incarnations < 50)
  }
  assert.ok(incarnations > 2, `${incarnations} lives`)
  assert.ok(
    found.filter(({ uploadId }) => uploadId === needleIdFor(5).uploadId).length >= incarnations - 1,
    "reported in each process",
  )
  assert.equal(world.volumes.has(needleIdFor(5)), false, "and suspect in the last")
  assert.ok(found.some(({ uploadId }) => uploadId === needleIdFor(90).uploadId))
  // Needles on their way when a process ended are read again.
  assert.ok(verified < 1.6 * (world.volumes.usage().liveBytes ?? 0), `${verified} bytes were verified`)
})

test("a needle that is removed while it is read is no damage", async () => {
  const world = await device(20)
  const running = begun(world)
  const waiting = numbers(1, 20)
  for (const number of waiting) rot(world, number, "body")
  const gone = new Set<number>()
  // With each read of bodies the next needle is removed, or replaced by a new copy.
  world.sim.intercept(async call => {
    const next = waiting.find(number => !gone.has(number) && world.volumes.has(needleIdFor(number)))
    if (call.kind !== "read" || next === undefined || running.found.length === 0) return
    gone.add(next)
    if (gone.size % 2 === 0) await world.volumes.remove(ids(next))
    else await world.volumes.append(needle(next))
  })
  await pass(running)
  assert.ok(gone.size > 1, `${gone.size} went`)
  for (const number of gone) assert.ok(!running.found.some(({ uploadId }) => uploadId === needleIdFor(number).uploadId))
})

test("needles of a volume that is gone are missing from the start on, and reported", async () => {
  const world = await device(100)
  const gone = numbers(1, 100).filter(number => placeOf(world, number).volume === 2)
  await world.stop()
  await world.sim.boot().remove(pathOf(2))
  await world.start()
  const listed = Array.from(world.volumes.indexed(ALL), ({ key }) => needleIdOfKey(key))
  assert.deepEqual(new Set(listed), new Set(ids(...numbers(1, 100).filter(number => !gone.includes(number)))))
  const running = begun(world)
  await pass(running)
  assert.deepEqual(new Set(running.found), new Set(ids(...gone)))
  assert.ok(gone.length > 10)
  for (const number of gone) await world.volumes.append(needle(number))
  running.found.length = 0
  await pass(running)
  assert.deepEqual(running.found, [])
})

/** Reads of these bytes of a volume fail with the code. */
function failReads(world: CompactedDevice, volume: number, fromBytes: number, toBytes: number, code: string): void {
  const { upkeep } = world.volumes
  const real = VolumeUpkeep.prototype.fileOf.bind(upkeep)
  upkeep.fileOf = volumeId => {
    const file = real(volumeId)
    return {
      sizeBytes: () => file.sizeBytes(),
      read: async (buffer, at) => {
        const isHit = Number(volumeId) === volume && at < toBytes && at + buffer.length > fromBytes
        if (isHit) throw fail("deviceFailed", { code })
        return file.read(buffer, at)
      },
    }
  }
}

test("an unreadable place costs the needle there; a disk that fails stops the scrub", async () => {
  const world = await device(40)
  const { volume, offsetBytes, headerBytes, bodyBytes } = placeOf(world, 20)
  const [from, to] = [offsetBytes + headerBytes + 10, offsetBytes + headerBytes + bodyBytes - 10]
  failReads(world, volume, from, to, "EIO")
  const running = begun(world)
  await pass(running)
  assert.deepEqual(new Set(running.found), new Set(ids(20)))
  failReads(world, volume, from, to, "ETIMEDOUT")
  await assert.rejects(pass(begun(world)))
})

test("unreadable pages with headers cost the needles in them and nothing behind", async () => {
  const world = await device(40)
  const { volume, offsetBytes } = placeOf(world, 20)
  const page = offsetBytes - (offsetBytes % DISK_PAGE_BYTES)
  failReads(world, volume, page, page + DISK_PAGE_BYTES, "EIO")
  const lost = numbers(1, 40).filter(number => {
    const { headerBytes, bodyBytes, ...at } = placeOf(world, number)
    const end = at.offsetBytes + headerBytes + bodyBytes
    return at.volume === volume && at.offsetBytes < page + DISK_PAGE_BYTES && end > page
  })
  rot(world, 40, "body")
  const running = begun(world)
  await pass(running)
  assert.deepEqual(new Set(running.found), new Set(ids(...lost, 40)))
})

test("beside appends, removals and compaction a pass finds nothing wrong and misses nothing", async () => {
  const world = await device(150)
  const running = begun(world)
  const random = new SimRandom(5)
  let passes = 0
  for (let round = 0; round < 2500 && passes < 15; round += 1) {
    if (round % 40 === 0) {
      const removed = numbers(1, 12).map(() => 1 + random.below(150))
      await world.volumes.remove(ids(...removed))
      await Promise.all(removed.slice(0, 4).map(number => world.volumes.append(needle(number))))
      await world.checkpoint()
      world.nowMs += 2000
    }
    const [outcome] = await Promise.all([running.scrub.step(signal), world.step()])
    if (outcome === "done") passes += 1
  }
  assert.ok(passes >= 2, `${passes} passes`)
  assert.ok(!world.sim.medium.namesIn("/device/volumes").includes("0000000001.volume"), "volumes went meanwhile")
  assert.deepEqual(running.found, [])
  assert.deepEqual(world.damaged, [])
  // Then everything is quiet, one needle rots, and the next pass reports it.
  const left = numbers(1, 150).filter(number => world.volumes.has(needleIdFor(number)))
  const victim = left[7] ?? assert.fail()
  rot(world, victim, "body")
  await pass(running)
  await pass(running)
  assert.deepEqual(running.found[0], needleIdFor(victim))
})
