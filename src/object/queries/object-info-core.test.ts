import assert from "node:assert/strict"
import { test } from "node:test"
import { command } from "../../metadata/index.js"
import { KEY, newBucket, putOf, refuses } from "../commands/testing-bucket.js"
import { findLatest, RowEditor } from "../commands/row-editor-core.js"
import { putVersion } from "../commands/version-commands-core.js"
import { versionAndPart } from "../object-reader.js"

test("a sealed version is refused, and never read as it is stored", async () => {
  const scene = await newBucket()
  const { metadata, bucketId, row } = scene
  await metadata.run(putVersion(putOf(scene, 1)))
  const read = () => metadata.ask(versionAndPart(bucketId, KEY, undefined, undefined))
  assert.equal((await read()).record.sealing, undefined)
  const seal = command<[], void>({
    name: "Seal",
    touches: () => [["current", row]],
    decide(view, time) {
      const editor = new RowEditor(view, time, bucketId, KEY)
      const found = findLatest(view, row)
      assert.ok(found)
      const sealing = { key: { mode: "s3" }, secret: 1, salt: new Uint8Array(16), bind: new Uint8Array(16) } as const
      editor.rewrite(found, record => ({ ...record, sealing }))
      return { ...editor.finish(), result: undefined }
    },
  })
  await metadata.run(seal())
  await refuses(Promise.resolve().then(read), "notImplemented")
})
