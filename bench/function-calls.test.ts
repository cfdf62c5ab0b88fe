import { test } from "node:test"
import assert from "node:assert/strict"
import { calledFiles, costOf, filesBeyond, leastCalls, parseCoverage } from "./function-calls.js"

const url = (path: string): string => `file:///tmp/a/dist/packages/${path}.js`
const coverage = parseCoverage([
  {
    url: url("protocols/src/s3/handler"),
    functions: [
      { name: "handle", at: 10, calls: 40 },
      { name: "", at: 90, calls: 121 },
      { name: "rare", at: 200, calls: 39 },
    ],
  },
  { url: url("engine/src/device/checkpoint/checkpoint"), functions: [{ name: "begin", at: 5, calls: 2 }] },
  { url: url("base/src/bytes"), functions: [{ name: "join", at: 7, calls: 80 }] },
])

test("a function counts if it ran for every request, and a file if one of its functions did", () => {
  const files = calledFiles(coverage, 40)
  assert.deepEqual(
    files.map(({ path, functions }) => [path, functions.map(({ name }) => name)]),
    [
      ["packages/base/src/bytes.ts", ["join"]],
      ["packages/protocols/src/s3/handler.ts", ["handle", ""]],
    ],
  )
  // 1 + 3.025 + 2 calls.
  assert.deepEqual(costOf(files), { files: 2, functions: 3, calls: 6 })
})

test("additional files are those that the other request does not run", () => {
  const files = calledFiles(coverage, 40)
  assert.deepEqual(filesBeyond(files, calledFiles(coverage.slice(2), 40)), ["packages/protocols/src/s3/handler.ts"])
  assert.deepEqual(filesBeyond(files, files), [])
})

test("the sample with the fewest calls of a function counts, and a sample without it counts as zero calls", () => {
  const sample = (name: string, calls: number) => [{ url: url("a"), functions: [{ name, at: 1, calls }] }]
  assert.deepEqual(leastCalls([sample("f", 50), sample("f", 41), sample("f", 90)]), sample("f", 41))
  assert.deepEqual(calledFiles(leastCalls([coverage, coverage.slice(1)]), 40), calledFiles(coverage.slice(1), 40))
})

test("a report of something else is refused", () => {
  assert.throws(() => parseCoverage({ error: "the profiler is not enabled" }))
})
