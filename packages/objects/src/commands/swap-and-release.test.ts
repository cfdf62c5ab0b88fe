/** Bytes that move or are deleted: every row that references them follows, and only rows as they were read are dropped. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseDeviceId, parseIncarnation, parsePartitionId } from "@hayloft/base/ids.js"
import { decodePart, decodeSegment } from "@hayloft/engine/format/records.js"
import { soleProcess } from "@hayloft/engine/metadata/index.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion, NO_DETAILS, versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import { setVersioning } from "./bucket-commands-core.js"
import {
  abortUpload,
  completeUpload,
  createUpload,
  putPart,
  putSegment,
  sealUpload,
} from "./multipart-commands-core.js"
import { beginReencoding, giveUpReencoding, leftIntents, swapExtent } from "./reencode-commands-core.js"
import { dropRows, readNamings, pendingDeletionsFrom } from "./pending-deletion-commands-core.js"
import { extentOf, KEY, newBucket, putOf, randomOf, refuses, released, uploadOf } from "./testing-bucket.js"
import type { UploadName } from "../queries/named-extents-core.js"
import { ALL_HINTS, readHints } from "./missing-shard-hints-core.js"
import { putVersion, recordHints, removeLatest } from "./version-commands-core.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import "../testing-features.js"

const MULTIPART = multipartIdOf(7, randomOf(7))
/** Three blocks. */
const FROM = extentOf(1, { lengthBytes: 8193 })
const TO = extentOf(1, { lengthBytes: 8193, generation: 2 })

async function newObject() {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const put = putOf(scene, 1, { content: { kind: "extent", extent: FROM } })
  const { head } = await metadata.run(putVersion(put))
  const upload = { bucketId, key: KEY, uploadId: uploadOf(1) }
  const begin = () => metadata.run(beginReencoding(beginOf(upload)))
  const swap = async (change: Partial<Parameters<typeof swapExtent>[0]> = {}) => {
    await begin()
    await metadata.run(swapExtent({ ...upload, generation: 2, from: FROM, to: TO, replaced: [], ...change }))
  }
  return { ...scene, put, head, upload, begin, swap, namings: () => metadata.run(readNamings(upload)) }
}

/** Describes a re-encoding of all blocks, with generation 2. */
const beginOf = (name: UploadName) => ({
  ...name,
  from: FROM,
  policy: TO.policy,
  runs: [{ firstBlock: 0, lastBlock: 2 }],
  generationFloor: 1,
})

/** A sealed upload with one part, whose bytes are those of upload 1. */
async function newMultipart() {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const address = { bucketId, key: KEY, multipartId: MULTIPART }
  const part = { partNumber: 1, md5: new Uint8Array(16), checksumValue: undefined, extent: FROM }
  await metadata.run(createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  await metadata.run(putPart({ ...address, hints: [], part }))
  const completion = { incarnation: 1, token: randomOf(5) }
  const name = { ...address, uploadId: uploadOf(1) }
  const begin = () => metadata.run(beginReencoding(beginOf(name)))
  const swap = () => metadata.run(swapExtent({ ...name, generation: 2, from: FROM, to: TO, replaced: [] }))
  const version = {
    ...putOf(scene, 1).version,
    content: { kind: "segments", multipartId: MULTIPART, completion: completion.token } as const,
  }
  return { ...scene, address, name, begin, part: { ...part, modifiedMs: 5 }, completion, swap, version }
}

test("all rows that reference an upload's bytes reference the new place, and are otherwise unchanged", async () => {
  const scene = await newObject()
  const { metadata, bucketId } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  const copy = { ...scene.put.version, isShared: true, random: randomOf(9) }
  await metadata.run(putVersion({ ...scene.put, version: copy, sharesWith: versionIdOfHead(scene.head) }))
  assert.deepEqual(await scene.namings(), [FROM, FROM])
  await scene.swap()
  assert.deepEqual(await scene.namings(), [TO, TO])
  assert.deepEqual(released(scene), [])
  const [, row] = must([...metadata.committed.range("versions", ALL_ROWS)][0], "the older version")
  const { head } = decodeVersion(row.value)
  assert.deepEqual([head.order, head.sizeBytes, head.isShared], [scene.head.order, scene.head.sizeBytes, true])
})

test("the replaced blocks become a pending deletion: some of them, or the whole extent", async () => {
  const one = await newObject()
  await one.swap({ replaced: [{ firstBlock: 1, lastBlock: 1 }] })
  assert.deepEqual(released(one), [`blocks 1-1 of ${uploadOf(1)}`])
  const whole = await newObject()
  await whole.swap({ replaced: [{ firstBlock: 0, lastBlock: 2 }] })
  assert.deepEqual(released(whole), [uploadOf(1)])
  for (const replaced of [
    [{ firstBlock: 0, lastBlock: 1 }],
    [{ firstBlock: 1, lastBlock: 2 }],
    [
      { firstBlock: 0, lastBlock: 0 },
      { firstBlock: 2, lastBlock: 2 },
    ],
  ]) {
    const some = await newObject()
    await some.swap({ replaced })
    const runs = replaced.map(({ firstBlock, lastBlock }) => `${firstBlock}-${lastBlock}`).join(",")
    assert.deepEqual(released(some), [`blocks ${runs} of ${uploadOf(1)}`])
    const [deletion] = [...pendingDeletionsFrom(some.metadata.committed, ALL_ROWS)]
    assert.ok(deletion?.record.kind === "blocks" && deletion.record.extent.generation === FROM.generation)
    assert.equal(deletion.position, some.metadata.position, "it has the position of its decision")
  }
})

test("bytes that have moved meanwhile, or that no row references, are not swapped", async () => {
  const scene = await newObject()
  await refuses(scene.swap({ from: { ...FROM, generation: 1 } }), "conflict")
  await refuses(scene.swap({ uploadId: uploadOf(2) }), "conflict")
  await refuses(scene.swap({ generation: 1 }), "conflict")
  assert.deepEqual((await scene.namings())[0], FROM)
  const { metadata, bucketId } = scene
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  await refuses(scene.swap(), "conflict")
})

test("a part moves while its upload is open, but not while a completion reads it, nor after an abort", async () => {
  const scene = await newMultipart()
  const { metadata, address, completion } = scene
  await scene.begin()
  await metadata.run(sealUpload(address, completion))
  await refuses(scene.swap(), "conflict")
  await refuses(scene.begin(), "conflict")
  const open = await newMultipart()
  await open.begin()
  await open.swap()
  const parts = [...open.metadata.committed.range("parts", ALL_ROWS)].map(([, { value }]) => decodePart(value))
  assert.deepEqual(parts[0]?.extent, TO)
  const aborted = await newMultipart()
  await aborted.begin()
  await aborted.metadata.run(abortUpload(aborted.address))
  await refuses(aborted.swap(), "conflict")
})

test("a segment's part moves while a version has the segment; the other parts stay", async () => {
  const scene = await newMultipart()
  const { metadata, address, completion, part } = scene
  const other = { ...part, partNumber: 2, extent: extentOf(2) }
  await metadata.run(sealUpload(address, completion))
  await metadata.run(putSegment(address, completion, 0, { offsetBytes: 7, parts: [part, other] }))
  await refuses(scene.swap(), "conflict")
  await metadata.run(completeUpload({ ...address, completion, conditions: {}, version: scene.version }))
  await scene.begin()
  await scene.swap()
  const [segment] = [...metadata.committed.range("segments", ALL_ROWS)].map(([, { value }]) => decodeSegment(value))
  assert.equal(segment?.offsetBytes, 7)
  assert.deepEqual(
    segment.parts.map(({ partNumber, extent }) => [partNumber, extent]),
    [
      [1, TO],
      [2, other.extent],
    ],
  )
  await metadata.run(setVersioning(scene.bucketId, "enabled"))
  await metadata.run(putVersion(putOf(scene, 9)))
  const generation = must(await metadata.run(beginReencoding({ ...beginOf(scene.name), from: TO })), "it is kept")
  const again = { ...TO, generation }
  await metadata.run(swapExtent({ ...scene.name, generation, from: TO, to: again, replaced: [] }))
  assert.deepEqual(await metadata.run(readNamings(scene.name)), [again, again])
})

test("segments of a removed version wait for the collector, and do not move", async () => {
  const scene = await newMultipart()
  const { metadata, address, completion, part } = scene
  await metadata.run(sealUpload(address, completion))
  await metadata.run(putSegment(address, completion, 0, { offsetBytes: 0, parts: [part] }))
  await metadata.run(completeUpload({ ...address, completion, conditions: {}, version: scene.version }))
  await metadata.run(putVersion(putOf(scene, 9)))
  await refuses(scene.swap(), "conflict")
})

test("every re-encoding of an upload has a generation of its own, also after one was given up", async () => {
  const { metadata, upload, begin, swap, namings } = await newObject()
  assert.equal(await begin(), 2)
  assert.equal((await namings()).length, 2, "the announced extent counts as referenced")
  await metadata.run(giveUpReencoding(upload))
  assert.deepEqual(released({ metadata }), [`blocks 0-2 of ${uploadOf(1)}`])
  assert.equal((await namings()).length, 1)
  await refuses(metadata.run(swapExtent({ ...upload, generation: 2, from: FROM, to: TO, replaced: [] })), "conflict")
  assert.equal(await begin(), 3)
  await swap({ generation: 4, to: { ...TO, generation: 4 } })
  assert.equal(metadata.rows("intents"), 0)
  assert.equal(released({ metadata }).length, 2, "the third was given up by the fourth")
  assert.equal(await begin(), undefined, "the rows reference another place")
  assert.equal(await metadata.run(beginReencoding({ ...beginOf(upload), from: { ...TO, generation: 4 } })), 5)
})

test("a swap without new blocks keeps the generations that were used before it", async () => {
  const { metadata, upload, begin } = await newObject()
  assert.equal(await begin(), 2)
  await metadata.run(giveUpReencoding(upload))
  assert.equal(await metadata.run(beginReencoding({ ...beginOf(upload), runs: [] })), 3)
  const none = { ...upload, generation: 3, from: FROM, to: FROM, replaced: [] }
  await metadata.run(swapExtent(none))
  assert.equal(await begin(), 4, "a device that is away may have needles of generation 2")
  await metadata.run(giveUpReencoding(upload))
  await refuses(metadata.run(swapExtent(none)), "conflict")
})

test("while a process is live, no other one re-encodes what it does, or gives it up", async () => {
  const { metadata, bucketId, upload, begin, swap } = await newObject()
  await begin()
  const processes = { own: parseIncarnation(2), oldestLive: parseIncarnation(1), isOver: () => false }
  metadata.incarnations = processes
  await refuses(begin(), "conflict")
  await metadata.run(giveUpReencoding(upload))
  const left = async () => (await metadata.ask(leftIntents(ALL_ROWS.start, 10))).left.length
  assert.deepEqual([metadata.rows("pendingDeletions"), await left()], [0, 0])
  metadata.incarnations = soleProcess(processes.own)
  assert.equal(await left(), 1)
  await metadata.run(giveUpReencoding(upload))
  assert.equal(metadata.rows("pendingDeletions"), 1)
  assert.equal(metadata.rows("intents"), 1, "the generation stays recorded")
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  await metadata.run(giveUpReencoding(upload))
  assert.equal(metadata.rows("intents"), 0)
  await refuses(swap(), "conflict")
})

test("a row is dropped as it was read: a later change keeps it", async () => {
  const { metadata } = await newBucket()
  const hint = { partition: parsePartitionId(3), deviceId: parseDeviceId("00000000000000d1") }
  await metadata.run(recordHints([hint]))
  const { hints } = await metadata.ask(readHints(ALL_HINTS, 10))
  const rows = hints.map(({ rowKey, value }) => ["missingShardHints", rowKey, value] as const)
  await metadata.run(recordHints([hint]))
  await metadata.run(dropRows(rows))
  const after = await metadata.ask(readHints(ALL_HINTS, 10))
  assert.equal(after.hints.length, 1)
  await metadata.run(dropRows(after.hints.map(({ rowKey, value }) => ["missingShardHints", rowKey, value] as const)))
  assert.equal(metadata.rows("missingShardHints"), 0)
})
