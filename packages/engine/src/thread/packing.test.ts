/** Messages arrive as they were packed, whatever plain data they hold, and whatever came before them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { LINK_LIMITS } from "./limits.js"
import { MessagePacker, MessageUnpacker } from "./packing.js"

/** Two sides; the result is received as another thread receives it. */
function sides() {
  const packing = new MessagePacker()
  const unpacking = new MessageUnpacker()
  return (messages: readonly unknown[], isLost = false): readonly unknown[] => {
    const packed = packing.pack(messages)
    if (isLost) return []
    packing.sent()
    return unpacking.unpack(structuredClone(packed, { transfer: [packed.bytes.buffer] }))
  }
}

const well = fc.string({ unit: "grapheme", maxLength: 80 })
const leaf = fc.oneof(
  well,
  fc.constantFrom(undefined, null, true, false, 0, 63, 64, 255, 256, -33, 2 ** 32, -(2 ** 40), 2 ** 53 - 1),
  fc.constantFrom(1.5, 0.1, Number.NaN, Infinity, -Infinity, 1n, -5n, 2n ** 63n),
  fc.uint8Array({ maxLength: 70 }),
)
const { data } = fc.letrec<{ data: unknown }>(tie => ({
  data: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.array(tie("data"), { maxLength: 5 }),
    fc.dictionary(fc.constantFrom("a", "b", "key", "constructor", "toJSON", "length", "with space", "Ω"), tie("data")),
    fc.array(fc.tuple(leaf, tie("data")), { maxLength: 4 }).map(entries => new Map(entries)),
    fc.array(tie("data"), { maxLength: 4 }).map(items => new Set(items)),
  ),
}))

/** The comparison distinguishes objects by their prototypes; dictionaries of the generator have none. */
const same = (found: unknown, sent: unknown): void => assert.deepEqual(structuredClone(found), structuredClone(sent))

test("plain data arrives as it was packed, in one message after the other", () => {
  const send = sides()
  const messages = fc.array(data, { maxLength: 6 })
  fc.assert(
    fc.property(messages, fc.integer({ min: 0, max: 9 }), (sent, lost) => {
      if (lost === 0) send(sent, true)
      same(send(sent), sent)
    }),
    { numRuns: runsOf(150) },
  )
})

test("more shapes of objects than are sent briefly arrive, too, and what cannot be packed fails alone", () => {
  const send = sides()
  const count = LINK_LIMITS.shapesMax + 100
  for (let at = 0; at < count; at += 50) {
    const objects = Array.from({ length: 50 }, (_, i) => ({ [`field ${at + i}`]: { [`inner ${at + i}`]: at } }))
    same(send(objects), objects)
  }
  assert.throws(() => send([{ fresh: 1 }, Symbol("no data")]))
  assert.throws(() => send([2n ** 64n]))
  same(send([{ fresh: 2 }, { fresher: 3 }]), [{ fresh: 2 }, { fresher: 3 }])
})

test("functions, and names that the packing uses itself, are refused alone", () => {
  const send = sides()
  for (const bad of [() => 1, { ["__proto__"]: 1, a: 2 }, { a: 1, __keys__: 2 }, { __keys__: 1, a: 2 }]) {
    assert.throws(() => send([{ before: 1 }, bad]))
    same(send([{ fresh: 1 }, { a: 1, after: 2 }]), [{ fresh: 1 }, { a: 1, after: 2 }])
  }
})

test("an array of bytes that is kept keeps no long message in memory", () => {
  const send = sides()
  const { viewedBytesMax } = LINK_LIMITS
  for (const [others, isView] of [
    [10, true],
    [viewedBytesMax, false],
    [10, true],
  ] as const) {
    const [kept] = send([new Uint8Array([1, 2, 3]), new Uint8Array(others)])
    assert.ok(kept instanceof Uint8Array)
    assert.deepEqual([...kept], [1, 2, 3])
    assert.equal(kept.buffer.byteLength > kept.length, isView)
    assert.ok(kept.buffer.byteLength <= viewedBytesMax)
  }
})
