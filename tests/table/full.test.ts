/** Full and failing disks under a table store: see `full.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkFailures, checkFull, preparedCommit, preparedMerge } from "./full.js"

test("a full disk fails a commit or merge at any write, and changes nothing", async () => {
  assert.ok((await checkFull(await preparedCommit(1), 500)) > 5)
  assert.ok((await checkFull(await preparedMerge(2), 200)) > 5)
})

test("a call that fails leaves the store as it was, or uncertain, and fit for another try", async () => {
  for (const forEver of [false, true]) {
    assert.ok((await checkFailures(await preparedCommit(3), forEver)) > 10)
    assert.ok((await checkFailures(await preparedMerge(4), forEver)) > 8)
  }
})
