import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { Block, BlockBuilder, compareBytes, fileSeed, isWholeBlock, ROW_FLAGS, rowBytes } from "./table-block.js"
import { FilterBuilder, KeyHash, mayHold } from "./table-filter.js"

const DEVICE = parseDeviceId("fedcba9876543210")
const SEED = fileSeed(DEVICE, 7)
const OFFSET = 8192

const bytes = (text: string): Buffer => Buffer.from(text, "latin1")
const ROWS = [
  { key: bytes("\x01a"), flags: 0, value: bytes("one") },
  { key: bytes("\x01a\x00"), flags: ROW_FLAGS.tombstone, value: bytes("") },
  { key: bytes("\x01ab"), flags: ROW_FLAGS.countedOlder, value: bytes("x".repeat(300)) },
  { key: bytes("\x02\xff"), flags: ROW_FLAGS.tombstone | ROW_FLAGS.countedOlder, value: bytes("") },
]

function dataBlock(seed = SEED, offsetBytes = OFFSET): Buffer {
  const builder = new BlockBuilder(64)
  for (const { key, flags, value } of ROWS) builder.add(key, flags, value)
  return builder.finish(seed, offsetBytes)
}

function directoryBlock(): Buffer {
  const [builder, filter] = [new BlockBuilder(64), new FilterBuilder()]
  for (const { key } of ROWS) filter.add(key)
  const place = Buffer.alloc(8)
  place.writeUInt32LE(4096, 0)
  place.writeUInt32LE(700, 4)
  builder.add(bytes("\x02\xff"), 0, place)
  return builder.finish(SEED, OFFSET, filter.finish())
}

const golden = (name: string): string =>
  readFileSync(
    new URL(`../../../../../../packages/engine/src/format/golden/${name}.hex`, import.meta.url),
    "utf8",
  ).trim()

const rowsOf = (block: Block): typeof ROWS =>
  Array.from({ length: block.rows }, (_, row) => {
    const keyAt = block.keyAt(row)
    const valueAt = block.valueAt(keyAt)
    return {
      key: block.bytes.subarray(keyAt, valueAt),
      flags: block.flags(keyAt),
      value: block.bytes.subarray(valueAt, valueAt + block.valueBytes(keyAt)),
    }
  })

test("data block v1 is unchanged, byte for byte", () => {
  const stored = Buffer.from(bytesOfHex(golden("table-data-block-v1")) ?? [])
  assert.equal(hexOf(dataBlock()), hexOf(stored))
  assert.ok(isWholeBlock(stored, SEED, OFFSET))
  assert.deepEqual(rowsOf(new Block(stored)), ROWS)
})

test("directory block v1 with its filter is unchanged, byte for byte", () => {
  const stored = Buffer.from(bytesOfHex(golden("table-directory-block-v1")) ?? [])
  assert.equal(hexOf(directoryBlock()), hexOf(stored))
  const { rows, filterAt, filterBytes } = new Block(stored)
  assert.equal(rows, 1)
  for (const { key } of ROWS) {
    assert.ok(mayHold(stored, filterAt, filterBytes, new KeyHash().of(key, 0, key.length)))
  }
})

test("every prefix and every single flipped bit of a block is refused", () => {
  for (const block of [dataBlock(), directoryBlock()]) {
    for (let length = 0; length < block.length; length += 1) {
      assert.ok(!isWholeBlock(block.subarray(0, length), SEED, OFFSET), `${length} bytes`)
    }
    for (let bit = 0; bit < block.length * 8; bit += 1) {
      const flipped = Buffer.from(block)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.ok(!isWholeBlock(flipped, SEED, OFFSET), `bit ${bit}`)
    }
  }
})

test("a block is valid only at its own offset of its own file of its own device", () => {
  const block = dataBlock()
  assert.ok(isWholeBlock(block, SEED, OFFSET))
  assert.ok(!isWholeBlock(block, SEED, OFFSET + 8192), "another place")
  assert.ok(!isWholeBlock(block, fileSeed(DEVICE, 8), OFFSET), "another file")
  assert.ok(!isWholeBlock(block, fileSeed(parseDeviceId("0123456789abcdef"), 7), OFFSET), "another device")
})

test("a builder can be reused, returns its length, and accepts rows of any size", () => {
  const builder = new BlockBuilder(16)
  builder.add(bytes("k"), 0, Buffer.alloc(70_000, 1))
  assert.equal(builder.lengthBytes, rowBytes(1, 70_000) + 16)
  assert.equal(builder.finish(SEED, 0).length, rowBytes(1, 70_000) + 16)
  assert.equal(builder.rows, 0)
  for (const { key, flags, value } of ROWS) builder.add(key, flags, value)
  assert.equal(hexOf(builder.lastKey()), hexOf(bytes("\x02\xff")))
  assert.equal(hexOf(builder.finish(SEED, OFFSET)), hexOf(dataBlock()))
})

/** Keys with long common prefixes, and keys that are prefixes of others: in order, each once. */
function trickyKeys(parts: readonly string[]): Buffer[] {
  const keys = parts.flatMap(a => parts.flatMap(b => parts.map(c => `\x01${a}${b}${c}`)))
  return [...new Set(keys)].map(bytes).sort((a, b) => a.compare(b))
}
const KEYS = trickyKeys(["", "a", "aa", "b", "\xff", "aaaaaaaab"])

test("a search finds the first key at or above any key", () => {
  const probes = [...trickyKeys(["", "a", "ab", "b", "\x00", "c"]), ...KEYS, bytes(""), bytes("\xff")]
  for (const step of [1, 2, 5]) {
    const keys = KEYS.filter((_, i) => i % step === 0)
    const builder = new BlockBuilder(64)
    for (const key of keys) builder.add(key, 0, bytes("v"))
    const block = new Block(builder.finish(SEED, 0))
    for (const probe of probes) {
      const at = keys.findIndex(key => key.compare(probe) >= 0)
      const longer = Buffer.concat([probe, bytes("zz")])
      assert.equal(block.search(longer, probe.length), at === -1 ? keys.length : at, `${step}: ${hexOf(probe)}`)
    }
  }
})

test("keys are compared as bytes, at any offset", () => {
  for (const a of KEYS) {
    for (const b of KEYS) {
      const [left, right] = [Buffer.concat([bytes("?"), a]), Buffer.concat([b, bytes("?")])]
      assert.equal(Math.sign(compareBytes(left, 1, left.length, right, 0, b.length)), a.compare(b))
    }
  }
})

test("a filter matches every key that was added, and few others", () => {
  const filter = new FilterBuilder()
  const keyAt = (i: number): Buffer => bytes(`\x01bucket/photos/${i}`)
  for (let i = 0; i < 5000; i += 1) filter.add(keyAt(i))
  const stored = filter.finish()
  const has = (i: number): boolean => mayHold(stored, 0, stored.length, new KeyHash().of(keyAt(i), 0, keyAt(i).length))
  for (let i = 0; i < 5000; i += 1) assert.ok(has(i))
  const wrong = Array.from({ length: 5000 }, (_, i) => has(5000 + i)).filter(Boolean).length
  assert.ok(wrong < 150, `${wrong} of 5000 absent keys pass`)
  assert.equal(filter.finish().length, 8, "the builder is empty again")
})
