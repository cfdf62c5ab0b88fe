/** Races of two engines that re-encode the same bytes, or remove them meanwhile. */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseUploadId, type BucketId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import {
  dropRows,
  pendingDeletionsFrom,
  type PendingDeletion,
} from "@hayloft/objects/commands/pending-deletion-commands-core.js"
import {
  beginReencoding,
  giveUpReencoding,
  leftIntents,
  swapExtent,
} from "@hayloft/objects/commands/reencode-commands-core.js"
import { removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import { namingsOf, type UploadName } from "@hayloft/objects/queries/named-extents-core.js"
import { putOfExtent, type RaceStage } from "./race-stage.js"

const ALL_BLOCKS = [{ firstBlock: 0, lastBlock: 0 }]
const TO = parsePolicy("replica:3")

const extentOf = ({ incarnations }: Metadata, number: number): Extent => ({
  uploadId: parseUploadId(incarnations.own.toString(16).padStart(8, "0") + number.toString(16).padStart(24, "0")),
  part: 0,
  lengthBytes: 100,
  blockBytes: 4096,
  policy: parsePolicy("replica:2"),
  generation: 0,
  exceptions: [],
})

const extentsNamed = query("ExtentsNamed", (view, name: UploadName) =>
  Array.from(namingsOf(view, name), ({ extent }) => extent),
)
const released = query("Released", (view): readonly PendingDeletion[] => [
  ...pendingDeletionsFrom(view, ALL_OBJECT_ROWS),
])

/** The generations of needles of this upload that wait for the collector, which then removes them. */
async function takeReleased(stage: RaceStage, { uploadId }: UploadName): Promise<readonly number[]> {
  const found = await stage.engines[1].ask(released())
  await stage.run(1, dropRows(found.map(({ rowKey, value }) => ["pendingDeletions", rowKey, value] as const)))
  return found.map(({ record }) => {
    assert.ok(record.kind === "extent" || record.kind === "blocks", record.kind)
    assert.equal(record.extent.uploadId, uploadId)
    return record.extent.generation
  })
}

/** Re-encodes as the job does. Returns the generation that it has begun; undefined: none. */
async function reencode(stage: RaceStage, engine: 0 | 1, name: UploadName, from: Extent) {
  const asked = { policy: TO, runs: ALL_BLOCKS, generationFloor: 0 }
  const generation = await stage.run(engine, beginReencoding({ ...name, from, ...asked })).catch(unlessConflict)
  if (generation === undefined) return { generation, isSwapped: false }
  const to = { ...from, policy: TO, generation, exceptions: [] }
  const swap = stage.run(engine, swapExtent({ ...name, generation, from, to, replaced: ALL_BLOCKS }))
  const isSwapped = await swap.then(() => true, unlessConflict)
  if (isSwapped !== true) await stage.run(engine, giveUpReencoding(name))
  return { generation, isSwapped: isSwapped === true }
}

function unlessConflict(error: unknown): undefined {
  if (!isFailure(error, "conflict")) throw error
}

async function newUpload(stage: RaceStage, bucketId: BucketId, round: number) {
  const engine = round % 2 === 0 ? 0 : 1
  const from = extentOf(stage.engines[engine], round + 1)
  const name = { bucketId, key: objectKeyOfText("key"), uploadId: from.uploadId }
  await stage.run(engine, putOfExtent(bucketId, name.key, from))
  return { from, name }
}

export async function reencodeTwice(stage: RaceStage): Promise<void> {
  const { engines, rounds } = stage
  const bucketId = await stage.newBucket("reencoded-twice")
  const { name } = await newUpload(stage, bucketId, 0)
  const begun = new Set<number>()
  for (let round = 0; round < rounds; round += 1) {
    const [from] = await engines[0].ask(extentsNamed(name))
    const before = must(from, "the object references the upload")
    const [one, other] = await stage.both(
      round,
      () => reencode(stage, 0, name, before),
      () => reencode(stage, 1, name, before),
    )
    const both = [one, other]
    for (const { generation } of both) {
      if (generation === undefined) continue
      assert.ok(!begun.has(generation), `the generation ${generation} was used twice`)
      begun.add(generation)
    }
    const swapped = both.filter(({ isSwapped }) => isSwapped).map(({ generation }) => generation)
    assert.equal(swapped.length, 1, JSON.stringify(both))
    const after = await engines[1].ask(extentsNamed(name))
    assert.deepEqual(
      after.map(({ generation }) => generation),
      swapped,
    )
    const unused = both.filter(({ isSwapped }) => !isSwapped).flatMap(({ generation }) => generation ?? [])
    assert.deepEqual([...(await takeReleased(stage, name))].sort(), [before.generation, ...unused].sort())
  }
}

export async function reencodeOrRemove(stage: RaceStage): Promise<void> {
  const { engines, rounds } = stage
  const bucketId = await stage.newBucket("reencoded-removed")
  for (let round = 0; round < rounds; round += 1) {
    const { from, name } = await newUpload(stage, bucketId, round)
    const [{ generation }] = await stage.both(
      round,
      () => reencode(stage, 0, name, from),
      () => stage.run(1, removeLatest({ bucketId, key: name.key, conditions: {}, random: new Uint8Array(8) })),
    )
    assert.deepEqual(await engines[0].ask(extentsNamed(name)), [])
    // Every needle that was or may have been written is removed, and none of them twice.
    const written = generation === undefined ? [0] : [0, generation]
    assert.deepEqual([...(await takeReleased(stage, name))].sort(), written)
    assert.deepEqual(await engines[1].ask(leftIntents(ALL_OBJECT_ROWS.start, 10)), { left: [], next: undefined })
  }
}
