import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import { parseDeviceId } from "../base/ids.js"
import { RowSum } from "./row-sum.js"
import { fileSeed } from "./table-block.js"
import { decodeFooter, encodeFooter, footerBytesOf, TAIL_BYTES, type Footer } from "./table-file.js"

const DEVICE = parseDeviceId("fedcba9876543210")
const SEED = fileSeed(DEVICE, 7)
const OFFSET = 1_048_576
const PATH = "/base/0000000007.table"

const FOOTER: Footer = {
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
}

const golden = Buffer.from(
  bytesOfHex(readFileSync(new URL("../../../src/format/golden/table-footer-v1.hex", import.meta.url), "utf8").trim()) ??
    [],
)

/** As a table is opened: the tail tells how long the footer is. */
function open(bytes: Buffer, { seed = SEED, offsetBytes = OFFSET } = {}): { footer: Footer; hash: string } {
  const tail = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES))
  const lengthBytes = footerBytesOf(tail, PATH) + TAIL_BYTES
  const cut = bytes.length - lengthBytes
  return decodeFooter(bytes.subarray(Math.max(0, cut)), seed, offsetBytes + cut, PATH)
}

const isRefusal = (error: unknown): boolean => isFailure(error, "corruptRow") && error.details["path"] === PATH

test("footer and tail v1 are what they always were, byte for byte", () => {
  const { bytes, hash } = encodeFooter(FOOTER, SEED, OFFSET)
  assert.equal(hexOf(bytes), hexOf(golden))
  assert.deepEqual(open(golden), { footer: FOOTER, hash })
})

test("every prefix and every single flipped bit of a footer is refused", () => {
  for (let length = 0; length < golden.length; length += 1) {
    assert.throws(() => open(golden.subarray(0, length)), isRefusal, `${length} bytes`)
  }
  for (let bit = 0; bit < golden.length * 8; bit += 1) {
    const flipped = Buffer.from(golden)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => open(flipped), isRefusal, `bit ${bit}`)
  }
})

test("a footer of another place, file or device is refused", () => {
  assert.throws(() => open(golden, { offsetBytes: OFFSET + 1 }), isRefusal)
  assert.throws(() => open(golden, { seed: fileSeed(DEVICE, 8) }), isRefusal)
  assert.throws(() => open(golden, { seed: fileSeed(parseDeviceId("0123456789abcdef"), 7) }), isRefusal)
})

test("sums of rows do not depend on order, and tell keys, values and deletions apart", () => {
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
