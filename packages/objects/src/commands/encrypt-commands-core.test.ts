/** Bytes that versions share get one key and one place, and nothing else of the versions changes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { objectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { storedBytesOf, type Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import {
  decodeVersion,
  NO_DETAILS,
  versionIdOfHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { decodeUpload } from "@hayloft/engine/format/records.js"
import { setVersioning } from "./bucket-commands-core.js"
import { addSealing, bytesToSeal, sealPayload, swapSealed } from "./encrypt-commands-core.js"
import { addressKeyOf, createUpload, putPart, sealUpload } from "./multipart-commands-core.js"
import { beginReencoding } from "./reencode-commands-core.js"
import { extentOf, KEY, newBucket, putOf, randomOf, refuses, released, uploadOf } from "./testing-bucket.js"
import { putVersion, removeLatest, setTags } from "./version-commands-core.js"
import "../testing-features.js"

const FROM = extentOf(1, { lengthBytes: 8193 })
const sealedBytes = storedBytesOf(8193, 4096)
const TO = extentOf(1, { lengthBytes: sealedBytes, generation: 1, isSealed: true })
const sealingOf = (number: number): Sealing => ({
  key: { mode: "atRest" },
  secret: 1,
  salt: new Uint8Array(16).fill(number),
})
const SEALING = sealingOf(1)
/** For comparisons: bytes are read into other kinds of arrays. */
const shown = (sealing: (Sealing & { readonly bind?: Uint8Array }) | undefined) =>
  sealing && [sealing.key.mode, sealing.secret, hexOf(sealing.salt), sealing.bind && hexOf(sealing.bind)]
const bindOf = (order: number): Uint8Array => new Uint8Array(16).fill(order % 256)

/** An object and a copy that shares its bytes. */
async function newShared() {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  const content = { kind: "extent", extent: FROM } as const
  const { head } = await metadata.run(putVersion(putOf(scene, 1, { content })))
  const sharesWith = versionIdOfHead(head)
  const share = () => metadata.run(putVersion({ ...putOf(scene, 2, { content, isShared: true }), sharesWith }))
  await share()
  const bytes = { bucketId, key: KEY, of: uploadOf(1) }
  const name = { bucketId, key: KEY, uploadId: uploadOf(1) }
  const headsOf = () => {
    const found = metadata.ask(bytesToSeal(bytes))
    assert.ok(!(found instanceof Promise))
    return found.heads.map(({ order }) => [order, bindOf(order)] as const)
  }
  const add = (sealing = SEALING, binds: ReadonlyMap<number, Uint8Array> = new Map(headsOf())) =>
    metadata.run(addSealing({ ...bytes, sealing, binds }))
  const begin = () => {
    const asked = { policy: FROM.policy, runs: [{ firstBlock: 0, lastBlock: 2 }], generationFloor: 0 }
    return metadata.run(beginReencoding({ ...name, from: FROM, ...asked, sealedLengthBytes: sealedBytes }))
  }
  const swap = (change: Partial<Parameters<typeof swapSealed>[0]> = {}) =>
    metadata.run(swapSealed({ ...name, generation: 1, from: FROM, to: TO, sealing: SEALING, ...change }))
  const records = (): VersionRecord[] => {
    const range = suffixRange(objectRowKey(bucketId, KEY))
    return (["current", "versions"] as const).flatMap(family =>
      [...metadata.committed.range(family, range)].map(([, row]) => decodeVersion(row.value)),
    )
  }
  return { ...scene, bytes, name, share, add, begin, swap, records, versionId: sharesWith, headsOf }
}

test("all versions that share bytes get one sealing, each with its own bind, and then the sealed extent", async () => {
  const scene = await newShared()
  const before = scene.records()
  assert.deepEqual(shown(await scene.add()), shown(SEALING))
  assert.equal(await scene.begin(), 1)
  await scene.swap()
  const after = scene.records()
  assert.equal(after.length, 2)
  for (const [i, record] of after.entries()) {
    const { content, sealing, ...rest } = record
    const { content: _, ...was } = must(before[i], "as many")
    assert.deepEqual(rest, was, "nothing else has changed")
    assert.deepEqual(content, { kind: "extent", extent: TO })
    assert.deepEqual(shown(sealing), shown({ ...SEALING, bind: bindOf(record.head.order) }))
  }
  assert.deepEqual(released(scene), [uploadOf(1)])
  assert.equal(scene.metadata.rows("intents"), 0)
})

test("a sealing that is there already stays, and a version without a bind refuses it", async () => {
  const scene = await newShared()
  await refuses(scene.add(SEALING, new Map(scene.headsOf().slice(1))), "conflict")
  assert.ok(scene.records().every(({ sealing }) => sealing === undefined))
  await scene.add()
  assert.deepEqual(shown(await scene.add(sealingOf(2))), shown(SEALING))
  await scene.metadata.run(removeLatest({ ...scene.name, conditions: {}, random: randomOf(3) }))
  await refuses(scene.share(), "conflict")
})

test("a swap is refused before the sealing, with another one, and if the rows reference other bytes", async () => {
  const scene = await newShared()
  await scene.begin()
  await refuses(scene.swap(), "conflict")
  await scene.add()
  await refuses(scene.swap({ sealing: sealingOf(2) }), "conflict")
  await refuses(scene.swap({ from: { ...FROM, generation: 7 } }), "conflict")
  await refuses(scene.swap({ generation: 2 }), "conflict")
  await scene.swap()
  await refuses(scene.swap(), "conflict")
})

test("an open upload gets a sealing, refuses plain parts from then on, and gets none while it is completed", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const address = { bucketId, key: KEY, multipartId: multipartIdOf(7, randomOf(7)) }
  const upload = () => decodeUpload(must(metadata.committed.get("uploads", addressKeyOf(address)), "it is open").value)
  const part = { partNumber: 1, md5: new Uint8Array(16), checksumValue: undefined, extent: FROM }
  await metadata.run(createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  await metadata.run(putPart({ ...address, hints: [], part }))
  const add = { bucketId, key: KEY, of: { multipartId: address.multipartId }, sealing: SEALING, binds: new Map() }
  const completion = { incarnation: 1, token: randomOf(5) }
  const { upload: sealed } = await metadata.run(sealUpload(address, completion))
  assert.equal(sealed.sealing, undefined)
  await refuses(metadata.run(addSealing(add)), "conflict")
  const other = { bucketId, key: KEY, multipartId: multipartIdOf(8, randomOf(8)) }
  await metadata.run(createUpload(other, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  const added = await metadata.run(addSealing({ ...add, of: { multipartId: other.multipartId } }))
  assert.deepEqual(shown(added), shown(SEALING))
  await refuses(metadata.run(putPart({ ...other, hints: [], part })), "conflict")
  await metadata.run(putPart({ ...other, hints: [], part: { ...part, extent: TO } }))
  assert.equal(upload().sealing, undefined)
})

test("a payload is replaced only in the version that was read", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const payload = new Uint8Array(10).fill(1)
  const inline = { content: { kind: "inline" }, payload, sizeBytes: 10 } as const
  const { head } = await metadata.run(putVersion(putOf(scene, 1, inline)))
  const seal = { bucketId, key: KEY, sealing: { ...SEALING, bind: bindOf(1) }, payload: new Uint8Array(26).fill(2) }
  const row = () => must(metadata.committed.get("current", objectRowKey(bucketId, KEY)), "it is there")
  assert.equal(await metadata.run(sealPayload({ ...seal, head: { ...head, order: head.order + 1 } })), false)
  await metadata.run(setTags({ bucketId, key: KEY, versionId: undefined }, [["a", "b"]]))
  assert.equal(await metadata.run(sealPayload({ ...seal, head })), true)
  assert.deepEqual(row().payload, { in: "memory", bytes: seal.payload })
  const { details, sealing } = decodeVersion(row().value)
  assert.deepEqual([details?.tags, shown(sealing)], [[["a", "b"]], shown(seal.sealing)], "what changed meanwhile stays")
  assert.equal(await metadata.run(sealPayload({ ...seal, head })), false, "it is sealed once")
  const { head: newer } = await metadata.run(putVersion(putOf(scene, 2, inline)))
  assert.equal(await metadata.run(sealPayload({ ...seal, head })), false, "another one has the id by now")
  assert.notEqual(newer.order, head.order)
})
