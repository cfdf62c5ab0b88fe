/** The door: what the core does with the parts of features, and that no decision is made without them. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { bucketNamed } from "../buckets/bucket-service.js"
import { createBucket, keptForMs, setSetting } from "../commands/bucket-commands-core.js"
import "../testing-features.js"
import { installFeatures } from "./feature.js"
import { bucketParts } from "./parts.js"

const DAY_MS = 86_400_000

test("the features of a process are fixed", () => {
  const before = bucketParts()
  assert.throws(() => installFeatures([]), /the features of a process are fixed/)
  assert.equal(bucketParts(), before)
})

test("a process without features makes no decision on objects", async () => {
  const parts = fileURLToPath(new URL("parts.js", import.meta.url))
  const script = `import { bucketParts } from ${JSON.stringify(parts)}; bucketParts()`
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script])
  await assert.rejects(run, /the features are installed/)
})

test("a bucket keeps what is deleted for as long as a feature says", () => {
  assert.equal(keptForMs({}), undefined)
  assert.equal(keptForMs({ undeleteDays: 3 }), 3 * DAY_MS)
  assert.equal(keptForMs({ undeleteDays: 3, state: "erasing" }), undefined, "an erased bucket keeps nothing")
})

test("a setting is refused beside one that its feature excludes, whichever comes first", async () => {
  const metadata = new MemoryMetadata()
  for (const [first, second] of [
    ["copies", "remote"],
    ["remote", "copies"],
  ] as const) {
    const name = parseBucketName(`${first}-first`)
    await metadata.run(createBucket({ name, owner: parseAccountId("owner"), location: "" }))
    const bucket = await metadata.ask(bucketNamed(name))
    assert.ok(bucket)
    await metadata.run(setSetting(bucket.id, first, "{}"))
    await assert.rejects(metadata.run(setSetting(bucket.id, second, "{}")), {
      kind: "invalidRequest",
      message: "the objects of a remote bucket are in another store already: it has no copies",
    })
  }
})
