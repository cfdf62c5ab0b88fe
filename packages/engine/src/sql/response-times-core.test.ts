import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { RecentTimes } from "./response-times-core.js"

const NOW_MS = 1_000_000

function isAbout(found: number, expected: number): void {
  assert.ok(found >= expected && found <= 1.2 * expected, `${found} is not about ${expected}`)
}

test("half of the durations and 99 of 100 are told apart", () => {
  const times = new RecentTimes()
  for (let i = 0; i < 97; i += 1) times.add(NOW_MS, 3)
  for (let i = 0; i < 3; i += 1) times.add(NOW_MS, 700)
  const { count, medianMs, slowMs } = must(times.summary(NOW_MS), "durations were added")
  assert.equal(count, 100)
  isAbout(medianMs, 3)
  isAbout(slowMs, 700)
})

test("one slow statement of 200 does not count as what 99 of 100 take", () => {
  const times = new RecentTimes()
  for (let i = 0; i < 199; i += 1) times.add(NOW_MS, 3)
  times.add(NOW_MS, 700)
  isAbout(must(times.summary(NOW_MS), "durations were added").slowMs, 3)
})

test("durations are forgotten after some minutes, those of a reused slice too", () => {
  const times = new RecentTimes()
  times.add(NOW_MS, 500)
  times.add(NOW_MS + 240_000, 2)
  assert.equal(times.summary(NOW_MS + 240_000)?.count, 2)
  assert.equal(times.summary(NOW_MS + 300_000)?.count, 1)
  times.add(NOW_MS + 300_000, 2)
  const { count, slowMs } = must(times.summary(NOW_MS + 300_000), "durations were added")
  assert.equal(count, 2)
  isAbout(slowMs, 2)
  assert.equal(times.summary(NOW_MS + 900_000), undefined)
})

test("durations below and above all buckets count", () => {
  const times = new RecentTimes()
  times.add(NOW_MS, 0)
  times.add(NOW_MS, 1e9)
  const { count, medianMs } = must(times.summary(NOW_MS), "durations were added")
  assert.deepEqual([count, medianMs], [2, 0.1])
})
