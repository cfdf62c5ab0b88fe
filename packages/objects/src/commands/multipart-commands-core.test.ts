/** Multipart uploads, command by command: who may change one, the result of a completion, and the deleted bytes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseBucketId, parseDeviceId, parseIncarnation, parsePartitionId } from "@hayloft/base/ids.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion, NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { soleProcess, type Incarnations } from "@hayloft/engine/metadata/index.js"
import { closeBucket, dropBucket } from "./bucket-commands-core.js"
import {
  abortUpload,
  completeUpload,
  createUpload,
  findUpload,
  partsAfter,
  putPart,
  putSegment,
  sealUpload,
  unsealUpload,
  type Completion,
} from "./multipart-commands-core.js"
import { readCounters } from "./bucket-rows-core.js"
import { findLatest } from "./found-versions-core.js"
import { NO_CHECKSUM } from "./row-editor-core.js"
import {
  extentOf,
  foreignUploadOf,
  KEY,
  newBucket,
  putOf,
  randomOf,
  refuses,
  released,
  uploadOf,
  type Scene,
} from "./testing-bucket.js"
import { putVersion } from "./version-commands-core.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import "../testing-features.js"

const MULTIPART = multipartIdOf(7, randomOf(7))

async function newUpload() {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const address = { bucketId, key: KEY, multipartId: MULTIPART }
  const made = { checksum: undefined, details: NO_DETAILS, completion: undefined }
  const upload = await metadata.run(createUpload(address, made))
  const put = (partNumber: number, number: number) =>
    metadata.run(
      putPart({
        ...address,
        hints: [],
        part: { partNumber, md5: new Uint8Array(16), checksumValue: undefined, extent: extentOf(number) },
      }),
    )
  return { ...scene, address, upload, put }
}
const completionOf = (incarnation: number, token: number): Completion => ({ incarnation, token: randomOf(token) })
const versionOf = (completion: Completion) => ({
  ...putOf({ bucketId: parseBucketId(1) }, 1).version,
  content: { kind: "segments", multipartId: MULTIPART, completion: completion.token } as const,
  parts: 2,
  checksum: NO_CHECKSUM,
})
const partNumbers = ({ metadata, address }: Awaited<ReturnType<typeof newUpload>>, after: number) =>
  [...partsAfter(metadata.committed, address, after)].map(({ partNumber }) => partNumber)
const uploadsOf = ({ metadata, bucketId }: Scene) => readCounters(metadata.committed, bucketId).uploads

test("an upload is counted, keeps its start time, and needs an open bucket", async () => {
  const scene = await newUpload()
  const { metadata, address, upload, bucketId } = scene
  assert.ok(upload.initiatedMs >= 1_700_000_000_000)
  assert.deepEqual(findUpload(metadata.committed, address), upload)
  assert.equal(uploadsOf(scene), 1)
  await metadata.run(closeBucket(bucketId))
  await refuses(metadata.run(dropBucket(bucketId)), "bucketNotEmpty")
  const other = { ...address, multipartId: multipartIdOf(8, randomOf(8)) }
  await refuses(metadata.run(createUpload(other, upload)), "bucketClosing")
})

test("parts are listed in order after a number; a replaced part becomes a pending deletion", async () => {
  const scene = await newUpload()
  for (const [partNumber, number] of [
    [1, 11],
    [3, 13],
    [2, 12],
    [PARTS_MAX, 14],
  ] as const)
    await scene.put(partNumber, number)
  assert.deepEqual(partNumbers(scene, 0), [1, 2, 3, PARTS_MAX])
  assert.deepEqual(partNumbers(scene, 2), [3, PARTS_MAX])
  assert.deepEqual(partNumbers(scene, PARTS_MAX - 1), [PARTS_MAX])
  assert.deepEqual(partNumbers(scene, PARTS_MAX), [])
  assert.deepEqual(released(scene), [])
  const part = await scene.put(2, 22)
  assert.ok(part.modifiedMs >= scene.upload.initiatedMs)
  assert.deepEqual(partNumbers(scene, 0), [1, 2, 3, PARTS_MAX])
  assert.deepEqual(released(scene), [uploadOf(12)])
})

test("parts of another upload of the same key are not listed", async () => {
  const scene = await newUpload()
  const other = { ...scene.address, multipartId: multipartIdOf(8, randomOf(8)) }
  await scene.metadata.run(createUpload(other, scene.upload))
  await scene.put(1, 11)
  assert.deepEqual([...partsAfter(scene.metadata.committed, other, 0)], [])
})

test("a part is refused if its upload does not exist, or another process has written its bytes", async () => {
  const scene = await newUpload()
  const { metadata, address } = scene
  const extent = { ...extentOf(11), uploadId: foreignUploadOf(11) }
  const part = { partNumber: 1, md5: new Uint8Array(16), checksumValue: undefined, extent }
  await refuses(metadata.run(putPart({ ...address, part, hints: [] })), "uploadAborted")
  await metadata.run(abortUpload(address))
  await refuses(scene.put(1, 12), "noSuchUpload")
})

test("the hints of a part are written with it", async () => {
  const { metadata, address } = await newUpload()
  const hints = [{ partition: parsePartitionId(3), deviceId: parseDeviceId("00000000000000d1") }]
  const part = { partNumber: 1, md5: new Uint8Array(16), checksumValue: undefined, extent: extentOf(11) }
  await metadata.run(putPart({ ...address, part, hints }))
  assert.equal(metadata.rows("missingShardHints"), 1)
})

test("a completion turns the upload into a version, and the rows of its parts become a pending deletion", async () => {
  const scene = await newUpload()
  const { metadata, address, bucketId, row } = scene
  await scene.put(1, 11)
  const completion = completionOf(1, 5)
  await metadata.run(sealUpload(address, completion))
  await refuses(scene.put(2, 12), "conflict")
  const part = must([...partsAfter(metadata.committed, address, 0)][0], "a part")
  await metadata.run(putSegment(address, completion, 0, { offsetBytes: 0, parts: [part] }))
  const segments = [...metadata.committed.range("segments", ALL_ROWS)].map(([, { value }]) => decodeSegment(value))
  assert.deepEqual(segments, [{ offsetBytes: 0, parts: [part] }])
  const complete = { ...address, completion, conditions: {}, version: versionOf(completion) }
  await refuses(metadata.run(completeUpload({ ...complete, conditions: { ifMatch: ["*"] } })), "noSuchKey")
  const { head, versioning } = await metadata.run(completeUpload(complete))
  assert.deepEqual([head.isMarker, head.parts, versioning], [false, 2, "never"])
  const found = must(findLatest(metadata.committed, row), "the version")
  const { content } = decodeVersion(found.row.value)
  assert.ok(content.kind === "segments" && content.multipartId === MULTIPART)
  assert.deepEqual(Buffer.from(content.completion), Buffer.from(completion.token))
  assert.equal(findUpload(metadata.committed, address), undefined)
  assert.deepEqual(released(scene), [`parts ${MULTIPART}`])
  const counters = readCounters(metadata.committed, bucketId)
  assert.deepEqual(counters, { objects: 1, versions: 1, bytes: 100, uploads: 0 })
  await refuses(metadata.run(completeUpload(complete)), "noSuchUpload")
  await metadata.run(putVersion(putOf(scene, 99)))
  assert.deepEqual(released(scene).slice(1), [`segments ${MULTIPART}`])
})

test("an aborted upload no longer exists, and its parts become a pending deletion", async () => {
  const scene = await newUpload()
  await scene.metadata.run(abortUpload(scene.address))
  assert.deepEqual(released(scene), [`aborted ${MULTIPART}`])
  assert.equal(uploadsOf(scene), 0)
  await refuses(scene.metadata.run(abortUpload(scene.address)), "noSuchUpload")
  await refuses(scene.metadata.run(sealUpload(scene.address, completionOf(1, 5))), "noSuchUpload")
})

test("only the completion that sealed the upload may continue, and remove the seal", async () => {
  const scene = await newUpload()
  const { metadata, address } = scene
  const [own, otherToken, otherProcess] = [completionOf(1, 5), completionOf(1, 6), completionOf(2, 5)]
  const segment = { offsetBytes: 0, parts: [] }
  await refuses(metadata.run(putSegment(address, own, 0, segment)), "conflict")
  await metadata.run(sealUpload(address, own))
  for (const other of [otherToken, otherProcess]) {
    await refuses(metadata.run(putSegment(address, other, 0, segment)), "conflict")
    const complete = { ...address, completion: other, conditions: {}, version: versionOf(other) }
    await refuses(metadata.run(completeUpload(complete)), "conflict")
    await metadata.run(unsealUpload(address, other))
    await refuses(scene.put(1, 11), "conflict")
  }
  await metadata.run(unsealUpload(address, own))
  assert.equal(findUpload(metadata.committed, address)?.completion, undefined)
  await scene.put(1, 11)
  await metadata.run(abortUpload(address))
  await metadata.run(unsealUpload(address, own))
  assert.equal(findUpload(metadata.committed, address), undefined, "an ended upload does not return")
})

test("a new attempt of the same process deletes the segments of the previous one", async () => {
  const { metadata, address } = await newUpload()
  const first = completionOf(1, 5)
  await metadata.run(sealUpload(address, first))
  for (const number of [0, 1]) await metadata.run(putSegment(address, first, number, { offsetBytes: 0, parts: [] }))
  assert.equal(metadata.rows("segments"), 2)
  await metadata.run(sealUpload(address, completionOf(1, 6)))
  assert.equal(metadata.rows("segments"), 0)
})

test("other processes leave a completion to a live process, but override that of an ended one", async () => {
  const scene = await newUpload()
  const { metadata, address } = scene
  const [own, other] = [parseIncarnation(1), parseIncarnation(2)]
  let isOtherOver = false
  const incarnations: Incarnations = {
    ...soleProcess(own),
    isOver: incarnation => (incarnation === other ? isOtherOver : false),
  }
  metadata.incarnations = incarnations
  await metadata.run(sealUpload(address, completionOf(2, 5)))
  await refuses(metadata.run(sealUpload(address, completionOf(1, 6))), "conflict")
  await refuses(scene.put(1, 11), "conflict")
  isOtherOver = true
  await scene.put(1, 11)
  await metadata.run(sealUpload(address, completionOf(1, 6)))
  assert.equal(findUpload(metadata.committed, address)?.completion?.incarnation, 1)
})
