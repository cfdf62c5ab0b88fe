/** The end of a new object by the rules of its bucket. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { SettingRecord } from "@hayloft/engine/format/records.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { EndsByRule } from "./ends-by-rule.js"

test("rules that could not be read are read again for the next object", async () => {
  let reads = 0
  const setting = async (): Promise<SettingRecord | undefined> => {
    reads += 1
    await Promise.resolve()
    if (reads === 1) throw fail("deviceFailed", { code: "EIO" })
    return undefined
  }
  const ends = new EndsByRule({ wallMs: () => 0 }, { setting }, REAL_DAYS)
  const bucket = {
    id: parseBucketId(1),
    versioning: "never",
    settings: ["lifecycle"],
    settingsVersion: 1,
  } as never as Bucket
  for (let i = 0; i < 3; i += 1) {
    const object = { key: objectKeyOfText("k"), sizeBytes: 1, tags: [] }
    assert.equal(await asPromise(() => ends.of(bucket, object)), Infinity)
  }
  assert.equal(reads, 2)
})
