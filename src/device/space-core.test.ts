/** What the reserve is, and who may use it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../base/testing-properties.js"
import { GIB, MIB } from "../base/limits.js"
import {
  ballastFileBytes,
  ballastRoomBytes,
  checkpointRoomBytes,
  copyRoomBytes,
  FillRate,
  remainingBytes,
  logBytesMaxWhenShort,
  mayTakeMetadata,
  mayTakeNeedles,
  mergeRoomBytes,
  reserveOf,
  SPACE_LIMITS,
  usableBytes,
  type SpaceFacts,
} from "./space-core.js"

const facts = (known: Partial<SpaceFacts>): SpaceFacts => ({
  ...{ totalBytes: 10 * GIB, freeBytes: 5 * GIB, grownBytes: 0, owedBytes: 0 },
  ...{ ballastBytes: 0, reserveBytes: 200 * MIB, ...known },
})

test("the reserve is 2 % within its bounds, and small where the folder is no mount point", () => {
  assert.equal(reserveOf(1 * GIB, true), 64 * MIB)
  assert.equal(reserveOf(100 * GIB, true), 2 * GIB)
  assert.equal(reserveOf(16_000 * GIB, true), 8 * GIB)
  assert.equal(reserveOf(16_000 * GIB, false), 64 * MIB)
  assert.equal(reserveOf(100 * MIB, true), 25 * MIB, "most of a tiny disk is for data")
})

test("needles stop where the reserve begins, other new rows at half of it", () => {
  const left = (bytes: number) => facts({ freeBytes: bytes })
  assert.ok(mayTakeNeedles(left(201 * MIB), MIB))
  assert.ok(!mayTakeNeedles(left(201 * MIB), MIB + 1))
  assert.ok(mayTakeMetadata(left(101 * MIB), MIB))
  assert.ok(!mayTakeMetadata(left(101 * MIB), MIB + 1))
})

test("copies leave what a checkpoint needs, and rows stop long before that", () => {
  const roomWith = (bytes: number) => copyRoomBytes(facts({ freeBytes: bytes }), SPACE_LIMITS)
  assert.equal(checkpointRoomBytes(200 * MIB), 25 * MIB)
  assert.equal(roomWith(100 * MIB), 75 * MIB)
  assert.equal(roomWith(24 * MIB), 0)
  assert.equal(logBytesMaxWhenShort(64 * MIB, SPACE_LIMITS), 4 * MIB)
  assert.equal(logBytesMaxWhenShort(4 * MIB, SPACE_LIMITS), SPACE_LIMITS.logBytesMinWhenShort)
})

test("a merge step leaves what the next checkpoint needs, and has its own share of the reserve", () => {
  const facts200 = (bytes: number) => facts({ freeBytes: bytes })
  const reserveBytes = facts200(0).reserveBytes
  const roomBytes = checkpointRoomBytes(reserveBytes)
  // Compaction has copied as much as it may.
  const copiedUpTo = facts200(roomBytes)
  assert.equal(copyRoomBytes(copiedUpTo, SPACE_LIMITS), 0)
  assert.equal(mergeRoomBytes(copiedUpTo, SPACE_LIMITS), roomBytes / 2)
  assert.equal(mergeRoomBytes(facts200(roomBytes / 2), SPACE_LIMITS), 0)
  assert.equal(mergeRoomBytes({ ...facts200(roomBytes), owedBytes: roomBytes / 4 }, SPACE_LIMITS), roomBytes / 4)
})

test("ballast counts as free, and what is on its way does not", () => {
  const known = facts({ freeBytes: 100, ballastBytes: 50, grownBytes: 10, owedBytes: 50 })
  assert.equal(remainingBytes(known), 90)
  assert.equal(remainingBytes(facts({ freeBytes: 5, grownBytes: 10 })), 0)
})

test("growing the ballast changes nothing for anybody, and never leaves a writer without room", () => {
  const sizes = fc.integer({ min: 0, max: 2 ** 33 })
  fc.assert(
    fc.property(sizes, sizes, sizes, sizes, (freeBytes, grownBytes, owedBytes, ballast) => {
      const before = facts({ freeBytes, grownBytes, owedBytes, ballastBytes: Math.min(ballast, 200 * MIB) })
      const bytes = ballastRoomBytes(before, SPACE_LIMITS)
      const after = { ...before, ballastBytes: before.ballastBytes + bytes, grownBytes: grownBytes + bytes }
      assert.equal(usableBytes(after), usableBytes(before))
      assert.ok(after.ballastBytes <= before.reserveBytes)
      if (bytes > 0) assert.ok(after.freeBytes - after.grownBytes - after.owedBytes > 0)
    }),
  )
})

test("the time until a device is full comes from how fast it filled lately", () => {
  const rate = new FillRate(300_000)
  rate.add(0, 10_000)
  assert.equal(rate.secondsUntilFull, undefined)
  for (let second = 1; second <= 100; second += 1) rate.add(second * 1000, 10_000 - 10 * second)
  assert.ok(Math.abs((rate.secondsUntilFull ?? 0) - 900) < 1)
  for (let second = 101; second <= 1000; second += 1) rate.add(second * 1000, 9_000 + second)
  assert.equal(rate.secondsUntilFull, undefined, "it does not fill any more")
})

test("a reserve on a folder that is no mount point keeps the smaller of the two bounds", () => {
  const limits = { ...SPACE_LIMITS, reserveBytesMax: 10 * MIB, reserveBytesMin: MIB }
  assert.equal(reserveOf(100 * GIB, false, limits), 10 * MIB)
  assert.equal(reserveOf(100 * GIB, true, limits), 10 * MIB)
})

test("usable space is what is left above the reserve, and never negative", () => {
  assert.equal(usableBytes(facts({ freeBytes: 300 * MIB })), 100 * MIB)
  assert.equal(usableBytes(facts({ freeBytes: 100 * MIB })), 0)
})

test("a ballast file is a sixteenth of the reserve, within a piece and its maximum", () => {
  assert.equal(ballastFileBytes(160 * MIB, SPACE_LIMITS), 10 * MIB)
  assert.equal(ballastFileBytes(160 * MIB + 1, SPACE_LIMITS), 10 * MIB + 1)
  assert.equal(ballastFileBytes(2 * MIB, SPACE_LIMITS), MIB)
  assert.equal(ballastFileBytes(8 * GIB, SPACE_LIMITS), 256 * MIB)
})

test("the ballast grows up to the reserve, and leaves one of its files free beside what is on its way", () => {
  const known = { freeBytes: 500 * MIB, reserveBytes: 160 * MIB, ballastBytes: 100 * MIB }
  assert.equal(ballastRoomBytes(facts(known), SPACE_LIMITS), 60 * MIB)
  const tight = { ...known, freeBytes: 40 * MIB, grownBytes: 5 * MIB, owedBytes: 6 * MIB }
  assert.equal(ballastRoomBytes(facts(tight), SPACE_LIMITS), (40 - 11 - 10) * MIB)
  assert.equal(ballastRoomBytes(facts({ ...known, freeBytes: 10 * MIB }), SPACE_LIMITS), 0)
})

test("the time until a device is full needs a thirtieth of the window, and forgets what is older than the window", () => {
  const rate = new FillRate(30_000)
  assert.equal(rate.secondsUntilFull, undefined)
  rate.add(0, 1_000)
  rate.add(999, 900)
  assert.equal(rate.secondsUntilFull, undefined, "too little has been seen")
  rate.add(1_000, 900)
  assert.equal(rate.secondsUntilFull, 9)
  const steady = new FillRate(30_000)
  steady.add(0, 1_000)
  steady.add(10_000, 1_000)
  assert.equal(steady.secondsUntilFull, undefined, "it does not fill")
  const forgetful = new FillRate(30_000)
  forgetful.add(0, 100_000)
  forgetful.add(20_000, 1_000)
  forgetful.add(50_000, 400)
  assert.equal(forgetful.secondsUntilFull, 20, "600 bytes in 30 s; the first sample is too old")
})

test("samples that come often do not push out those that show the rate", () => {
  const rate = new FillRate(30_000)
  for (let ms = 0; ms <= 30_000; ms += 10) rate.add(ms, 100_000 - ms)
  assert.equal(rate.secondsUntilFull, 70)
})
