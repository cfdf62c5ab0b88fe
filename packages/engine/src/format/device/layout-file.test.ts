import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseNodeName, parseStoreId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { layoutFileJson, parseLayoutFile, type LayoutFile } from "./layout-file.js"
import { filled } from "../testing-golden.js"

const [A, B, C] = ["a", "b", "c"].map(digit => parseDeviceId(digit.repeat(16)))
assert.ok(A && B && C)

/** Tables of four partitions: whether there are as many as in a store is decided elsewhere. */
const FILE: LayoutFile = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  policy: parsePolicy("ec:2+1"),
  partitions: 4,
  devices: [
    { id: A, weight: 1, state: "active", node: parseNodeName("n1"), zone: "zürich", machine: "m 1", disk: "sda" },
    { id: B, weight: 2.5, state: "offline", node: parseNodeName("n2"), zone: 'e"st', machine: "m2" },
    { id: C, weight: 0.0000001, state: "draining" },
  ],
  layout: { version: 7, width: 3, bytesPerSlot: 1, devices: [A, B, C], table: filled(12, 0) },
  previous: { version: 6, width: 2, bytesPerSlot: 2, devices: [B, A], table: filled(16, 250) },
}
const golden = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/layout-file-v1.txt", import.meta.url),
  "utf8",
)

test("a layout file is what it always was, byte for byte, both ways", () => {
  assert.equal(`${JSON.stringify(layoutFileJson(FILE), undefined, 2)}\n`, golden)
  assert.deepEqual(parseLayoutFile(JSON.parse(golden)), FILE)
  const alone = { ...FILE, previous: undefined }
  assert.deepEqual(parseLayoutFile(JSON.parse(JSON.stringify(layoutFileJson(alone)))), alone)
})

test("neither spaces nor the order of members matter", () => {
  const { checksum, ...facts } = layoutFileJson(FILE)
  assert.deepEqual(parseLayoutFile({ checksum, ...Object.fromEntries(Object.entries(facts).reverse()) }), FILE)
})

test("a changed character anywhere is refused, and named", () => {
  let refused = 0
  for (let at = 0; at < golden.length; at += 1) {
    const character = golden[at] ?? ""
    if (!/[0-9a-zA-Zü]/.test(character)) continue
    const changed = golden.slice(0, at) + (character === "1" ? "2" : "1") + golden.slice(at + 1)
    let value: unknown
    try {
      value = JSON.parse(changed)
    } catch {
      continue
    }
    assert.throws(
      () => parseLayoutFile(value),
      error => isFailure(error, "corruptRecord", "invalidConfig"),
      changed.slice(at - 20, at + 20),
    )
    refused += 1
  }
  assert.ok(refused > 500, String(refused))
})

test("what is no layout file is refused, whatever it is", () => {
  for (const value of [undefined, null, 1, "x", [], {}, { format: "hayloft-layout" }]) {
    assert.throws(
      () => parseLayoutFile(value),
      error => isFailure(error, "corruptRecord"),
    )
  }
})

test("a later version is refused as one, before anything else in it is looked at", () => {
  assert.throws(
    () => parseLayoutFile({ format: "hayloft-layout", formatVersion: 2 }),
    error => isFailure(error, "invalidConfig") && /later release/.test(error.message),
  )
})
