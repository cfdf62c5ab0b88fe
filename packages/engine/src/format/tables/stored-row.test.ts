/** Malformed rows are refused; the place of a row's payload is private to the device. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { decodeStoredRow, encodeStoredRow, valueEnd } from "./stored-row.js"

const place = { volume: 3, offsetBytes: 2 ** 33 + 5, lengthBytes: 4096 }
const key = rowKeyOf("\x00\x00\x00\x01key\xff")
const isCorrupt = (error: unknown) => isFailure(error, "corruptRow") && error.details["rowKey"] === "000000016b6579ff"

test("stored row v1 is unchanged, byte for byte", () => {
  const value = Uint8Array.of(1, 2, 3)
  assert.equal(hexOf(encodeStoredRow(value, undefined)), "01020300")
  assert.equal(hexOf(encodeStoredRow(value, place)), "01020303000000050000000200000000100000" + "01")
})

test("rows round-trip with and without a place, also empty ones", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), fc.nat(9), (value, hasPlace, before) => {
      const bytes = encodeStoredRow(value, hasPlace ? place : undefined)
      const row = decodeStoredRow("versions", key, bytes)
      assert.deepEqual(Uint8Array.from(row.value), value)
      assert.deepEqual(row.place, hasPlace ? place : undefined)
      const within = Buffer.concat([Buffer.alloc(before, 7), bytes, Buffer.alloc(5, 7)])
      assert.equal(valueEnd(within, before + bytes.length), before + value.length, "as a scan finds it")
    }),
  )
})

test("a row that is empty, too short for its place, or has unknown flags, is refused with its name", () => {
  const whole = encodeStoredRow(new Uint8Array(0), place)
  assert.throws(() => decodeStoredRow("current", key, new Uint8Array(0)), isCorrupt)
  for (let cut = 1; cut < whole.length; cut += 1) {
    assert.throws(() => decodeStoredRow("current", key, whole.subarray(cut)), isCorrupt)
  }
  for (let flags = 2; flags < 256; flags += 1) {
    assert.throws(() => decodeStoredRow("current", key, Uint8Array.of(...Buffer.alloc(40), flags)), isCorrupt)
  }
})
