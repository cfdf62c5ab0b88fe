/** The size of the reserve, and which writes may use it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../testing-properties.js"
import { GIB, MIB } from "../limits.js"
import {
  ballastFileBytes,
  ballastSpaceBytes,
  checkpointSpaceBytes,
  FillRate,
  remainingBytes,
  logBytesMaxWhenShort,
  levelOf,
  maySpend,
  reserveOf,
  SPACE_LIMITS,
  spaceBytesFor,
  type SpaceFacts,
} from "./space-core.js"

const facts = (known: Partial<SpaceFacts>): SpaceFacts => ({
  totalBytes: 10 * GIB,
  freeBytes: 5 * GIB,
  grownBytes: 0,
  pendingBytes: 0,
  ballastBytes: 0,
  reserveBytes: 200 * MIB,
  ...known,
})

test("the reserve is 2 % within its bounds, and small if the folder is no mount point", () => {
  assert.equal(reserveOf(1 * GIB, true), 64 * MIB)
  assert.equal(reserveOf(100 * GIB, true), 2 * GIB)
  assert.equal(reserveOf(16_000 * GIB, true), 8 * GIB)
  assert.equal(reserveOf(16_000 * GIB, false), 64 * MIB)
  assert.equal(reserveOf(100 * MIB, true), 25 * MIB, "most of a tiny disk is for data")
})

test("needles stop where the reserve begins, other new rows at half of it", () => {
  const left = (bytes: number) => facts({ freeBytes: bytes })
  assert.ok(maySpend(left(201 * MIB), "needles", MIB, SPACE_LIMITS))
  assert.ok(!maySpend(left(201 * MIB), "needles", MIB + 1, SPACE_LIMITS))
  assert.ok(maySpend(left(101 * MIB), "rows", MIB, SPACE_LIMITS))
  assert.ok(!maySpend(left(101 * MIB), "rows", MIB + 1, SPACE_LIMITS))
})

test("a device is full when it takes no needles of some size, and critical when it takes no new rows either", () => {
  const level = (bytes: number) => levelOf(facts({ freeBytes: bytes }), SPACE_LIMITS)
  assert.equal(level(204 * MIB), "enough")
  assert.equal(level(204 * MIB - 1), "full")
  assert.equal(level(100 * MIB), "full")
  assert.equal(level(100 * MIB - 1), "critical")
})

test("copies leave the space that a checkpoint needs, and rows stop long before that", () => {
  const spaceWith = (bytes: number) => spaceBytesFor(facts({ freeBytes: bytes }), "copies", SPACE_LIMITS)
  assert.equal(checkpointSpaceBytes(200 * MIB), 25 * MIB)
  assert.equal(spaceWith(100 * MIB), 75 * MIB)
  assert.equal(spaceWith(24 * MIB), 0)
  assert.equal(logBytesMaxWhenShort(64 * MIB, SPACE_LIMITS), 4 * MIB)
  assert.equal(logBytesMaxWhenShort(4 * MIB, SPACE_LIMITS), SPACE_LIMITS.logBytesMinWhenShort)
})

test("a merge step leaves the space that the next checkpoint needs, and has its own share of the reserve", () => {
  const facts200 = (bytes: number) => facts({ freeBytes: bytes })
  const reserveBytes = facts200(0).reserveBytes
  const spaceBytes = checkpointSpaceBytes(reserveBytes)
  // Compaction has copied as much as it may.
  const copiedUpTo = facts200(spaceBytes)
  assert.equal(spaceBytesFor(copiedUpTo, "copies", SPACE_LIMITS), 0)
  assert.equal(spaceBytesFor(copiedUpTo, "merges", SPACE_LIMITS), spaceBytes / 2)
  assert.equal(spaceBytesFor(facts200(spaceBytes / 2), "merges", SPACE_LIMITS), 0)
  assert.equal(
    spaceBytesFor({ ...facts200(spaceBytes), pendingBytes: spaceBytes / 4 }, "merges", SPACE_LIMITS),
    spaceBytes / 4,
  )
})

test("ballast counts as free, and bytes on their way do not", () => {
  const known = facts({ freeBytes: 100, ballastBytes: 50, grownBytes: 10, pendingBytes: 50 })
  assert.equal(remainingBytes(known), 90)
  assert.equal(remainingBytes(facts({ freeBytes: 5, grownBytes: 10 })), 0)
})

test("growing the ballast changes no limit, and never leaves a writer without space", () => {
  const sizes = fc.integer({ min: 0, max: 2 ** 33 })
  fc.assert(
    fc.property(sizes, sizes, sizes, sizes, (freeBytes, grownBytes, pendingBytes, ballast) => {
      const before = facts({ freeBytes, grownBytes, pendingBytes, ballastBytes: Math.min(ballast, 200 * MIB) })
      const bytes = ballastSpaceBytes(before, SPACE_LIMITS)
      const after = { ...before, ballastBytes: before.ballastBytes + bytes, grownBytes: grownBytes + bytes }
      assert.equal(spaceBytesFor(after, "needles", SPACE_LIMITS), spaceBytesFor(before, "needles", SPACE_LIMITS))
      assert.ok(after.ballastBytes <= before.reserveBytes)
      if (bytes > 0) assert.ok(after.freeBytes - after.grownBytes - after.pendingBytes > 0)
    }),
  )
})

/** Samples of a file system that only this process fills. */
const fill = (rate: FillRate, atMs: number, usable: number): void => rate.add(atMs, usable, -usable)

test("the time until a device is full comes from how fast it filled lately", () => {
  const rate = new FillRate(100_000)
  fill(rate, 0, 10_000)
  assert.equal(rate.secondsUntilFull, undefined)
  for (let second = 1; second <= 100; second += 1) fill(rate, second * 1000, 10_000 - 10 * second)
  assert.ok(Math.abs((rate.secondsUntilFull ?? 0) - 900) < 1)
  for (let second = 101; second <= 1000; second += 1) fill(rate, second * 1000, 9_000 + second)
  assert.equal(rate.secondsUntilFull, undefined, "it does not fill any more")
})

test("what other programs write raises no alarm, and makes none worse", () => {
  const rate = new FillRate(3_600_000)
  for (let minute = 0; minute <= 60; minute += 1) rate.add(minute * 60_000, 100_000 - 1_000 * minute, 0)
  assert.equal(rate.secondsUntilFull, undefined)
  for (let minute = 61; minute <= 120; minute += 1) rate.add(minute * 60_000, 40_000 - 100 * (minute - 60), minute - 60)
  assert.equal(rate.secondsUntilFull, (34_000 / 60) * 3_600, "at the rate of this process")
})

test("a reserve on a folder that is no mount point keeps the smaller of the two bounds", () => {
  const limits = { ...SPACE_LIMITS, reserveBytesMax: 10 * MIB, reserveBytesMin: MIB }
  assert.equal(reserveOf(100 * GIB, false, limits), 10 * MIB)
  assert.equal(reserveOf(100 * GIB, true, limits), 10 * MIB)
})

test("usable space is the space above the reserve, and never negative", () => {
  assert.equal(spaceBytesFor(facts({ freeBytes: 300 * MIB }), "needles", SPACE_LIMITS), 100 * MIB)
  assert.equal(spaceBytesFor(facts({ freeBytes: 100 * MIB }), "needles", SPACE_LIMITS), 0)
})

test("a ballast file is a sixteenth of the reserve, within a piece and its maximum", () => {
  assert.equal(ballastFileBytes(160 * MIB, SPACE_LIMITS), 10 * MIB)
  assert.equal(ballastFileBytes(160 * MIB + 1, SPACE_LIMITS), 10 * MIB + 1)
  assert.equal(ballastFileBytes(2 * MIB, SPACE_LIMITS), MIB)
  assert.equal(ballastFileBytes(8 * GIB, SPACE_LIMITS), 256 * MIB)
})

test("the ballast grows up to the reserve, and leaves one of its files free beside bytes on their way", () => {
  const known = { freeBytes: 500 * MIB, reserveBytes: 160 * MIB, ballastBytes: 100 * MIB }
  assert.equal(ballastSpaceBytes(facts(known), SPACE_LIMITS), 60 * MIB)
  const tight = { ...known, freeBytes: 40 * MIB, grownBytes: 5 * MIB, pendingBytes: 6 * MIB }
  assert.equal(ballastSpaceBytes(facts(tight), SPACE_LIMITS), (40 - 11 - 10) * MIB)
  assert.equal(ballastSpaceBytes(facts({ ...known, freeBytes: 10 * MIB }), SPACE_LIMITS), 0)
})

test("the time until a device is full needs the whole window, and drops samples older than that", () => {
  const rate = new FillRate(30_000)
  assert.equal(rate.secondsUntilFull, undefined)
  fill(rate, 0, 1_000)
  fill(rate, 999, 100)
  assert.equal(rate.secondsUntilFull, undefined, "too little has been seen")
  fill(rate, 1_000, 500)
  assert.equal(rate.secondsUntilFull, 1, "it may be full in no more time than was seen")
  const burst = new FillRate(30_000)
  fill(burst, 0, 100_000)
  fill(burst, 15_000, 99_000)
  assert.equal(burst.secondsUntilFull, undefined, "half of the window says nothing about the next 25 minutes")
  fill(burst, 30_000, 99_000)
  assert.equal(burst.secondsUntilFull, 2_970)
  const steady = new FillRate(30_000)
  fill(steady, 0, 1_000)
  fill(steady, 30_000, 1_000)
  assert.equal(steady.secondsUntilFull, undefined, "it does not fill")
  const forgetful = new FillRate(30_000)
  fill(forgetful, 0, 100_000)
  fill(forgetful, 20_000, 1_000)
  fill(forgetful, 50_000, 400)
  assert.equal(forgetful.secondsUntilFull, 20, "600 bytes in 30 s; the first sample is too old")
})

test("frequent samples do not displace those that show the rate", () => {
  const rate = new FillRate(30_000)
  for (let ms = 0; ms <= 30_000; ms += 10) fill(rate, ms, 100_000 - ms)
  assert.equal(rate.secondsUntilFull, 70)
})
