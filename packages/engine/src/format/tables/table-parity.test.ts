import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { PARITY_PAGE_BYTES, ParityBuilder, parityBytesOf, rebuildBlock } from "./table-parity.js"

const PAGE = PARITY_PAGE_BYTES
const BLOCK_BYTES = 9000

/** Pseudo-random numbers below a limit (Marsaglia, "Xorshift RNGs", 2003). */
function drawing(seed: number): (limit: number) => number {
  let state = seed
  return limit => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

function fileOf(dataBytes: number, seed = 1) {
  const below = drawing(seed)
  const data = Buffer.from(Array.from({ length: dataBytes }, () => below(256)))
  const builder = new ParityBuilder()
  for (let at = 0; at < dataBytes; at += BLOCK_BYTES) builder.add(data.subarray(at, at + BLOCK_BYTES))
  return { data, parity: builder.finish() }
}

/** Rebuilds each block that differs from the written one; undefined if one cannot be rebuilt. */
function rebuildAll(good: Buffer, file: { readonly data: Buffer; readonly parity: Buffer }): number | undefined {
  let rebuilt = 0
  for (let offsetBytes = 0; offsetBytes < good.length; offsetBytes += BLOCK_BYTES) {
    const expected = good.subarray(offsetBytes, offsetBytes + BLOCK_BYTES)
    const place = { offsetBytes, lengthBytes: expected.length }
    if (file.data.subarray(offsetBytes, offsetBytes + expected.length).equals(expected)) continue
    const pages = {
      dataBytes: file.data.length,
      data: (at: number, length: number) => file.data.subarray(at, at + length),
      parity: (group: number) => file.parity.subarray(group * PAGE, (group + 1) * PAGE),
    }
    const block = rebuildBlock(pages, place, bytes => bytes.equals(expected))
    if (block === undefined) return undefined
    assert.ok(block.equals(expected))
    rebuilt += 1
  }
  return rebuilt
}

const bigBytes = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

const GOLDEN = ["8 70a4674d595cda99", "8 f51af96311762147", "8 0e863c4414fe0002", "32 33158e7bde0e632d"]

test("the parity of a file is unchanged", () => {
  const hashes = [1, PAGE, 100_000, 2_500_000].map(dataBytes => {
    const data = Buffer.alloc(dataBytes, "what was written here")
    const builder = new ParityBuilder()
    builder.add(data)
    const parity = builder.finish()
    assert.equal(parity.length, parityBytesOf(dataBytes))
    return `${parity.length / PAGE} ${hexOf(bigBytes(xxh64(parity)))}`
  })
  assert.deepEqual(hashes, GOLDEN)
})

test("any damaged stretch that is shorter than the groups, wherever it begins, is rebuilt", () => {
  for (const dataBytes of [10, PAGE - 1, PAGE + 1, 40_000, 300_000, 2_000_000]) {
    const { data, parity } = fileOf(dataBytes)
    const groups = parity.length / PAGE
    const below = drawing(dataBytes)
    for (let i = 0; i < 40; i += 1) {
      const damaged = Buffer.from(data)
      const from = below(dataBytes)
      damaged.fill(0x3c, from, Math.min(dataBytes, from + 1 + below((groups - 1) * PAGE)))
      const rebuilt = rebuildAll(data, { data: damaged, parity })
      assert.ok(damaged.equals(data) || must(rebuilt, `${dataBytes} bytes, ${i}`) > 0)
    }
  }
})

test("damage to two pages of one group is not rebuilt, and other blocks are", () => {
  const { data, parity } = fileOf(600_000)
  const groups = parity.length / PAGE
  const damaged = Buffer.from(data)
  for (const page of [3, 3 + groups]) damaged[page * PAGE + 5] = (damaged[page * PAGE + 5] ?? 0) ^ 1
  assert.equal(rebuildAll(data, { data: damaged, parity }), undefined)
  const other = Buffer.from(damaged)
  data.copy(other, 0, 0, 4 * PAGE)
  assert.equal(rebuildAll(data, { data: other, parity }), 1)
})

test("a builder is empty again after each file, and pieces of any length give the same parity", () => {
  const { data } = fileOf(500_000, 5)
  const builder = new ParityBuilder()
  const parities = [7, 4096, 5000, 500_000].map(pieceBytes => {
    for (let at = 0; at < data.length; at += pieceBytes) builder.add(data.subarray(at, at + pieceBytes))
    return builder.finish()
  })
  for (const parity of parities) assert.ok(parity.equals(must(parities[0], "the first")))
})
