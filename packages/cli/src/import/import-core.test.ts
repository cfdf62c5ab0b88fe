/** Which versions an import copies, for histories of both stores. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { decideImport, likenessOf } from "./import-core.js"

const version = (etag: string, sizeBytes = 1) => ({ isMarker: false, sizeBytes, etag })
const MARKER = { isMarker: true, sizeBytes: 0, etag: "" }

test("the target gets what it lacks of an unbroken beginning", () => {
  const source = [version("a"), MARKER, version("b")]
  for (let there = 0; there <= source.length; there += 1) {
    assert.deepEqual(decideImport(source, source.slice(0, there)), { kind: "copy", copyFrom: there, unsure: [] })
  }
})

test("a target with another history is not touched", () => {
  const source = [version("a"), version("b")]
  for (const target of [
    [version("a"), version("b"), version("c")],
    [version("a", 2)],
    [MARKER],
    [version("a"), MARKER],
    [version("b", 5), version("a")],
  ]) {
    assert.equal(decideImport(source, target).kind, "differs", JSON.stringify(target))
  }
})

test("versions of one size with other ETags have to be looked at", () => {
  assert.deepEqual(decideImport([version("a"), version("b-2")], [version("a"), version("b-3")]), {
    kind: "copy",
    copyFrom: 2,
    unsure: [1],
  })
  assert.equal(likenessOf(MARKER, MARKER), "same")
  assert.equal(likenessOf(version("x", 0), MARKER), "different")
})
