/** Which replica is wrong about a row: the one that differs from the majority, and none without a majority. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { DeviceRow } from "../device/index.js"
import { combineDigests, differences, digestOfRow } from "./comparison-core.js"

const key = (text: string) => rowKeyOf(text)
const DEVICES = ["a", "b", "c", "d"].map(letter => parseDeviceId(letter.repeat(16)))

/** Finds the differences among replicas, each as `key=digest` words; the result as `key device what`. */
function found(...texts: readonly string[]): string[] {
  const replicas = texts.map((text, i) => {
    const rows = new Map<RowKey, bigint>()
    for (const word of text.split(" ").filter(Boolean)) {
      const [name = "", digest = ""] = word.split("=")
      rows.set(key(name), BigInt(digest))
    }
    const id = DEVICES[i]
    assert.ok(id)
    return { id, rows }
  })
  return [...differences("current", replicas)].map(({ family, key: at, id, what }) => {
    assert.equal(family, "current")
    return `${at} ${id === undefined ? "?" : "abcd".charAt(DEVICES.indexOf(id))} ${what}`
  })
}

test("replicas with the same rows do not differ", () => {
  assert.deepEqual(found("x=1 y=2", "y=2 x=1", "x=1 y=2"), [])
  assert.deepEqual(found("", ""), [])
})

test("the majority is right: the others differ, miss a row or have an extra one", () => {
  assert.deepEqual(found("x=1", "x=1", "x=2"), ["x c different"])
  assert.deepEqual(found("x=1", "", "x=1"), ["x b missing"])
  assert.deepEqual(found("x=1", "", ""), ["x a extra"])
  assert.deepEqual(found("x=1", "x=2", "x=1", "x=1"), ["x b different"])
  assert.deepEqual(found("x=1 y=1", "x=1 y=1", "x=3"), ["x c different", "y c missing"])
})

test("without a majority no replica counts as wrong", () => {
  assert.deepEqual(found("x=1", "x=2"), ["x ? different"])
  assert.deepEqual(found("x=1", ""), ["x ? different"])
  assert.deepEqual(found("x=1", "x=2", "x=3"), ["x ? different"])
  assert.deepEqual(found("x=1", "x=1", "x=2", "x=2"), ["x ? different"])
})

test("a row's digest depends on its family, key, value and the length of its payload", () => {
  const payloadOf = (lengthBytes: number) => ({ in: "volume", volume: 1, offsetBytes: 0, lengthBytes }) as const
  const row = (value: string, lengthBytes?: number) =>
    ({
      value: new TextEncoder().encode(value),
      payload: lengthBytes === undefined ? undefined : payloadOf(lengthBytes),
    }) as unknown as DeviceRow
  const digests = [
    digestOfRow("current", key("key"), row("value")),
    digestOfRow("versions", key("key"), row("value")),
    digestOfRow("current", key("ke"), row("yvalue")),
    digestOfRow("current", key("key"), row("valu")),
    digestOfRow("current", key("key"), row("value", 0)),
    digestOfRow("current", key("key"), row("value", 7)),
  ]
  assert.equal(new Set(digests).size, digests.length)
  assert.equal(digestOfRow("current", key("key"), row("value")), digests[0])
})

test("digests combine to the same in any order, within 64 bits, and an extra part changes them", () => {
  const parts = [1n, 2n ** 64n - 1n, 12345678901234567890n]
  const whole = parts.reduce(combineDigests, 0n)
  assert.equal(parts.toReversed().reduce(combineDigests, 0n), whole)
  assert.equal(whole, 12345678901234567890n)
  assert.notEqual(combineDigests(whole, 5n), whole)
})
