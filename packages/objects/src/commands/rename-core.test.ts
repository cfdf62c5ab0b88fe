/** Renames, command by command: both keys and the counters change in one moment, and only if everything holds then. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, type ObjectKey } from "@hayloft/base/ids.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import type { BoundSealing } from "@hayloft/engine/format/needles/sealing.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion, etagOfHead, NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { setVersioning } from "./bucket-commands-core.js"
import {
  createUpload,
  findUpload,
  putPart,
  putSegment,
  sealUpload,
  type UploadAddress,
} from "./multipart-commands-core.js"
import { finishBucketUsage, setBucketQuota } from "@hayloft/features/quotas/quota-commands-core.js"
import { renameObject, type RenameObject } from "./rename-core.js"
import { readCounters } from "./bucket-rows-core.js"
import { findLatest, readDetails } from "./found-versions-core.js"
import {
  extentOf,
  foreignUploadOf,
  KEY,
  newBucket,
  putOf,
  randomOf,
  refuses,
  released,
  type Scene,
} from "./testing-bucket.js"
import { putVersion, removeLatest, setTags } from "./version-commands-core.js"
import "../testing-features.js"

const TO = objectKeyOfText("folder/renamed")
const HELD = {
  userMetadata: [["colour", "blue"]],
  headers: [["contentType", "text/plain"]],
  tags: [["a", "b"]],
} as const

const put = ({ metadata, bucketId }: Scene, key: ObjectKey, number: number, change = {}) =>
  metadata.run(putVersion({ ...putOf({ bucketId }, number, change), key }))

const putInline = (scene: Scene, key: ObjectKey, number: number, change = {}) =>
  put(scene, key, number, {
    content: { kind: "inline" },
    payload: new Uint8Array(10).fill(number),
    sizeBytes: 10,
    ...change,
  })

function latest({ metadata, bucketId }: Scene, key: ObjectKey) {
  const row = objectRowKey(bucketId, key)
  const found = findLatest(metadata.committed, row)
  if (found === undefined) return undefined
  const record = decodeVersion(found.row.value)
  return { found, record, details: readDetails(metadata.committed, row, record) }
}

const versionOf = (scene: Scene, key: ObjectKey) => must(latest(scene, key), "there is a version").record.head

/** Returns a rename of the version that is there now; that version is in extent 9 by then. */
function renameOf(scene: Scene, change: Partial<RenameObject> = {}): RenameObject {
  const { bucketId } = scene
  return {
    bucketId,
    from: KEY,
    to: TO,
    conditions: {},
    sourceConditions: {},
    hints: [],
    sealing: undefined,
    clockMs: 0,
    version: versionOf(scene, change.from ?? KEY),
    bytes: { kind: "extent", extent: extentOf(9) },
    random: randomOf(70),
    markerRandom: randomOf(71),
    ...change,
  }
}

const counters = ({ metadata, bucketId }: Scene) => readCounters(metadata.committed, bucketId)

test("a rename takes everything along but the bytes' place and the time, and leaves nothing behind", async () => {
  const scene = await newBucket()
  const checksum = { checksumAlgorithm: "CRC32", checksumType: "FULL_OBJECT", value: "AAAAAA==" }
  await put(scene, KEY, 1, { details: HELD, checksum, storageClass: "STANDARD_IA" })
  const before = must(latest(scene, KEY), "it is there")
  const result = await scene.metadata.run(renameObject(renameOf(scene)))
  const after = must(latest(scene, TO), "it is there")
  assert.equal(latest(scene, KEY), undefined)
  assert.deepEqual(after.details, before.details)
  assert.deepEqual(after.record.content, { kind: "extent", extent: extentOf(9) })
  assert.deepEqual(structuredClone(result.head), structuredClone(after.record.head))
  const { order: _, modifiedMs: _atMs, random, ...same } = after.record.head
  const { order: _before, modifiedMs: _beforeMs, random: _randomBefore, ...sameBefore } = before.record.head
  assert.deepEqual(structuredClone(same), structuredClone(sameBefore))
  assert.deepEqual([...random], [...randomOf(70)])
  assert.equal(after.record.checksumValue, "AAAAAA==")
  assert.deepEqual(released(scene), [extentOf(1).uploadId])
  assert.deepEqual(counters(scene), { objects: 1, versions: 1, bytes: 100, uploads: 0 })
})

test("the object that had the new key is replaced, and both releases are kept apart", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1)
  await put(scene, TO, 2)
  await scene.metadata.run(renameObject(renameOf(scene)))
  assert.deepEqual(released(scene).sort(), [extentOf(1).uploadId, extentOf(2).uploadId])
  assert.deepEqual(counters(scene), { objects: 1, versions: 1, bytes: 100, uploads: 0 })
})

test("a payload moves with its row, and one that was sealed meanwhile does not", async () => {
  const scene = await newBucket()
  await putInline(scene, KEY, 3)
  const sealing: BoundSealing = {
    key: { mode: "atRest" },
    secret: 1,
    salt: new Uint8Array(16),
    bind: new Uint8Array(16),
  }
  await refuses(scene.metadata.run(renameObject(renameOf(scene, { bytes: { kind: "row" }, sealing }))), "conflict")
  await refuses(scene.metadata.run(renameObject(renameOf(scene))), "conflict")
  await scene.metadata.run(renameObject(renameOf(scene, { bytes: { kind: "row" } })))
  const { found } = must(latest(scene, TO), "it is there")
  assert.deepEqual([...must(found.row.payload?.bytes, "it has a payload")], Array<number>(10).fill(3))
  assert.equal(latest(scene, KEY), undefined)
  await scene.metadata.run(
    renameObject(
      renameOf(scene, { from: TO, to: KEY, bytes: { kind: "payload", payload: new Uint8Array(26) }, sealing }),
    ),
  )
  assert.deepEqual(structuredClone(latest(scene, KEY)?.record.sealing), sealing)
})

test("with versions the source gets a delete marker, and the destination a version on top", async () => {
  for (const state of ["enabled", "suspended"] as const) {
    const scene = await newBucket()
    await scene.metadata.run(setVersioning(scene.bucketId, "enabled"))
    await put(scene, KEY, 1)
    await put(scene, TO, 2)
    await scene.metadata.run(setVersioning(scene.bucketId, state))
    await scene.metadata.run(renameObject(renameOf(scene)))
    assert.equal(latest(scene, KEY)?.record.head.isMarker, true)
    assert.equal(latest(scene, TO)?.record.head.isNull, state === "suspended")
    assert.deepEqual(released(scene), [])
    assert.deepEqual(counters(scene), { objects: 1, versions: 4, bytes: 300, uploads: 0 })
  }
})

test("a rename is refused unless the copied version is still the latest one", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1)
  const rename = renameOf(scene)
  await put(scene, KEY, 2)
  await refuses(scene.metadata.run(renameObject(rename)), "conflict")
  await scene.metadata.run(removeLatest({ bucketId: scene.bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  await refuses(scene.metadata.run(renameObject(rename)), "noSuchKey")
  await put(scene, KEY, 1)
  await refuses(scene.metadata.run(renameObject(renameOf(scene, { to: KEY }))), "invalidRequest")
  const foreign = { kind: "extent", extent: extentOf(9, { uploadId: foreignUploadOf(9) }) } as const
  await refuses(scene.metadata.run(renameObject(renameOf(scene, { bytes: foreign }))), "uploadAborted")
})

test("what changes beside the bytes until the rename is taken along", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1, { details: HELD })
  const rename = renameOf(scene)
  await scene.metadata.run(setTags({ bucketId: scene.bucketId, key: KEY, versionId: undefined }, [["new", "tag"]]))
  await scene.metadata.run(renameObject(rename))
  assert.deepEqual(latest(scene, TO)?.details, { ...HELD, tags: [["new", "tag"]] })
})

test("conditions are on the source or the destination, and their failure names the header", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1)
  await put(scene, TO, 2)
  const [etag, other] = [etagOfHead(versionOf(scene, KEY)), etagOfHead(versionOf(scene, TO))]
  const atMs = versionOf(scene, KEY).modifiedMs + 1_000
  const refused: readonly (readonly [string, Partial<RenameObject>])[] = [
    ["If-Match", { conditions: { ifMatch: [etag] } }],
    ["If-None-Match", { conditions: { ifNoneMatch: ["*"] } }],
    ["If-Modified-Since", { conditions: { ifModifiedSinceMs: atMs } }],
    ["If-Unmodified-Since", { conditions: { ifUnmodifiedSinceMs: atMs - 5_000 } }],
    ["x-amz-rename-source-if-match", { sourceConditions: { ifMatch: [other] } }],
    ["x-amz-rename-source-if-none-match", { sourceConditions: { ifNoneMatch: [etag] } }],
    ["x-amz-rename-source-if-modified-since", { sourceConditions: { ifModifiedSinceMs: atMs } }],
    ["x-amz-rename-source-if-unmodified-since", { sourceConditions: { ifUnmodifiedSinceMs: atMs - 5_000 } }],
  ]
  for (const [condition, change] of refused)
    await refuses(scene.metadata.run(renameObject(renameOf(scene, change))), "preconditionFailed", { condition })
  const none = objectKeyOfText("none")
  const missing = { to: none, conditions: { ifModifiedSinceMs: atMs - 5_000 } }
  await refuses(scene.metadata.run(renameObject(renameOf(scene, missing))), "preconditionFailed")
  await refuses(
    scene.metadata.run(renameObject(renameOf(scene, { to: none, conditions: { ifMatch: ["*"] } }))),
    "noSuchKey",
  )
  const held = {
    conditions: { ifMatch: [other], ifModifiedSinceMs: atMs - 5_000 },
    sourceConditions: { ifMatch: [etag], ifNoneMatch: [other] },
  }
  await scene.metadata.run(renameObject(renameOf(scene, held)))
  assert.equal(etagOfHead(versionOf(scene, TO)), etag)
})

test("a repeated rename with its token changes nothing, and with other parameters it is refused", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1)
  const token = { token: "mine", parameters: "p" }
  const rename = renameOf(scene, { token, conditions: { ifNoneMatch: ["*"] } })
  const first = await scene.metadata.run(renameObject(rename))
  await put(scene, KEY, 2)
  assert.deepEqual(structuredClone(await scene.metadata.run(renameObject(rename))), structuredClone(first))
  assert.ok(latest(scene, KEY), "a new object at the source stays")
  const other = { ...rename, token: { token: "mine", parameters: "q" } }
  await refuses(scene.metadata.run(renameObject(other)), "idempotencyMismatch")
  await scene.metadata.run(renameObject(renameOf(scene, { from: TO, to: objectKeyOfText("third") })))
  const third = must(latest(scene, objectKeyOfText("third")), "it is there")
  assert.deepEqual(third.details, NO_DETAILS, "a token belongs to its rename")
})

/** Copied parts of an object of two parts, under the new key. */
async function copiedParts(scene: Scene, renamedBy: number | undefined): Promise<UploadAddress> {
  const { metadata, bucketId } = scene
  const address = { bucketId, key: TO, multipartId: multipartIdOf(7, randomOf(7)) }
  const upload = { checksum: undefined, details: NO_DETAILS, completion: undefined }
  await metadata.run(createUpload(address, { ...upload, ...(renamedBy !== undefined && { renamedBy }) }))
  const described = { md5: new Uint8Array(16), checksumValue: undefined }
  for (const partNumber of [1, 2]) {
    const part = { partNumber, ...described, extent: extentOf(20 + partNumber, { part: partNumber }) }
    await metadata.run(putPart({ ...address, part, hints: [] }))
  }
  return address
}

const completion = { incarnation: 1, token: randomOf(5) }

test("copied parts become the object with the new key, and their upload ends", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1)
  const address = await copiedParts(scene, 1)
  const bytes = { kind: "segments", multipartId: address.multipartId, completion } as const
  await refuses(scene.metadata.run(renameObject(renameOf(scene, { bytes }))), "conflict")
  await scene.metadata.run(sealUpload(address, completion))
  await scene.metadata.run(putSegment(address, completion, 0, { offsetBytes: 0, parts: [] }))
  await scene.metadata.run(renameObject(renameOf(scene, { bytes })))
  const content = { kind: "segments", multipartId: address.multipartId, completion: new Uint8Array(0) }
  assert.deepEqual(structuredClone(latest(scene, TO)?.record.content), content)
  assert.equal(findUpload(scene.metadata.committed, address), undefined)
  assert.deepEqual(released(scene).sort(), [extentOf(1).uploadId, `parts ${address.multipartId}`].sort())
  assert.equal(counters(scene).uploads, 0)
})

test("an upload of a client is not taken for copied parts", async () => {
  const scene = await newBucket()
  await put(scene, KEY, 1)
  const address = await copiedParts(scene, undefined)
  await scene.metadata.run(sealUpload(address, completion))
  const bytes = { kind: "segments", multipartId: address.multipartId, completion } as const
  await refuses(scene.metadata.run(renameObject(renameOf(scene, { bytes }))), "conflict")
})

test("a full bucket can rename its objects, in parts too, and with versions only as far as there is room", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await put(scene, KEY, 1)
  const limits = { hardBytes: 100, hardObjects: 1 }
  const quota = must(await metadata.run(setBucketQuota(bucketId, { limits, restarts: false })), "it is set")
  await metadata.run(finishBucketUsage(bucketId, quota.run))
  await refuses(put(scene, TO, 2), "quotaExceeded")
  await metadata.run(renameObject(renameOf(scene)))
  const address = { ...(await copiedParts(scene, 1)), key: TO }
  assert.equal(findUpload(metadata.committed, address)?.countedBy, undefined)
  await metadata.run(setVersioning(bucketId, "enabled"))
  const back = renameOf(scene, { from: TO, to: KEY })
  await refuses(metadata.run(renameObject(back)), "quotaExceeded")
})
