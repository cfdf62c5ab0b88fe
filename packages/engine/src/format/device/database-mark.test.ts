import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { decodeDatabaseMark, encodeDatabaseMark } from "./database-mark.js"

const SAMPLE = {
  reconciliations: 2,
  highest: 77,
  live: [
    { incarnation: 70, numbers: [4_294_967_295, 12] },
    { incarnation: 77, numbers: [] },
  ],
}

test("database mark v1 is unchanged, byte for byte", () => {
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/database-mark-v1.hex", import.meta.url),
    "utf8",
  )
  assert.equal(hexOf(encodeDatabaseMark(SAMPLE)), golden.trim())
  assert.deepEqual(decodeDatabaseMark(bytesOfHex(golden.trim()) ?? new Uint8Array(0)), SAMPLE)
})

test("every prefix and every single flipped bit of a database mark is refused", () => {
  const bytes = encodeDatabaseMark(SAMPLE)
  const refuses = (damaged: Uint8Array): void => {
    assert.throws(
      () => decodeDatabaseMark(damaged),
      error => isFailure(error, "corruptRecord"),
    )
  }
  for (let length = 0; length < bytes.length; length += 1) refuses(bytes.subarray(0, length))
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = bytes.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refuses(flipped)
  }
})
