/** A row that rots in the base is found out; the place of its payload is this device's own affair. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { hexOf } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import { rowKeyOf } from "../base/ids.js"
import { decodeBaseRow, encodeBaseRow } from "./base-row.js"

const place = { volume: 3, offsetBytes: 2 ** 33 + 5, lengthBytes: 4096 }
const key = rowKeyOf("\x00\x00\x00\x01key\xff")
const isCorrupt = (error: unknown) => isFailure(error, "corruptRow")

test("base row v1 is what it always was, byte for byte", () => {
  const value = Uint8Array.of(1, 2, 3)
  assert.equal(hexOf(encodeBaseRow("current", key, value, undefined)), "0001020354a0faa76063ce4b")
  assert.equal(
    hexOf(encodeBaseRow("current", key, value, place)),
    "010300000005000000020000000010000001020354a0faa76063ce4b",
  )
})

test("rows round-trip with and without a place, also empty ones", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (value, hasPlace) => {
      const row = decodeBaseRow("versions", key, encodeBaseRow("versions", key, value, hasPlace ? place : undefined))
      assert.deepEqual(Uint8Array.from(row.value), value)
      assert.deepEqual(row.place, hasPlace ? place : undefined)
    }),
  )
})

test("every prefix, every flipped bit of a value, and a row in another's place are refused", () => {
  const value = Uint8Array.from({ length: 40 }, (_, i) => i)
  for (const at of [undefined, place]) {
    const bytes = encodeBaseRow("current", key, value, at)
    for (let length = 0; length < bytes.length; length += 1) {
      assert.throws(() => decodeBaseRow("current", key, bytes.subarray(0, length)), isCorrupt)
    }
    const valueAt = at ? 17 : 1
    for (let bit = 8 * valueAt; bit < 8 * bytes.length; bit += 1) {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.throws(() => decodeBaseRow("current", key, flipped), isCorrupt, `bit ${bit}`)
    }
    assert.throws(() => decodeBaseRow("versions", key, bytes), isCorrupt)
    assert.throws(() => decodeBaseRow("current", rowKeyOf("another"), bytes), isCorrupt)
  }
})
