import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseVolumeId, rowKeyOf } from "@hayloft/base/ids.js"
import { decodeNeedleScrub, encodeNeedleScrub } from "./needle-scrub.js"

const at = { volumeId: parseVolumeId(7), offsetBytes: 2 ** 33, groups: 12, checksum: 0xfedc_ba98_7654_3210n }
const keys = ["\xff", "\x00"].map(text => rowKeyOf(text.repeat(27)))

test("the state of a scrub is read back as it was written", () => {
  for (const state of [
    { at: undefined, damaged: [] },
    { at, damaged: [] },
    { at, damaged: keys },
  ]) {
    assert.deepEqual(decodeNeedleScrub(encodeNeedleScrub(state)), state)
  }
  const golden = "484e53630101000000000000070000000c000000000000000200000010325476" + "98badcfe"
  assert.equal(
    Buffer.from(encodeNeedleScrub({ at, damaged: [] }))
      .toString("hex")
      .slice(0, golden.length),
    golden,
  )
})

test("every prefix and every flipped bit is refused", () => {
  const bytes = encodeNeedleScrub({ at, damaged: keys })
  const refuses = (bad: Uint8Array): void =>
    assert.throws(
      () => decodeNeedleScrub(bad),
      error => isFailure(error, "corruptRecord"),
    )
  for (let length = 0; length < bytes.length; length += 1) refuses(bytes.subarray(0, length))
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const bad = Uint8Array.from(bytes)
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refuses(bad)
  }
})
