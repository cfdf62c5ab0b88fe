/** When the bytes of new objects will probably be removed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "../base/failures.js"
import { objectKeyOfText, parseBucketId } from "../base/ids.js"
import { asPromise } from "../base/soon.js"
import type { SettingRecord } from "../format/records.js"
import { BodyEnds } from "./body-ends.js"
import type { Bucket } from "./contract.js"
import "./testing-features.js"

test("rules that could not be read are read again for the next object", async () => {
  let reads = 0
  const setting = async (): Promise<SettingRecord | undefined> => {
    reads += 1
    await Promise.resolve()
    if (reads === 1) throw fail("deviceFailed", { code: "EIO" })
    return undefined
  }
  const ends = new BodyEnds({ wallMs: () => 0 }, { setting }, {} as never)
  const bucket = {
    id: parseBucketId(1),
    versioning: "never",
    settings: ["lifecycle"],
    settingsVersion: 1,
  } as never as Bucket
  for (let i = 0; i < 3; i += 1)
    assert.equal(await asPromise(() => ends.of(bucket, objectKeyOfText("k"), 1, { tags: [] })), undefined)
  assert.equal(reads, 2)
})
