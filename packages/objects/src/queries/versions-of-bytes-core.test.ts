/** Versions are found by their bytes, among many of the same key. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { MultipartId } from "@hayloft/base/ids.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { setVersioning } from "../commands/bucket-commands-core.js"
import { countingRows, newBucket, putOf, randomOf } from "../commands/testing-bucket.js"
import { putVersion } from "../commands/version-commands-core.js"
import { versionOfSegments, versionsOfBytes } from "./versions-of-bytes-core.js"
import "../testing-features.js"

const VERSIONS = 1_000
/** The clock of these decisions goes on by so much with each. */
const DECISION_US = 1_000
const HOUR_US = 3_600_000_000

/** Versions with segments; `idOrderOf`: the order in a version's id, from that of the version before. */
async function scene(idOrderOf: (before: number) => number) {
  const { metadata, bucketId, row } = await newBucket()
  await metadata.run(setVersioning(bucketId, "enabled"))
  const versions: { readonly id: MultipartId; readonly order: number }[] = []
  for (let i = 0; i < VERSIONS; i += 1) {
    const id = multipartIdOf(idOrderOf(versions.at(-1)?.order ?? 0), Buffer.from(String(i).padStart(8)))
    const content = { kind: "segments", multipartId: id, completion: randomOf(1) } as const
    const { head } = await metadata.run(putVersion(putOf({ bucketId }, i % 250, { content })))
    versions.push({ id, order: head.order })
  }
  return { versions, row, ...countingRows(metadata.committed) }
}

test("the version of segments is found with a look at those that came while it was written", async () => {
  for (const during of [0, 3]) {
    const { versions, row, counts, view } = await scene(before => Math.max(0, before + (1 - during) * DECISION_US))
    for (const { id, order } of versions) {
      assert.equal(versionOfSegments(view, row, id)?.head.order, order)
      assert.equal([...versionsOfBytes(view, row, { multipartId: id })].length, 1)
    }
    assert.ok(counts.rows <= 2 * (during + 3) * VERSIONS, `${counts.rows} rows`)
  }
})

test("the version of segments is found wherever it is, and all that share bytes are", async () => {
  for (const away of [-100 * HOUR_US, -HOUR_US / 2, 0, 100 * HOUR_US]) {
    const { versions, row, view } = await scene(before => Math.max(0, before + away))
    for (const { id, order } of versions.filter((_, i) => i % 50 === 0)) {
      assert.equal(versionOfSegments(view, row, id)?.head.order, order)
      assert.deepEqual(
        [...versionsOfBytes(view, row, { multipartId: id })].map(({ head }) => head.order),
        [order],
      )
    }
  }
  const { row, view } = await scene(before => before)
  assert.equal(versionOfSegments(view, row, multipartIdOf(0, randomOf(9))), undefined)
})
