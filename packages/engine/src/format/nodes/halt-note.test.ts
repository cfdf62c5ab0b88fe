import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { decodeHaltNote, encodeHaltNote } from "./halt-note.js"

const SAMPLE = {
  reason: "it has lost commits of incarnation 7",
  highest: parseIncarnation(9),
  live: [parseIncarnation(7), parseIncarnation(9)],
}

test("halt note v1 is unchanged, byte for byte", () => {
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/halt-note-v1.hex", import.meta.url),
    "utf8",
  ).trim()
  assert.equal(hexOf(encodeHaltNote(SAMPLE)), golden)
  assert.deepEqual(decodeHaltNote(bytesOfHex(golden) ?? new Uint8Array(0)), SAMPLE)
})

test("every prefix of a halt note is refused", () => {
  const bytes = encodeHaltNote(SAMPLE)
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(
      () => decodeHaltNote(bytes.subarray(0, length)),
      error => isFailure(error, "corruptRecord"),
    )
  }
})
