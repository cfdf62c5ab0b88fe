import assert from "node:assert/strict"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { percentile, shuffled } from "./draws.js"
import { Events } from "./events.js"
import { bytesText, figure, markdownOf } from "./report.js"

test("calls run in the order of their moments, then of their scheduling", () => {
  const random = new SimRandom(5)
  const events = new Events()
  const ran: (readonly [atMs: number, order: number])[] = []
  for (let order = 0; order < 500; order += 1) {
    const atMs = random.below(50)
    events.after(atMs, () => ran.push([events.nowMs, order]))
  }
  events.runUntil(100)
  const sorted = [...ran].sort(([a, first], [b, second]) => a - b || first - second)
  assert.deepEqual(ran, sorted)
  assert.equal(ran.length, 500)
  assert.equal(events.nowMs, 100)
})

test("a call that is later waits, and repeated calls end", () => {
  const events = new Events()
  let count = 0
  events.every(
    10,
    () => 10,
    () => (count += 1) < 3,
  )
  events.runUntil(15)
  assert.equal(count, 1)
  events.runUntil(1_000)
  assert.equal(count, 3)
})

test("figures are shown with separators and units", () => {
  assert.equal(figure(1_234.5), "1,235")
  assert.equal(bytesText(999), "999 B")
  assert.equal(bytesText(12_345), "12.3 kB")
  assert.equal(bytesText(1_234_567), "1.23 MB")
  assert.equal(markdownOf({ head: ["a", "b"], rows: [["1", "2"]] }), "| a | b |\n| --- | --- |\n| 1 | 2 |")
  assert.equal(percentile([3, 1, 2], 0.5), 2)
  assert.deepEqual(shuffled(new SimRandom(1), [1, 2, 3]).sort(), [1, 2, 3])
})
