/** A row that rots in the base is found out; the place of its payload is this device's own affair. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../base/testing-properties.js"
import { hexOf } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import { rowKeyOf, type RowKey } from "../base/ids.js"
import { BaseRowReader, decodeBaseRow, encodeBaseRow } from "./base-row.js"

const place = { volume: 3, offsetBytes: 2 ** 33 + 5, lengthBytes: 4096 }
const key = rowKeyOf("\x00\x00\x00\x01key\xff")
const isCorrupt = (error: unknown) => isFailure(error, "corruptRow")

/** A reader that has been given memory that holds more, as the binding's does. */
function readerOf(family: Family, rowKey: RowKey, row: Uint8Array): BaseRowReader {
  const reader = new BaseRowReader(family)
  reader.key(Buffer.from(`xx${rowKey}yy`, "latin1"), 2, 2 + rowKey.length)
  reader.value(Buffer.concat([row, Buffer.alloc(9, 7)]), row.length)
  return reader
}

function readThrough(family: Family, rowKey: RowKey, row: Uint8Array): unknown[] {
  const { bytes, valueAt, end } = readerOf(family, rowKey, row)
  return [bytes.toString("latin1", BaseRowReader.KEY_AT, valueAt), ...bytes.subarray(valueAt, end)]
}

test("a reader takes long and short rows in turn, and finds a flipped bit in either", () => {
  for (const lengthBytes of [70_000, 10, 65_500, 65_536, 200, 0]) {
    const value = Buffer.alloc(lengthBytes, "value")
    const row = Buffer.from(encodeBaseRow("current", key, value, undefined))
    const { bytes, valueAt, end } = readerOf("current", key, row)
    assert.ok(value.equals(bytes.subarray(valueAt, end)))
    row[row.length >> 1] = (row[row.length >> 1] ?? 0) ^ 1
    assert.throws(() => readThrough("current", key, row), isCorrupt)
  }
})

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
      assert.deepEqual(readThrough("versions", key, encodeBaseRow("versions", key, value, row.place)), [key, ...value])
    }),
  )
})

test("every prefix, every flipped bit of a value, and a row in another's place are refused", () => {
  const value = Uint8Array.from({ length: 40 }, (_, i) => i)
  for (const at of [undefined, place]) {
    const bytes = encodeBaseRow("current", key, value, at)
    for (let length = 0; length < bytes.length; length += 1) {
      assert.throws(() => decodeBaseRow("current", key, bytes.subarray(0, length)), isCorrupt)
      assert.throws(() => readThrough("current", key, bytes.subarray(0, length)), isCorrupt)
    }
    const valueAt = at ? 17 : 1
    for (let bit = 8 * valueAt; bit < 8 * bytes.length; bit += 1) {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.throws(() => decodeBaseRow("current", key, flipped), isCorrupt, `bit ${bit}`)
      assert.throws(() => readThrough("current", key, flipped), isCorrupt, `bit ${bit}`)
    }
    assert.throws(() => decodeBaseRow("versions", key, bytes), isCorrupt)
    assert.throws(() => readThrough("versions", key, bytes), isCorrupt)
    assert.throws(() => readThrough("current", rowKeyOf("another"), bytes), isCorrupt)
    assert.throws(() => decodeBaseRow("current", rowKeyOf("another"), bytes), isCorrupt)
  }
})
