import { test } from "node:test"
import assert from "node:assert/strict"
import { copyPlainly } from "./bytes.js"

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
