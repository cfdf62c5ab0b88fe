/** Which samples of what a bucket has held stay: what they say is what was there, and they are few. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import type { UsageSample } from "@hayloft/engine/format/objects/usage-history.js"
import { HISTORY_SAMPLES_MAX, HOUR_MS, withSample } from "./usage-history-core.js"

const DAY_MS = 24 * HOUR_MS
const BEGIN_MS = Date.UTC(2026, 0, 1)

const sampleAt = (hours: number, bytes: number): UsageSample => ({
  atMs: BEGIN_MS + hours * HOUR_MS,
  objects: bytes,
  bytes,
})

function noted(samples: readonly UsageSample[], before: readonly UsageSample[] = []): readonly UsageSample[] {
  let history = before
  for (const sample of samples) history = withSample(history, sample) ?? history
  return history
}

/** Returns the bytes at a moment according to a history. */
const bytesAt = (history: readonly UsageSample[], atMs: number): number =>
  history.findLast(sample => sample.atMs <= atMs)?.bytes ?? 0

test("hours of a week and ends of 400 days are as they were, whatever a bucket held, and samples are bounded", () => {
  const hours = 420 * 24
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: hours }), fc.nat({ max: 3 })), { maxLength: 400 }),
      changes => {
        const values = new Map(changes)
        const all: UsageSample[] = []
        let bytes = 0
        for (let hour = 0; hour <= hours; hour += 1) {
          bytes = values.get(hour) ?? bytes
          all.push(sampleAt(hour, bytes))
        }
        const history = noted(all)
        const nowMs = BEGIN_MS + hours * HOUR_MS
        const lastChange = history.at(-1)?.atMs ?? nowMs
        // Samples are thinned when one is added.
        for (const { atMs, bytes: held } of all) {
          const isHourly = atMs >= nowMs - 7 * DAY_MS
          const isEndOfDay = atMs % DAY_MS === 23 * HOUR_MS && atMs >= lastChange - 399 * DAY_MS
          if (isHourly || isEndOfDay) assert.equal(bytesAt(history, atMs), held, new Date(atMs).toISOString())
        }
        for (const [at, sample] of history.entries()) {
          if (at > 0) assert.ok(sample.atMs > (history[at - 1]?.atMs ?? 0), "in order")
        }
      },
    ),
    { numRuns: 5 },
  )
})

test("a bucket that changes each hour for years has a bounded history, hourly at its end and daily before", () => {
  const history = noted(Array.from({ length: 900 * 24 }, (_, hour) => sampleAt(hour, hour + 1)))
  assert.ok(history.length <= HISTORY_SAMPLES_MAX, String(history.length))
  assert.ok(history.length >= 7 * 24 + 390, String(history.length))
  const gaps = history.slice(1).map(({ atMs }, at) => (atMs - (history[at]?.atMs ?? 0)) / HOUR_MS)
  assert.deepEqual([...new Set(gaps.slice(0, 380))], [24])
  assert.deepEqual([...new Set(gaps.slice(-160))], [1])
})

test("what has not changed, and a second sample of an hour, add nothing; nor does an empty bucket that never had anything", () => {
  const first = sampleAt(1, 5)
  const history = noted([first])
  assert.deepEqual(history, [first])
  assert.equal(withSample(history, sampleAt(2, 5)), undefined)
  assert.equal(withSample(history, { ...sampleAt(1, 9), atMs: first.atMs + 1_000 }), undefined)
  assert.equal(withSample([], sampleAt(1, 0)), undefined)
  assert.deepEqual(withSample(history, sampleAt(2, 0)), [first, sampleAt(2, 0)])
})

test("samples of a clock that was ahead are dropped", () => {
  const ahead = noted([sampleAt(1, 5), sampleAt(5_000, 6)])
  assert.deepEqual(withSample(ahead, sampleAt(3, 7)), [sampleAt(1, 5), sampleAt(3, 7)])
  assert.deepEqual(withSample(ahead, sampleAt(3, 5)), [sampleAt(1, 5)])
})
