/** The reader of a setting: one read for each version of a bucket's settings, in any order of results. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId, parseBucketId, parseBucketName } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket, SettingRecord } from "@hayloft/objects/contract.js"
import { S3SettingReader, type TextSetting } from "./setting.js"

const bucketAt = (settingsVersion: number, id = 1): Bucket => ({
  id: parseBucketId(id),
  name: parseBucketName("bucket"),
  owner: parseAccountId("owner"),
  createdMs: 0,
  location: "",
  versioning: "never",
  settings: ["policy"],
  settingsVersion,
})

const TEXT: TextSetting<string> = { name: "policy", initial: undefined, parse: document => document }

/** Returns each document when the test releases it. */
class LateDocuments {
  readonly answers: ((document: string) => void)[] = []

  setting(): Soon<SettingRecord | undefined> {
    return new Promise(resolve => this.answers.push(document => resolve({ document, setMs: 0 })))
  }
}

test("a document that was read under an older version of the settings is not cached under the newer", async () => {
  const documents = new LateDocuments()
  const reader = new S3SettingReader(documents, TEXT)
  const early = reader.of(bucketAt(1))
  const later = reader.of(bucketAt(2))
  documents.answers[1]?.("new")
  assert.equal(await later, "new")
  documents.answers[0]?.("old")
  assert.equal(await early, "old")
  assert.equal(reader.of(bucketAt(2)), "new", "remembered, and not replaced by the late answer")
  assert.equal(documents.answers.length, 2)
})

test("a document is read again when the settings have another version", async () => {
  const documents = new LateDocuments()
  const reader = new S3SettingReader(documents, TEXT)
  const first = reader.of(bucketAt(1))
  documents.answers[0]?.("old")
  assert.equal(await first, "old")
  assert.equal(reader.of(bucketAt(1)), "old")
  const second = reader.of(bucketAt(2))
  assert.ok(second instanceof Promise, "the answer of the older version does not count")
  const other = reader.of(bucketAt(2, 7))
  documents.answers[1]?.("new")
  documents.answers[2]?.("another bucket's")
  assert.deepEqual(await Promise.all([second, other]), ["new", "another bucket's"])
  assert.equal(reader.of(bucketAt(2)), "new")
})
