import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../testing-properties.js"
import { createXXHash3, createXXHash128 } from "hash-wasm"
import { Xxh3 } from "./xxh3.js"

const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 2_654_435_761) >>> 13)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

function digestOf(digestBytes: 8 | 16, bytes: Uint8Array, ends: readonly number[] = []): string {
  const running = new Xxh3(digestBytes)
  let from = 0
  for (const to of [...ends, bytes.length]) {
    running.update(bytes.subarray(from, to))
    from = to
  }
  return hex(running.digest())
}

test("XXH3 gives the published values of no bytes, most significant byte first", () => {
  assert.equal(digestOf(8, noise(0)), "2d06800538d394c2")
  assert.equal(digestOf(16, noise(0)), "99aa06d3014798d86001c324468d497f")
})

test("XXH3 equals hash-wasm's for every length up to three blocks, and around the piece", async () => {
  const of64 = await createXXHash3()
  const of128 = await createXXHash128()
  const lengths = Array.from({ length: 3_100 }, (_, length) => length)
  for (const length of [...lengths, 32_767, 32_768, 32_769, 33_792, 33_793, 98_304, 1_000_001]) {
    const bytes = noise(length)
    assert.equal(digestOf(8, bytes), of64.init().update(bytes).digest(), `${length} bytes`)
    assert.equal(digestOf(16, bytes), of128.init().update(bytes).digest(), `${length} bytes`)
  }
})

test("XXH3 in pieces of any length is that of the whole, beside others", () => {
  const bytes = noise(100_000)
  fc.assert(
    fc.property(fc.array(fc.nat(100_000), { maxLength: 20 }), fc.nat(100_000), (cuts, length) => {
      const ends = cuts.filter(cut => cut <= length).sort((a, b) => a - b)
      const whole = bytes.subarray(0, length)
      assert.equal(digestOf(8, whole, ends), digestOf(8, whole))
      const [first, second] = [new Xxh3(16), new Xxh3(16)]
      for (const [i, to] of [...ends, length].entries()) {
        first.update(bytes.subarray(i === 0 ? 0 : ends[i - 1], to))
        second.update(bytes.subarray(0, 1_500))
      }
      assert.equal(hex(first.digest()), digestOf(16, whole))
    }),
    { numRuns: 200, seed: 1 },
  )
})
