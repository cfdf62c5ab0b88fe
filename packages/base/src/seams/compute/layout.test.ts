/** The checksums of sub-blocks, which are on disk. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SUB_BLOCK_BYTES } from "../../limits.js"
import { subBlockChecksum } from "./layout.js"

test("a sub-block checksum depends on bytes, seed and number", () => {
  const bytes = Uint8Array.from({ length: SUB_BLOCK_BYTES }, (_, at) => at * 7)
  const known = subBlockChecksum(bytes, 7n, 3)
  assert.notEqual(known, subBlockChecksum(bytes, 7n, 4))
  assert.notEqual(known, subBlockChecksum(bytes, 8n, 3))
  assert.notEqual(known, subBlockChecksum(bytes.with(99, bytes[99] === 0 ? 1 : 0), 7n, 3))
  const stored = subBlockChecksum(new TextEncoder().encode("hayloft"), 0x0123_4567_89ab_cdefn, 2)
  assert.equal(stored.toString(16), "ab996d1f492e705", "the definition is on disk")
})
