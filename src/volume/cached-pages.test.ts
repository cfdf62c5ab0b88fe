import assert from "node:assert/strict"
import { test } from "node:test"
import { CachedPages } from "./cached-pages.js"

const VOLUME_BYTES = 1024 * 1024

test("what was written since the start is cached, in the newest volumes only", () => {
  const pages = new CachedPages(3, VOLUME_BYTES, 2 * VOLUME_BYTES)
  assert.deepEqual([pages.has(3, 0, 100), pages.has(4, 0, 100)], [false, true])
  assert.ok(pages.has(5, 700_000, 5_000) && pages.has(4, 0, 1))
  assert.ok(pages.has(6, 0, 1))
  assert.deepEqual([pages.has(4, 0, 1), pages.has(5, 0, 1)], [false, true])
})

test("of older volumes whole pages count as cached once they were read", () => {
  const pages = new CachedPages(9, VOLUME_BYTES, 2 * VOLUME_BYTES)
  pages.note(2, 5_000, 4_000)
  assert.ok(pages.has(2, 4_096, 8_192))
  assert.ok(!pages.has(2, 4_000, 200) && !pages.has(2, 12_287, 2) && !pages.has(3, 5_000, 10))
  pages.note(3, 0, 1)
  assert.ok(pages.has(2, 5_000, 1))
  pages.note(4, 0, 1)
  assert.ok(pages.has(4, 0, 1) && !pages.has(2, 5_000, 1))
})
