import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../testing-properties.js"
import { createXXHash64 } from "hash-wasm"
import { RunningXxh64, xxh64, xxh64Into, xxh64Memory } from "./xxh64.js"

const U64 = (1n << 64n) - 1n
const [P1, P2, P3, P4, P5] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
]
const rotl = (x: bigint, bits: bigint) => ((x << bits) | (x >> (64n - bits))) & U64
const round = (acc: bigint, input: bigint) => (rotl((acc + input * P2) & U64, 31n) * P1) & U64

/** The specification, step by step. */
function slowXxh64(bytes: Uint8Array, seed: bigint): bigint {
  const word = (at: number, size: number) => {
    let value = 0n
    for (let i = size - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes[at + i] ?? 0)
    return value
  }
  let at = 0
  let hash = (seed + P5) & U64
  if (bytes.length >= 32) {
    let [a, b, c, d] = [seed + P1 + P2, seed + P2, seed, seed - P1].map(v => v & U64)
    for (; at + 32 <= bytes.length; at += 32) {
      a = round(a ?? 0n, word(at, 8))
      b = round(b ?? 0n, word(at + 8, 8))
      c = round(c ?? 0n, word(at + 16, 8))
      d = round(d ?? 0n, word(at + 24, 8))
    }
    const lanes = [a ?? 0n, b ?? 0n, c ?? 0n, d ?? 0n] as const
    hash = (rotl(lanes[0], 1n) + rotl(lanes[1], 7n) + rotl(lanes[2], 12n) + rotl(lanes[3], 18n)) & U64
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * P1 + P4) & U64
  }
  hash = (hash + BigInt(bytes.length)) & U64
  for (; at + 8 <= bytes.length; at += 8) hash = (rotl(hash ^ round(0n, word(at, 8)), 27n) * P1 + P4) & U64
  for (; at + 4 <= bytes.length; at += 4) hash = (rotl(hash ^ ((word(at, 4) * P1) & U64), 23n) * P2 + P3) & U64
  for (; at < bytes.length; at += 1) hash = (rotl(hash ^ ((word(at, 1) * P5) & U64), 11n) * P1) & U64
  hash = ((hash ^ (hash >> 33n)) * P2) & U64
  hash = ((hash ^ (hash >> 29n)) * P3) & U64
  return hash ^ (hash >> 32n)
}

const ascii = (text: string) => new TextEncoder().encode(text)

/** The buffer that xxHash's own sanity check uses. */
function sanityBuffer(length: number): Uint8Array {
  let generator = 2654435761n
  return Uint8Array.from({ length }, () => {
    const byte = Number(generator >> 56n)
    generator = (generator * 11400714785074694797n) & U64
    return byte
  })
}

test("xxh64 gives the published values", () => {
  assert.equal(xxh64(ascii("")), 0xef46db3751d8e999n)
  assert.equal(xxh64(ascii("a")), 0xd24ec4f1a98c6e5bn)
  assert.equal(xxh64(ascii("abc")), 0x44bc2cf5ad770999n)
  assert.equal(xxh64(ascii("Nobody inspects the spammish repetition")), 0xfbcea83c8a378bf1n)
  const prime32 = 2654435761n
  assert.equal(xxh64(sanityBuffer(0), prime32), 0xac75fda2929b17efn)
  assert.equal(xxh64(sanityBuffer(1)), 0xe934a84adb052768n)
  assert.equal(xxh64(sanityBuffer(1), prime32), 0x5014607643a9b4c3n)
  assert.equal(xxh64(sanityBuffer(4)), 0x9136a0dca57457een)
  assert.equal(xxh64(sanityBuffer(14)), 0x8282dcc4994e35c8n)
  assert.equal(xxh64(sanityBuffer(14), prime32), 0xc3bd6bf63deb6df0n)
  assert.equal(xxh64(sanityBuffer(222)), 0xb641ae8cb691c174n)
  assert.equal(xxh64(sanityBuffer(222), prime32), 0x20cb8ab7ae10c14an)
})

test("xxh64 equals the reference for every length up to 200 and around the piece size", () => {
  for (let length = 0; length <= 200; length += 1) {
    const bytes = sanityBuffer(length)
    assert.equal(xxh64(bytes, 7n), slowXxh64(bytes, 7n), `length ${length}`)
  }
  for (const length of [65_535, 65_536, 65_537, 65_567, 65_568, 131_072, 131_109]) {
    const bytes = sanityBuffer(length)
    assert.equal(xxh64(bytes, U64), slowXxh64(bytes, U64), `length ${length}`)
  }
})

test("xxh64 equals hash-wasm's for random bytes and seeds, also through xxh64Into", async () => {
  const hasher = await createXXHash64()
  const target = new Uint8Array(24)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.bigInt({ min: 0n, max: U64 }), (bytes, seed) => {
      const hash = xxh64(bytes, seed)
      assert.equal(hash, slowXxh64(bytes, seed))
      xxh64Into(bytes, seed, target, 8)
      assert.equal(new DataView(target.buffer).getBigUint64(8, true), hash)
    }),
    { numRuns: 300, seed: 1 },
  )
  const long = sanityBuffer(3_000_001)
  hasher.init()
  assert.equal(xxh64(long).toString(16).padStart(16, "0"), hasher.update(long).digest("hex"))
  xxh64Into(long, 0n, target, 3)
  assert.equal(new DataView(target.buffer).getBigUint64(3, true), xxh64(long))
})

test("bytes in WebAssembly memory are hashed in place, at any offset, to the same value", () => {
  const memory = xxh64Memory(200_000)
  for (let i = 0; i < memory.length; i += 1) memory[i] = (i * 31 + (i >> 8)) & 0xff
  for (const [from, length] of [
    [0, 65_536],
    [65_536, 65_536],
    [100, 16_384],
    [3, 65_537],
    [65_500, 16_383],
    [77, 150_001],
    [5, 10],
  ] as const) {
    const there = memory.subarray(from, from + length)
    assert.equal(xxh64(there, 7n), xxh64(Uint8Array.from(there), 7n), `${length} bytes from ${from}`)
  }
})

test("a running XXH64 in pieces of any length is that of the whole, beside others", () => {
  const bytes = sanityBuffer(200_000)
  fc.assert(
    fc.property(fc.array(fc.nat(200_000), { maxLength: 20 }), fc.nat(200_000), (cuts, length) => {
      const ends = [...cuts.filter(cut => cut <= length).sort((a, b) => a - b), length]
      const [first, second] = [new RunningXxh64(), new RunningXxh64()]
      for (const [i, to] of ends.entries()) {
        first.update(bytes.subarray(i === 0 ? 0 : ends[i - 1], to))
        second.update(bytes.subarray(0, 45))
      }
      const expected = xxh64(bytes.subarray(0, length))
      assert.equal(Buffer.from(first.digest()).readBigUInt64BE(), expected, `${length} bytes`)
    }),
    { numRuns: 200, seed: 1 },
  )
  for (let length = 0; length < 100; length += 1) {
    const running = new RunningXxh64()
    running.update(bytes.subarray(0, length))
    assert.equal(Buffer.from(running.digest()).readBigUInt64BE(), xxh64(bytes.subarray(0, length)))
  }
})
