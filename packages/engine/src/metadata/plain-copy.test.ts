/** Arguments and results: a copy is equal, shares nothing that could change, and anything but plain data is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { plainCopy } from "./plain-copy.js"

test("a copy is equal and shares nothing", () => {
  const value = {
    text: "a",
    none: undefined,
    big: 10n ** 20n,
    list: [1, [null, { bytes: Buffer.from("bytes") }]],
    map: new Map([["key", new Set([{ n: 1 }])]]),
    ["__proto__"]: "a name like others",
  }
  const copy = plainCopy(value)
  // A buffer arrives as bytes.
  assert.deepEqual(copy, structuredClone(value))
  assert.deepEqual(Object.keys(copy), Object.keys(value))
  value.list.push(2)
  value.map.clear()
  assert.deepEqual([copy.list.length, copy.map.size], [2, 1])
})

test("bytes are copied, not viewed", () => {
  const bytes = Buffer.from("before")
  const copy = plainCopy({ bytes: bytes.subarray(0, 3) })
  bytes.fill(0)
  assert.equal(Buffer.from(copy.bytes).toString(), "bef")
})

test("anything but plain data is refused", () => {
  class Account {}
  for (const value of [() => 1, Symbol("s"), new Account(), new Date(0), Promise.resolve()])
    assert.throws(() => plainCopy({ value }), /no plain data/)
})
