/** The rows that commands read first, so that an engine prefetches them, and the commands that a full disk allows. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseBucketId,
  parseBucketName,
  parseAccountId,
  parseDeviceId,
  parsePartitionId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { bucketKeyRowKey } from "@hayloft/engine/format/objects/bucket-key.js"
import type { NeedleId } from "@hayloft/engine/format/needles/needle.js"
import {
  bucketRowKey,
  multipartRowKey,
  nameRowKey,
  objectRowKey,
  uploadRowKey,
} from "@hayloft/engine/format/row-key.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import type { Command, Touches } from "@hayloft/engine/metadata/index.js"
import {
  closeBucket,
  createBucket,
  dropBucket,
  openBucket,
  setBucketPolicy,
  setSetting,
  setVersioning,
} from "./bucket-commands-core.js"
import { dropBucketKeys } from "./bucket-key-commands-core.js"
import { ALL_HINTS, hintOfKey, hintsOfPartition, noteDamages, readHints } from "./missing-shard-hints-core.js"
import {
  abortUpload,
  completeUpload,
  createUpload,
  partKey,
  putPart,
  putSegment,
  sealUpload,
  unsealUpload,
} from "./multipart-commands-core.js"
import { addSealing, swapSealed } from "./encrypt-commands-core.js"
import { beginReencoding, giveUpReencoding, swapExtent } from "./reencode-commands-core.js"
import { setUndelete } from "@hayloft/features/undelete/undelete-commands-core.js"
import { dropRows, readNamings } from "./pending-deletion-commands-core.js"
import { extentOf, KEY, newBucket, putOf, randomOf, uploadOf } from "./testing-bucket.js"
import { recordHints } from "./version-commands-core.js"
import "../testing-features.js"

const bucketId = parseBucketId(1)
const multipartId = multipartIdOf(7, randomOf(7))
const address = { bucketId, key: KEY, multipartId }
const upload = { bucketId, key: KEY, uploadId: uploadOf(1) }
const completion = { incarnation: 1, token: randomOf(5) }
const { version } = putOf({ bucketId }, 1)
const part = { partNumber: 3, md5: new Uint8Array(16), checksumValue: undefined, extent: extentOf(1) }

const object = objectRowKey(bucketId, KEY)
const bucketRow: Touches = [["buckets", bucketRowKey(bucketId)]]
const uploadRow: Touches = [["uploads", multipartRowKey(object, multipartId)]]
const currentRow: Touches = [["current", object]]
const uploadRows: Touches = [...currentRow, ["intents", uploadRowKey(object, upload.uploadId)]]
const sealing: Sealing = { key: { mode: "atRest" }, secret: 1, salt: new Uint8Array(16) }
const newUpload = { checksum: undefined, details: NO_DETAILS, completion: undefined }

test("each command declares the rows that it reads first, and whether the store grows", () => {
  const name = parseBucketName("bucket")
  const expected: readonly (readonly [Command<unknown>, Touches, grows: boolean])[] = [
    [createBucket({ name, owner: parseAccountId("root"), location: "" }), [["names", nameRowKey(name)]], true],
    [setSetting(bucketId, "cors", "<A/>"), bucketRow, true],
    [setVersioning(bucketId, "enabled"), bucketRow, false],
    [setUndelete({ bucketId, days: 3 }), bucketRow, true],
    [setUndelete({ bucketId, days: undefined }), bucketRow, false],
    [setBucketPolicy(bucketId, undefined), bucketRow, false],
    [closeBucket(bucketId), bucketRow, false],
    [openBucket(bucketId), bucketRow, false],
    [dropBucket(bucketId), bucketRow, false],
    [dropBucketKeys(bucketId), [...bucketRow, ["bucketKeys", bucketKeyRowKey(bucketId, 1)]], false],
    [createUpload(address, newUpload), uploadRow, true],
    [putPart({ ...address, part, hints: [] }), [["parts", partKey(address, 3)], ...bucketRow], true],
    [sealUpload(address, completion), uploadRow, true],
    [unsealUpload(address, completion), uploadRow, false],
    [putSegment(address, completion, 0, { offsetBytes: 0, parts: [] }), uploadRow, true],
    [completeUpload({ ...address, completion, conditions: {}, version }), currentRow, true],
    [abortUpload(address), uploadRow, false],
    [
      beginReencoding({ ...upload, from: extentOf(1), policy: extentOf(1).policy, generationFloor: 0, runs: [] }),
      uploadRows,
      true,
    ],
    [giveUpReencoding(upload), uploadRows, false],
    [swapExtent({ ...upload, generation: 1, from: extentOf(1), to: extentOf(1), replaced: [] }), uploadRows, true],
    [addSealing({ ...upload, of: upload.uploadId, sealing, binds: new Map() }), currentRow, true],
    [addSealing({ ...address, of: { multipartId }, sealing, binds: new Map() }), [...currentRow, ...uploadRow], true],
    [swapSealed({ ...upload, generation: 1, from: extentOf(1), to: extentOf(1), sealing }), uploadRows, true],
    [readNamings(upload), uploadRows, false],
    [dropRows([]), [], false],
    [recordHints([]), [], false],
    [noteDamages([]), [], false],
  ]
  for (const [command, touches, grows] of expected) {
    assert.deepEqual(command.touches, touches, command.name)
    assert.equal(command.grows, grows, command.name)
  }
})

const deviceId = parseDeviceId("00000000000000d1")
const hint = (partition: number) => ({ partition: parsePartitionId(partition), deviceId })
const needle = (partition: number): NeedleId => ({
  partition: parsePartitionId(partition),
  uploadId: uploadOf(9),
  part: 1,
  block: 2,
  generation: 3,
  slot: 4,
})

test("missing-shard hints and damaged shards are read back from the keys of their rows", async () => {
  const { metadata } = await newBucket()
  await metadata.run(recordHints([hint(258)]))
  await metadata.run(noteDamages([{ deviceId, id: needle(259) }]))
  const { hints, next } = await metadata.ask(readHints(ALL_HINTS, 10))
  assert.equal(next, undefined)
  const [missing, damaged] = hints.map(({ rowKey }) => ({ ...hintOfKey(rowKey), rowKey: undefined }))
  assert.deepEqual(missing, { rowKey: undefined, ...hint(258), damaged: undefined })
  assert.deepEqual(damaged, { rowKey: undefined, ...hint(259), damaged: { deviceId, id: needle(259) } })
  assert.deepEqual((await metadata.ask(readHints(hintsOfPartition(259), 10))).hints, [hints[1]])
})

test("a key of another length is not a hint: the row is damaged", () => {
  for (const length of [0, 17, 19, 44, 46])
    assert.throws(
      () => hintOfKey(rowKeyOf("0".repeat(length))),
      error => isFailure(error, "corruptRow") && error.details["lengthBytes"] === length,
    )
})

test("hints are listed in pages with the start of the next one", async () => {
  const { metadata } = await newBucket()
  await metadata.run(recordHints([1, 2, 3].map(hint)))
  const first = await metadata.ask(readHints(ALL_HINTS, 2))
  assert.deepEqual(
    first.hints.map(({ partition }) => partition),
    [1, 2],
  )
  const { next } = first
  assert.ok(next)
  const second = await metadata.ask(readHints({ ...ALL_HINTS, start: next }, 2))
  assert.deepEqual([second.hints.map(({ partition }) => partition), second.next], [[3], undefined])
  assert.equal((await metadata.ask(readHints(ALL_HINTS, 3))).next, undefined, "an exactly full page is the last")
})
