import { test } from "node:test"
import assert from "node:assert/strict"
import { MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import { partBytesOf, partsOf } from "./upload.js"
import { readXml, textOfChild } from "./xml-reader.js"

async function partLengths(chunks: readonly number[], sizeBytes: number | undefined): Promise<number[]> {
  const lengths: number[] = []
  async function* source() {
    for (const length of chunks) yield new Uint8Array(length)
  }
  for await (const part of partsOf(source(), sizeBytes)) lengths.push(part.length)
  return lengths
}

test("parts: 8 MiB each, however the input is chunked, and at least one", async () => {
  assert.deepEqual(await partLengths([], undefined), [0])
  assert.deepEqual(await partLengths([1, 2], undefined), [3])
  assert.deepEqual(await partLengths([8 * MIB], undefined), [8 * MIB])
  assert.deepEqual(await partLengths([20 * MIB, 1], undefined), [8 * MIB, 8 * MIB, 4 * MIB + 1])
  assert.deepEqual(await partLengths([5 * MIB, 5 * MIB], 10 * MIB), [8 * MIB, 2 * MIB])
})

test("10,000 parts hold 5 TiB, known beforehand or not", () => {
  const size = 5 * 2 ** 40
  assert.ok(partBytesOf(1, size) * PARTS_MAX >= size)
  let unknown = 0
  for (let part = 1; part <= PARTS_MAX; part += 1) unknown += partBytesOf(part, undefined)
  assert.ok(unknown >= size)
})

test("XML responses: text, entities, nesting; hostile ones are refused", () => {
  const root = readXml(
    `<?xml version="1.0"?><A xmlns="u"><K>a &amp;&#x10;&lt;b&#233;&bogus;</K><E/><K>2</K><!-- c --></A>`,
  )
  assert.equal(textOfChild(root, "K"), "a &\u0010<bé&bogus;")
  assert.deepEqual(
    root.children.map(child => child.name),
    ["K", "E", "K"],
  )
  for (const bad of ["", "text", "<A>", "<A></B>", "</A>", "<A><B></A></B>", "<A>".repeat(40)]) {
    assert.throws(() => readXml(bad), { name: "BrokenAnswer" }, bad)
  }
})
