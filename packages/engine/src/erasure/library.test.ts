import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { ErasureCode } from "./library.js"
import { referenceEncode } from "./testing-reference.js"

const bytesOf = (lengthBytes: number, from = 1): Uint8Array =>
  Uint8Array.from({ length: lengthBytes }, (_, i) => (from + i * 31 + (i >> 8) * 17) & 0xff)

/** A shape, the length of a body, and the slots that are lost: at most m. */
const CASES = fc.record({ k: fc.integer({ min: 1, max: 20 }), m: fc.integer({ min: 1, max: 12 }) }).chain(({ k, m }) =>
  fc.record({
    k: fc.constant(k),
    m: fc.constant(m),
    lengthBytes: fc.integer({ min: 0, max: 3_000 }),
    lost: fc.uniqueArray(fc.integer({ min: 0, max: k + m - 1 }), { maxLength: m }),
  }),
)

test("a body of any length comes back from any shards that are left", () => {
  fc.assert(
    fc.property(CASES, ({ k, m, lengthBytes, lost }) => {
      const code = new ErasureCode(k, m)
      const body = bytesOf(lengthBytes)
      const data = code.split(body)
      const parity = code.encode(data)
      assert.deepEqual(parity, referenceEncode({ k, m, matrix: "cauchy" }, data))
      const shards = [...data, ...parity]
      const again = code.reconstruct(shards.map((bytes, slot) => (lost.includes(slot) ? undefined : bytes)))
      assert.deepEqual(again, shards)
      assert.deepEqual(code.join(again, lengthBytes), body)
      assert.equal(code.verify(again), true)
    }),
  )
})

test("shards that are larger than the memory's pieces pass in several, and codes do not disturb each other", () => {
  const [wide, narrow] = [new ErasureCode(3, 2), new ErasureCode(2, 1)]
  const body = bytesOf(3 * (2 * 65_536 + 1))
  const data = wide.split(body)
  const parity = wide.encode(data)
  narrow.encode(narrow.split(bytesOf(70_000, 9)))
  assert.deepEqual(parity, referenceEncode({ k: 3, m: 2, matrix: "cauchy" }, data))
  assert.deepEqual(wide.join(wide.reconstruct([undefined, data[1], undefined, ...parity]), body.length), body)
})

test("verify notices one flipped bit, wherever it is", () => {
  const code = new ErasureCode(3, 2)
  const data = code.split(bytesOf(300))
  const shards = [...data, ...code.encode(data)]
  for (const [slot, bytes] of shards.entries()) {
    const flipped = bytes.slice()
    flipped[slot] = (flipped[slot] ?? 0) ^ 4
    assert.equal(code.verify(shards.with(slot, flipped)), false, `slot ${slot}`)
  }
})

test("split copies, and what methods return is not what they were given", () => {
  const code = new ErasureCode(2, 1)
  const body = bytesOf(128)
  const data = code.split(body)
  data[0]?.fill(0)
  assert.deepEqual(body, bytesOf(128))
  const joined = code.join(data, 128)
  joined.fill(7)
  assert.equal(data[0]?.[0], 0)
})

test("mistakes have a code", () => {
  const code = new ErasureCode(2, 1)
  const [a, b] = [bytesOf(4), bytesOf(4)]
  /** A call by a program that no compiler has checked. */
  const plainly = (call: (...args: never[]) => unknown, ...args: unknown[]): unknown => Reflect.apply(call, code, args)
  const mistakes: readonly (readonly [code: string, act: () => unknown])[] = [
    ["invalidCode", () => new ErasureCode(0, 1)],
    ["invalidCode", () => new ErasureCode(4, 0)],
    ["invalidCode", () => new ErasureCode(30, 3)],
    ["invalidCode", () => new ErasureCode(1.5, 1)],
    ["invalidBytes", () => plainly(code.split, "hello")],
    ["invalidBytes", () => plainly(code.split, new ArrayBuffer(8))],
    ["invalidBytes", () => plainly(code.join, [a, undefined], 8)],
    ["invalidBytes", () => plainly(code.encode, [undefined, b])],
    ["invalidBytes", () => plainly(code.verify, [a, b, undefined])],
    ["invalidBytes", () => plainly(code.reconstruct, [a, "hello", undefined])],
    ["shardCount", () => code.encode([a])],
    ["shardCount", () => code.reconstruct([a, b])],
    ["shardCount", () => code.verify([a, b])],
    ["shardCount", () => code.join([a], 4)],
    ["shardLength", () => code.encode([a, bytesOf(5)])],
    ["shardLength", () => code.reconstruct([a, undefined, bytesOf(3)])],
    ["shardLength", () => code.verify([a, b, bytesOf(3)])],
    ["shardLength", () => code.join([a, bytesOf(5)], 8)],
    ["notEnoughShards", () => code.reconstruct([a, undefined, undefined])],
    ["invalidLength", () => code.join([a, b], 9)],
    ["invalidLength", () => code.join([a, b], 6)],
    ["invalidLength", () => code.join([a, b], -1)],
  ]
  for (const [expected, act] of mistakes) assert.throws(act, { name: "LibraryError", code: expected })
})
