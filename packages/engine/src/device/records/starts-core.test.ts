/** A store whose starts are in its records, and a copy of it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { STARTS_MAX } from "../../format/device/control-record.js"
import { isApart, withOpened, withStart } from "./starts-core.js"

type Starts = Parameters<typeof isApart>[0]

const begun = (record: Starts, incarnation: number, id = incarnation): Starts =>
  withStart(record, { incarnation: parseIncarnation(incarnation), id, startedMs: 0 })
const started = (record: Starts, incarnation: number, id = incarnation): Starts =>
  withOpened(begun(record, incarnation, id))

const STORE = started(started({}, 2), 3)

test("a device that was away is not taken for one of a copy, however many starts it has missed", () => {
  let now = STORE
  for (let incarnation = 4; incarnation < 3 * STARTS_MAX; incarnation += 1) {
    now = started(now, incarnation)
    assert.equal(isApart(STORE, now), false, `${incarnation}`)
    assert.equal(isApart({}, now), false, "records of earlier releases have no starts")
  }
  assert.equal(now.starts?.length, STARTS_MAX)
})

test("both sides are apart once each has started without the other, also as often", () => {
  const copy = started(STORE, 4, 10_000)
  assert.deepEqual([isApart(copy, STORE), isApart(STORE, copy)], [true, false], "the original has not started since")
  for (const original of [started(STORE, 4), started(started(STORE, 4), 5), started(STORE, 9)])
    assert.deepEqual([isApart(copy, original), isApart(original, copy)], [true, true])
  assert.equal(isApart(copy, {}), true, "a release without starts went on with a copy from before")
})

test("a copy is recognized while the newest record has a start from before its last one", () => {
  const copy = started(STORE, 4, 10_000)
  let now = STORE
  for (let incarnation = 4; incarnation < STARTS_MAX + 3; incarnation += 1) now = started(now, incarnation)
  assert.equal(isApart(copy, now), true)
  assert.equal(isApart(copy, started(now, STARTS_MAX + 3)), true, "the earliest start is as old as the copy's")
  assert.equal(
    isApart(copy, started(started(now, STARTS_MAX + 4), STARTS_MAX + 5)),
    false,
    "nothing is known about that time any more",
  )
})

test("a start that few devices have noted, since its process died, tells nothing", () => {
  const few = begun(STORE, 4, 10_000)
  assert.equal(isApart(few, started(STORE, 5)), false)
  assert.equal(isApart(started(few, 5), started(STORE, 5, 10_001)), true)
  assert.equal(isApart(started(STORE, 5), begun(started(few, 5), 6)), false)
})
