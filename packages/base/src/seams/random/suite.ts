/** The tests that every source of randomness must pass. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "../../bytes.js"
import type { Random } from "./contract.js"

export function randomSuite(kind: string, make: () => Random): void {
  test(`${kind}: the requested number of bytes is returned, and bytes do not repeat`, () => {
    const random = make()
    for (const count of [0, 1, 3, 16, 1000]) assert.equal(random.bytes(count).length, count)
    const seen = new Set(Array.from({ length: 1000 }, () => hexOf(random.bytes(16))))
    assert.equal(seen.size, 1000)
  })

  test(`${kind}: every byte value occurs about equally often`, () => {
    const counts = new Array<number>(256).fill(0)
    for (const byte of make().bytes(256_000)) counts[byte] = (counts[byte] ?? 0) + 1
    assert.ok(Math.min(...counts) > 800 && Math.max(...counts) < 1200)
  })

  test(`${kind}: numbers stay below their limit and reach all of it`, () => {
    const random = make()
    const seen = new Set(Array.from({ length: 1000 }, () => random.below(7)))
    assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6])
    assert.equal(random.below(1), 0)
    const large = Array.from({ length: 100 }, () => random.below(2 ** 32))
    assert.ok(large.some(value => value >= 2 ** 31) && large.every(value => value >= 0 && value < 2 ** 32))
  })

  test(`${kind}: no number is favoured, even if the limit does not divide 2^32`, () => {
    const random = make()
    const limit = 3 * 2 ** 30
    const low = Array.from({ length: 6_000 }, () => random.below(limit)).filter(value => value < limit / 3)
    assert.ok(low.length > 1_800 && low.length < 2_200, `${low.length} of 6,000 in the lowest third`)
  })

  test(`${kind}: an invalid limit is refused`, () => {
    for (const limit of [0, -1, 1.5, 2 ** 32 + 1, NaN]) assert.throws(() => make().below(limit), /a limit is/)
  })

  test(`${kind}: forks differ from each other and from their parent`, () => {
    const random = make()
    const drawn = [random, random.fork("a"), random.fork("b"), random.fork("a")].map(each => hexOf(each.bytes(16)))
    assert.equal(new Set(drawn).size, 4)
  })
}
