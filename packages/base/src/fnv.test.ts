/** The hash is the published one, so that its values may be stored. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fnv1a } from "./fnv.js"

test("texts have the hashes of the published test vectors", () => {
  assert.deepEqual(["", "a", "foobar"].map(fnv1a), [0x811c9dc5, 0xe40c292c, 0xbf9cf968])
})
