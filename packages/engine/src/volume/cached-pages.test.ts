import assert from "node:assert/strict"
import { test } from "node:test"
import { CachedPages } from "./cached-pages.js"

const VOLUME_BYTES = 1024 * 1024
const at = (offsetBytes: number, lengthBytes: number) => ({ offsetBytes, lengthBytes })

test("bytes written since the start are cached, in the newest volumes only", () => {
  const pages = new CachedPages(3, VOLUME_BYTES, 2 * VOLUME_BYTES)
  assert.deepEqual([pages.has(3, at(0, 100)), pages.has(4, at(0, 100))], [false, true])
  assert.ok(pages.has(5, at(700_000, 5_000)) && pages.has(4, at(0, 1)))
  assert.ok(pages.has(6, at(0, 1)))
  assert.deepEqual([pages.has(4, at(0, 1)), pages.has(5, at(0, 1))], [false, true])
})

test("of older volumes whole pages count as cached once they were read", () => {
  const pages = new CachedPages(9, VOLUME_BYTES, 2 * VOLUME_BYTES)
  pages.note(2, at(5_000, 4_000))
  assert.ok(pages.has(2, at(4_096, 8_192)))
  assert.ok(!pages.has(2, at(4_000, 200)) && !pages.has(2, at(12_287, 2)) && !pages.has(3, at(5_000, 10)))
  pages.note(3, at(0, 1))
  assert.ok(pages.has(2, at(5_000, 1)))
})

test("the oldest notes are dropped first, if the total is more than memory keeps", () => {
  const pages = new CachedPages(Infinity, VOLUME_BYTES, VOLUME_BYTES)
  pages.note(7, at(0, VOLUME_BYTES / 2))
  pages.note(7, at(0, VOLUME_BYTES / 2))
  pages.note(8, at(0, VOLUME_BYTES / 2))
  assert.ok(pages.has(7, at(0, 1)) && pages.has(8, at(0, 1)))
  pages.note(8, at(VOLUME_BYTES - 1, 1))
  assert.deepEqual([pages.has(7, at(0, 1)), pages.has(8, at(0, 1))], [false, true])
})

test("a volume may be longer than it should", () => {
  const pages = new CachedPages(Infinity, VOLUME_BYTES, 4 * VOLUME_BYTES)
  for (let i = 0; i < 2_000; i += 1) pages.note(1, at(0, 3 * VOLUME_BYTES))
  assert.deepEqual([pages.has(1, at(0, VOLUME_BYTES)), pages.has(1, at(2 * VOLUME_BYTES, 1))], [true, false])
})
