import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { fc } from "../base/testing-properties.js"
import { MD5_LANES_MAX } from "./md5-lanes.js"
import { Md5Together } from "./md5-together.js"

const md5 = (text: Uint8Array): string => createHash("md5").update(text).digest("hex")

test("texts that are hashed together have the digests that each has alone", () => {
  const together = new Md5Together(300)
  const text = fc.uint8Array({ maxLength: 300 })
  const ofOneLength = fc
    .nat(300)
    .chain(length => fc.array(fc.uint8Array({ minLength: length, maxLength: length }), { maxLength: MD5_LANES_MAX }))
  fc.assert(
    fc.property(fc.oneof(fc.array(text, { maxLength: MD5_LANES_MAX }), ofOneLength), texts => {
      const found = together.digests(texts).map(digest => digest.toString("hex"))
      assert.deepEqual(found, texts.map(md5))
    }),
    { numRuns: 300 },
  )
  for (const length of [0, 55, 56, 63, 64, 119, 120, 299, 300]) {
    const text = Buffer.alloc(length, 0xff)
    assert.deepEqual(together.digests([text, Buffer.of(1)])[0]?.toString("hex"), md5(text))
  }
  assert.throws(() => together.digests([new Uint8Array(301)]), /fits/)
})
