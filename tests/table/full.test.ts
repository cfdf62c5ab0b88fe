/** Full and failing disks under a table store: see `full.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { TABLE_CHECKS } from "./checks.js"
import { checkFailures, checkFull, preparedCommit, preparedMerge } from "./full.js"
import { hostOf, mergingOf, openWriter } from "./world.js"

test("a full disk fails a commit or merge at any write, and changes nothing", async () => {
  assert.ok((await checkFull(await preparedCommit(1), 500)) > 5)
  assert.ok((await checkFull(await preparedMerge(2), 200)) > 5)
})

test("a failing call leaves the store unchanged, or uncertain, and ready for a retry", async () => {
  assert.ok((await TABLE_CHECKS.failures()) > 10)
  assert.ok((await checkFailures(await preparedCommit(3), true)) > 10)
  for (const forEver of [false, true]) assert.ok((await checkFailures(await preparedMerge(4), forEver)) > 10)
})

test("a merge makes smaller steps if there is little space", async () => {
  const { medium } = await preparedMerge(2)
  const stepWith = async (spaceBytes: number): Promise<number> => {
    const writer = await openWriter(hostOf(new SimDisk(medium.copy())))
    return (await writer.merge({ ...mergingOf("full"), spaceBytes })) ?? assert.fail("there is something to merge")
  }
  const [all, some] = [await stepWith(Infinity), await stepWith(1500)]
  assert.ok(some < all, `${some} and ${all} rows`)
})
