import { test } from "node:test"
import assert from "node:assert/strict"
import { bytesOfBase64Url, copyPlainly } from "./bytes.js"

const LENGTH = 300

test("copyPlainly writes exactly these bytes, at any alignment", () => {
  const source = Uint8Array.from({ length: LENGTH }, (_, i) => (i % 250) + 1)
  for (const shared of [true, false]) {
    for (const [from, at, length] of [
      [0, 0, LENGTH],
      [3, 5, 64],
      [1, 8, 1],
      [7, 2, 0],
      [0, LENGTH, 0],
    ] as const) {
      const whole = new Uint8Array(shared ? new SharedArrayBuffer(LENGTH + 16) : new ArrayBuffer(LENGTH + 16))
      // A view that begins inside its memory, as slabs do.
      copyPlainly(whole.subarray(8, 8 + LENGTH), source.subarray(from, from + length), at)
      const expected = new Uint8Array(LENGTH + 16)
      expected.set(source.subarray(from, from + length), 8 + at)
      assert.deepEqual(Uint8Array.from(whole), expected, `${length} from ${from} to ${at}, shared: ${shared}`)
    }
  }
})

test("bytesOfBase64Url reads one text for each byte string", () => {
  assert.deepEqual(bytesOfBase64Url("AP_-"), Buffer.from([0, 0xff, 0xfe]))
  assert.deepEqual(bytesOfBase64Url("AA"), Buffer.of(0))
  assert.deepEqual(bytesOfBase64Url(""), Buffer.of())
  // Spare bits, padding, the other alphabet, a lone character, characters of no alphabet.
  for (const text of ["AB", "AA==", "AP/+", "A", "AA\n", "A A"]) assert.equal(bytesOfBase64Url(text), undefined, text)
})
