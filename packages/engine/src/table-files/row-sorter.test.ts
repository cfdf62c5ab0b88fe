import assert from "node:assert/strict"
import { test } from "node:test"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { RowSum } from "../format/tables/row-sum.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { RowSorter } from "./row-sorter.js"

/** Keys that share beginnings, end early, contain zeros, and occur twice. */
function keyOf(random: Random): Buffer {
  const alphabet = random.below(2) === 0 ? [0, 1] : [0, 97, 98, 255]
  const begin = ["", "common/", "common/prefix/of/many/"][random.below(3)] ?? ""
  const rest = Array.from({ length: random.below(12) }, () => alphabet[random.below(alphabet.length)] ?? 0)
  return Buffer.concat([Buffer.from(begin), Buffer.from(rest)])
}

test("rows come out in the order of their keys, and those with one key in the order in which they were added", () => {
  const random = new SimRandom(TEST_SEED).fork("row sorter")
  for (let round = 0; round < 40; round += 1) {
    const sorter = new RowSorter(1_000_000, 4_096)
    const sum = new RowSum()
    const count = random.below(2_000)
    const keys = Array.from({ length: count }, () => keyOf(random))
    if (round % 4 === 0) keys.sort(Buffer.compare)
    const rows = keys.map((key, line) => ({ key, line, value: Buffer.from(String(line)) }))
    for (const { key, value, line } of rows) assert.ok(sorter.add(7, key, value, line, sum))
    const sorted = [...rows].sort((a, b) => Buffer.compare(a.key, b.key) || a.line - b.line)
    const found = Array.from(sorter.sorted(), ({ bytes, keyAt, valueAt, end, line }) => ({
      key: Buffer.from(bytes.subarray(keyAt + 1, valueAt)),
      line,
      value: Buffer.from(bytes.subarray(valueAt, end)),
    }))
    assert.deepEqual(found, sorted)
    sorter.clear()
    assert.deepEqual([...sorter.sorted()], [])
  }
})

test("a row that does not fit is refused, and changes nothing", () => {
  const sum = new RowSum()
  const sorter = new RowSorter(100, 10)
  assert.ok(sorter.add(1, Buffer.from("b"), Buffer.alloc(40), 1, sum))
  const before = sum.toString()
  assert.ok(!sorter.add(1, Buffer.from("a"), Buffer.alloc(60), 2, sum))
  assert.equal(sum.toString(), before)
  assert.ok(sorter.add(1, Buffer.from("a"), Buffer.alloc(10), 3, sum))
  assert.deepEqual(
    Array.from(sorter.sorted(), ({ line }) => line),
    [3, 1],
  )
})

test("keys that share long beginnings, all but one, are sorted without one level in another", () => {
  // 15,000 levels of four bytes: each in the one before would overflow the stack, as it would keep an array.
  const [count, lengthBytes] = [64, 60_000]
  const sorter = new RowSorter(count * (lengthBytes + 100), count)
  const sum = new RowSum()
  for (let line = 0; line < count; line += 1) {
    const key = Buffer.alloc(lengthBytes, line === 0 ? 2 : 1)
    key[lengthBytes - 1] = count - line
    assert.ok(sorter.add(1, key, Buffer.alloc(0), line, sum))
  }
  const lines = Array.from(sorter.sorted(), ({ line }) => line)
  assert.deepEqual(lines, [...Array.from({ length: count - 1 }, (_, at) => count - 1 - at), 0])
})
