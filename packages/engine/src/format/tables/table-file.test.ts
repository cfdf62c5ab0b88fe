import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { RowSum } from "./row-sum.js"
import { fileSeed } from "./table-block.js"
import { dataBytesOf, decodeEnd, encodeEnd, parityHash, type Footer } from "./table-file.js"

const DEVICE = parseDeviceId("fedcba9876543210")
const SEED = fileSeed(DEVICE, 7)
const PATH = "/base/0000000007.table"

const FOOTER: Footer = {
  level: 2,
  run: 99,
  rows: 1234,
  tombstones: 17,
  replacing: 3,
  firstKey: Buffer.from("\x01a", "latin1"),
  lastKey: Buffer.from("\x02\xff\xff", "latin1"),
  totals: [
    { family: 1, rows: 1200, sum: new RowSum(0xffff_ffff, 1) },
    { family: 2, rows: 34, sum: new RowSum(5, 0x8000_0000) },
  ],
  partitions: [
    { lastKey: Buffer.from("\x01m", "latin1"), directoryAt: 500_000, directoryBytes: 6000 },
    { lastKey: Buffer.from("\x02\xff\xff", "latin1"), directoryAt: 1_040_000, directoryBytes: 8576 },
  ],
  parityHash: parityHash(Buffer.alloc(8192, "parity"), SEED),
}

const golden = Buffer.from(
  bytesOfHex(
    readFileSync(
      new URL("../../../../../../packages/engine/src/format/golden/table-end-v1.hex", import.meta.url),
      "utf8",
    ).trim(),
  ) ?? [],
)

const open = (bytes: Buffer, seed = SEED): Footer => decodeEnd(bytes, seed, PATH)

const isRefusal = (error: unknown): boolean => isFailure(error, "corruptRow") && error.details["path"] === PATH

test("the end of a table v1 is unchanged, byte for byte", () => {
  const { bytes } = encodeEnd(FOOTER, SEED)
  assert.equal(hexOf(bytes), hexOf(golden))
  assert.deepEqual(open(golden), FOOTER)
  assert.equal(dataBytesOf(FOOTER), 1_048_576)
})

test("every prefix and every single flipped bit of an end is refused", () => {
  for (let length = 0; length < golden.length; length += 1) {
    assert.throws(() => open(golden.subarray(0, length)), isRefusal, `${length} bytes`)
  }
  for (let bit = 0; bit < golden.length * 8; bit += 1) {
    const flipped = Buffer.from(golden)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => open(flipped), isRefusal, `bit ${bit}`)
  }
})

test("either end suffices, whatever happens to the other", () => {
  const between = Buffer.alloc(8192, "parity")
  const file = Buffer.concat([Buffer.alloc(5000, "rows"), golden, between, golden])
  for (const from of [5000, 5000 + golden.length + between.length]) {
    for (let i = 0; i < golden.length; i += 1) {
      const damaged = Buffer.from(file)
      damaged.fill(0x5a, from, from + i + 1)
      assert.deepEqual(open(damaged), FOOTER)
      damaged.copy(damaged, from, from + 1)
      assert.deepEqual(open(damaged.subarray(0, file.length - (from === 5000 ? 0 : i))), FOOTER)
    }
  }
})

test("an end of another file or device is refused", () => {
  assert.throws(() => open(golden, fileSeed(DEVICE, 8)), isRefusal)
  assert.throws(() => open(golden, fileSeed(parseDeviceId("0123456789abcdef"), 7)), isRefusal)
})

test("sums of rows do not depend on order, and distinguish keys, values and deletions", () => {
  const row = (key: string, value: string): Buffer => Buffer.from(`${key}=${value}`)
  const sumOf = (rows: readonly (readonly [Buffer, number])[]): string => {
    const sum = new RowSum()
    for (const [bytes, flags] of rows) sum.add(bytes, 0, bytes.length, flags)
    return sum.toString()
  }
  const [a, b] = [[row("a", "1"), 0] as const, [row("b", "2".repeat(100_000)), 0] as const]
  assert.equal(sumOf([a, b]), sumOf([b, a]))
  assert.notEqual(sumOf([a]), sumOf([[a[0], 1]]))
  assert.notEqual(sumOf([a, a]), sumOf([a]))
  const both = new RowSum()
  for (const [bytes, flags] of [a, b]) {
    const one = new RowSum()
    one.add(bytes, 0, bytes.length, flags)
    both.addSum(one)
  }
  assert.equal(both.toString(), sumOf([a, b]))
  const [low, high] = both.halves
  assert.ok(new RowSum(low, high).equals(both))
  const carry = new RowSum(0xffff_ffff, 0xffff_ffff)
  carry.addSum(new RowSum(1, 0))
  assert.deepEqual(carry.halves, [0, 0])
})
