/** The store in memory; the real one runs the same suite in `packages/engine/src/table/store.test.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../../failures.js"
import { parseDeviceId, rowKeyOf } from "../../ids.js"
import { SimDisk } from "../disk/index.js"
import type { StoreWrite } from "./contract.js"
import { MemoryStores } from "./testing-memory.js"
import { storeSuite } from "./suite.js"

const host = { disk: new SimDisk().boot(), deviceId: parseDeviceId("00000000000000d1") }
const rows = (count: number, value: Uint8Array): StoreWrite[] =>
  Array.from({ length: count }, (_, i) => ({ family: "current", key: rowKeyOf(`row ${i}`), value }))

storeSuite("memory", async () => ({
  stores: new MemoryStores(),
  path: "/device/base",
  host,
  dispose: async () => undefined,
}))

const damages: readonly (readonly [string, StoreWrite])[] = [
  ["a row that is missing", { family: "current", key: rowKeyOf("row 7"), value: undefined }],
  ["a row that is extra", { family: "versions", key: rowKeyOf("row 7"), value: Buffer.from("1") }],
  ["a row with another value", { family: "current", key: rowKeyOf("row 7"), value: Buffer.from("2") }],
]
for (const [what, damage] of damages) {
  test(`memory: ${what} fails the verification, which names the family`, async () => {
    const memory = new MemoryStores()
    const writer = await memory.openWriter("base")
    await writer.commit(rows(20, Buffer.from("1")))
    memory.damage("base", [damage])
    const { signal } = new AbortController()
    const isNamed = (error: unknown) => isFailure(error, "corruptRow") && error.details["family"] === damage.family
    await assert.rejects(writer.verify(signal), isNamed)
    await writer.commit(rows(5, Buffer.from("3")))
    await assert.rejects(writer.verify(signal), isNamed, "a later commit heals nothing that it does not touch")
  })
}

test("memory: a commit or a merge that fails changes nothing", async () => {
  let failing = false
  const faults = {
    beforeCommit: () => {
      if (failing) throw fail("deviceFull")
    },
  }
  const writer = await new MemoryStores(faults).openWriter("/base")
  await writer.commit(rows(3, Buffer.from("1")))
  await writer.commit(rows(1, Buffer.from("2")))
  const dropped: string[] = []
  const merging = {
    urgency: "quiet" as const,
    spaceBytes: Infinity,
    marks: () => [],
    dropped: (_: unknown, key: string) => void dropped.push(key),
  }
  failing = true
  await assert.rejects(writer.commit(rows(5, Buffer.from("3"))), error => isFailure(error, "deviceFull"))
  await assert.rejects(writer.merge(merging), error => isFailure(error, "deviceFull"))
  failing = false
  assert.equal(String(writer.get("current", rowKeyOf("row 0"))), String(Buffer.from("2")))
  assert.equal(writer.get("current", rowKeyOf("row 4")), undefined)
  assert.equal(await writer.merge(merging), 1)
  assert.deepEqual(dropped, ["row 0", "row 0"], "once in vain, and once for good")
})
