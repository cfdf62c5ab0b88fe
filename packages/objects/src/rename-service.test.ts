/** Renamed objects: their bytes and all that is stored with them, however they are stored; and what is left behind. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import type { Protection } from "@hayloft/access/keys/contract.js"
import { readCounters } from "./commands/bucket-rows-core.js"
import { assertEncrypted, convert, encryptAll } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { ENCRYPT_LIMITS } from "@hayloft/upkeep/encrypt/encrypt.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import {
  assertExact,
  BLOCK,
  opened,
  put as putShared,
  rowsIn,
  uploading,
} from "@hayloft/features/dedup/testing-dedup.js"
import type { CompletedPart, GetRequest, PutRequest, RenameRequest } from "./contract.js"
import { sourceOf } from "./bodies/testing-bodies.js"

const CLIENT_KEY = createHash("sha256").update("a client's key").digest()
const KMS = { keyArn: "arn:aws:kms:eu-west-1:123456789012:key/a", context: '{"aws:s3:arn":"arn:aws:s3:::bucket"}' }
const PROTECTIONS: Readonly<Record<string, Protection | undefined>> = {
  none: undefined,
  s3: { mode: "s3" },
  kms: { mode: "kms", ...KMS, usesBucketKey: false },
  bucketKey: { mode: "kms", ...KMS, usesBucketKey: true },
  client: { mode: "client", key: CLIENT_KEY },
}
const MODES = Object.keys(PROTECTIONS)
const SIZES = [0, 100, 70_001, 500_000]
/** A part has several blocks. */
const PART_BYTES = 3 * SMALL_PART_BYTES

const clientKeyOf = (mode: string): Uint8Array | undefined => (mode === "client" ? CLIENT_KEY : undefined)
const openWorld = () => open("ec:2+1", undefined, 192 * KIB)

function renameOf(world: World, from: string, to: string, how: Partial<RenameRequest> = {}): RenameRequest {
  const keys = { from: objectKeyOfText(from), to: objectKeyOfText(to) }
  const plain = { conditions: {}, sourceConditions: {}, clientToken: undefined, signal: noSignal }
  return { bucket: world.home, ...keys, ...plain, ...how }
}

const rename = (world: World, from: string, to: string, how: Partial<RenameRequest> = {}) =>
  world.clock.runUntil(world.services.renames.rename(renameOf(world, from, to, how)))

const put = (world: World, key: string, bytes: Uint8Array, mode: string, how: Partial<PutRequest> = {}) =>
  world.clock.runUntil(
    world.services.objects.put({
      ...world.putting(key, sourceOf(bytes)),
      encryption: PROTECTIONS[mode],
      tags: [["team", "storage"]],
      ...how,
    }),
  )

async function read(world: World, key: string, how: Partial<GetRequest> = {}) {
  const reading = async () => {
    const body = await world.services.objects.get({
      bucket: world.home,
      key: objectKeyOfText(key),
      conditions: {},
      ...how,
    })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal)) pieces.push(Uint8Array.from(piece))
    return { info: body.info, bytes: Buffer.concat(pieces) }
  }
  return world.clock.runUntil(reading())
}

async function isMissing(world: World, key: string): Promise<boolean> {
  try {
    await read(world, key)
    return false
  } catch (error) {
    if (isFailure(error, "noSuchKey")) return true
    throw error
  }
}

test("objects of every size and mode are renamed and keep their bytes, ETag, tags and encryption", async () => {
  const world = await openWorld()
  for (const mode of MODES) {
    for (const size of SIZES) {
      const bytes = world.random.bytes(size)
      await put(world, "from", bytes, mode)
      const clientKey = clientKeyOf(mode)
      const before = await read(world, "from", { clientKey })
      // Twice: bytes that were copied as they are sealed are copied again.
      await rename(world, "from", "between")
      await rename(world, "between", "to")
      const after = await read(world, "to", { clientKey })
      assert.equal(Buffer.compare(after.bytes, bytes), 0, `${mode} ${size}`)
      const { versionId: _, lastModifiedMs: _at, ...same } = after.info
      const { versionId: _before, lastModifiedMs: _atBefore, ...sameBefore } = before.info
      assert.deepEqual(same, sameBefore)
      assert.ok((await isMissing(world, "from")) && (await isMissing(world, "between")))
    }
  }
  await world.remove("to")
  await world.settle("collector")
  assert.equal(world.needles, 0, "nothing is left of what was renamed")
})

async function putParts(world: World, key: string, mode: string): Promise<Uint8Array> {
  const { multipart } = world.services
  const target = { bucket: world.home, key: objectKeyOfText(key) }
  const attributes = { headers: { contentType: "text/parts" }, userMetadata: [["note", "parts"] as const] }
  const checksum = { algorithm: "CRC32", type: "COMPOSITE" } as const
  const request = { ...target, attributes, tags: [], checksum, encryption: PROTECTIONS[mode] }
  const { multipartId } = await world.clock.runUntil(multipart.create(request))
  const bodies = [2, 5, 9].map(number => world.random.bytes(number === 9 ? 70_001 : PART_BYTES + number))
  const parts: CompletedPart[] = []
  for (const [index, bytes] of bodies.entries()) {
    const partNumber = 2 * index + 2
    const put = { ...target, multipartId, partNumber, body: sourceOf(bytes), signal: noSignal }
    const { etag } = await world.clock.runUntil(multipart.putPart({ ...put, clientKey: clientKeyOf(mode) }))
    parts.push({ partNumber, etag, checksum: undefined })
  }
  const nothing = {
    conditions: {},
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
    signal: noSignal,
  }
  const ofCaller = { checkEncryption: async () => undefined }
  const complete = (clientKey: Uint8Array | undefined) =>
    world.clock.runUntil(multipart.complete({ ...target, multipartId, parts, ...nothing, ...ofCaller, clientKey }))
  if (mode === "client")
    await assert.rejects(complete(undefined), error => isFailure(error, "invalidRequest"), "a checksum is declared")
  await complete(clientKeyOf(mode))
  return Buffer.concat(bodies)
}

const partsOf = async (world: World, key: string, clientKey: Uint8Array | undefined, bucket = world.home) =>
  (
    await world.clock.runUntil(
      world.services.objects.parts({ bucket, key: objectKeyOfText(key), clientKey }, { afterPart: 0, max: 10 }),
    )
  ).parts

const uploadsOf = async (world: World) => {
  const all = { prefix: "", delimiter: "", keyMarker: "", uploadIdMarker: undefined, max: 10 }
  return world.services.multipart.listUploads({ bucket: world.home, ...all })
}

test("a multipart object keeps its parts, their numbers and checksums, in every mode", async () => {
  const world = await openWorld()
  for (const mode of MODES) {
    const bytes = await putParts(world, "from", mode)
    const clientKey = clientKeyOf(mode)
    const [before, parts] = [await read(world, "from", { clientKey }), await partsOf(world, "from", clientKey)]
    await rename(world, "from", "to")
    const after = await read(world, "to", { clientKey })
    assert.equal(Buffer.compare(after.bytes, bytes), 0, mode)
    assert.deepEqual(await partsOf(world, "to", clientKey), parts)
    const { versionId: _, lastModifiedMs: _at, ...same } = after.info
    const { versionId: _before, lastModifiedMs: _atBefore, ...sameBefore } = before.info
    assert.deepEqual(same, sameBefore)
    const range = { kind: "part", partNumber: 3 } as const
    assert.equal((await read(world, "to", { clientKey, range })).bytes.length, 70_001)
    assert.ok(await isMissing(world, "from"))
    assert.deepEqual((await uploadsOf(world)).entries, [])
  }
  await world.remove("to")
  await world.settle("collector")
  assert.equal(world.needles, 0)
})

/** Encrypts all objects, so that nothing refers to the bytes of others. */
async function detachAll(world: World): Promise<void> {
  for (let pass = 0; pass < 8; pass += 1) {
    await world.settle("encrypt")
    await world.settle("collector")
    await world.clock.advance(ENCRYPT_LIMITS.retryMsMax)
  }
  await assertEncrypted(world, "in the end")
}

test("parts that refer to the bytes of others stay parts, in another bucket too, and in a store that encrypts by now", async () => {
  const scene = await opened()
  const { random } = scene.world
  const bodies = [random.bytes(PART_BYTES), random.bytes(70_001)]
  await putShared(scene, "known", must(bodies[1], "it has two"))
  const keys = ["within", "elsewhere", "encrypted", "detached"] as const
  for (const key of keys) await scene.world.clock.runUntil(uploading(scene, key, bodies))
  const segments = rowsIn(scene, "segments").map(([, { value }]) => decodeSegment(value))
  assert.ok(segments.filter(({ referring }) => referring !== undefined).length >= keys.length)
  const making = { name: parseBucketName("second"), owner: parseAccountId("root"), location: "" }
  const second = await scene.world.clock.runUntil(scene.world.services.buckets.create(making))
  let { world } = scene
  for (const key of keys) {
    const [before, parts] = [await read(world, key), await partsOf(world, key, undefined)]
    if (key === "encrypted") world = convert(world)
    if (key === "detached") await detachAll(world)
    const bucket = key === "elsewhere" ? second : world.home
    await rename(world, key, "to", { bucket, fromBucket: world.home })
    const after = await read(world, "to", { bucket })
    assert.equal(Buffer.compare(after.bytes, Buffer.concat(bodies)), 0, key)
    assert.deepEqual([after.info.etag, after.info.partsCount], [before.info.etag, bodies.length], key)
    assert.deepEqual(await partsOf(world, "to", undefined, bucket), parts, key)
    for (const [i, bytes] of bodies.entries()) {
      const range = { kind: "part", partNumber: i + 1 } as const
      assert.equal(Buffer.compare((await read(world, "to", { bucket, range })).bytes, bytes), 0, `${key} ${i}`)
    }
    assert.ok(await isMissing(world, key))
    await world.clock.runUntil(world.services.objects.remove({ bucket, key: objectKeyOfText("to"), conditions: {} }))
  }
  assertExact({ ...scene, world })
})

test("plain objects of a store that encrypts by now are encrypted under their new key", async () => {
  const plain = await openWorld()
  const bodies = SIZES.map(size => plain.random.bytes(size))
  for (const [index, bytes] of bodies.entries()) await put(plain, `from ${index}`, bytes, "none")
  const parts = await putParts(plain, "from parts", "none")
  plain.encrypts = true
  const world = plain.restart(2)
  for (const [index, bytes] of [...bodies, parts].entries()) {
    const name = index < bodies.length ? String(index) : "parts"
    await rename(world, `from ${name}`, `to ${name}`)
    assert.equal(Buffer.compare((await read(world, `to ${name}`)).bytes, bytes), 0, name)
  }
  await world.settle("collector")
  await world.settle("encrypt")
  assert.equal(world.services.encrypt?.report().isDone, true, "the first pass finds nothing that is not encrypted")
})

test("an object whose segments were encrypted is renamed, and stays encrypted", async () => {
  const scene = await opened()
  const bytes = scene.world.random.bytes(3 * BLOCK + 5)
  const { etag } = await putShared(scene, "from", bytes)
  const world = convert(scene.world)
  await encryptAll(world)
  await rename(world, "from", "to")
  const { info, bytes: found } = await read(world, "to")
  assert.equal(Buffer.compare(found, bytes), 0)
  assert.equal(info.etag, etag)
  assert.ok(await isMissing(world, "from"))
  await rename(world, "to", "from")
  assert.equal(Buffer.compare((await read(world, "from")).bytes, bytes), 0)
  await assertEncrypted(world, "renamed")
})

test("a payload is renamed without any block being written", async () => {
  const world = await openWorld()
  await put(world, "from", world.random.bytes(1_000), "s3")
  const before = world.needles
  await rename(world, "from", "to")
  assert.equal(world.needles, before)
})

test("what a rename has copied is removed if its source keeps changing", async () => {
  const world = await openWorld()
  await put(world, "from", world.random.bytes(300_000), "none")
  await putParts(world, "from parts", "s3")
  const before = world.needles
  const run = world.tablet.run.bind(world.tablet)
  let attempts = 0
  world.tablet.run = async command => {
    if (command.name !== "RenameObject") return run(command)
    attempts += 1
    throw fail("conflict")
  }
  for (const key of ["from", "from parts"])
    await assert.rejects(rename(world, key, "to"), error => isFailure(error, "conflict"))
  assert.equal(attempts, 6, "three for each")
  world.tablet.run = run
  await world.settle("collector")
  assert.ok(await isMissing(world, "to"))
  assert.deepEqual((await uploadsOf(world)).entries, [])
  assert.equal(world.needles, before)
})

test("each version that a rename takes is decided about, and one that is refused stays", async () => {
  const world = await openWorld()
  await put(world, "from", world.random.bytes(300_000), "none")
  const newer = world.random.bytes(200_000)
  const run = world.tablet.run.bind(world.tablet)
  world.tablet.run = async command => {
    if (command.name !== "RenameObject") return run(command)
    world.tablet.run = run
    await world.services.objects.put(world.putting("from", sourceOf(newer)))
    return run(command)
  }
  let checks = 0
  const checkSource = async () => {
    checks += 1
    if (checks > 1) throw fail("accessDenied")
  }
  await assert.rejects(rename(world, "from", "to", { checkSource }), error => isFailure(error, "accessDenied"))
  assert.equal(checks, 2)
  assert.equal(Buffer.compare((await read(world, "from")).bytes, newer), 0)
  assert.ok(await isMissing(world, "to"))
})

test("the same rename, sent twice at the same time with its token, is done once and leaves nothing else", async () => {
  const world = await openWorld()
  await put(world, "whole", world.random.bytes(300_000), "none")
  await putParts(world, "parts", "s3")
  const { renames } = world.services
  for (const key of ["whole", "parts"]) {
    const request = renameOf(world, key, `to ${key}`, { clientToken: `token-${key}` })
    const [first, second] = await world.clock.runUntil(Promise.all([renames.rename(request), renames.rename(request)]))
    assert.deepEqual(second, first)
    assert.equal(readCounters(world.tablet.committed, world.home.id).uploads, 0)
    await world.remove(`to ${key}`)
  }
  await world.settle("collector")
  assert.equal(world.needles, 0)
})

test("an archived object is renamed only while it is restored, and stays so", async () => {
  const world = await openWorld()
  world.mapped.set("GLACIER", parsePolicy("replica:2"))
  const bytes = world.random.bytes(100_000)
  await put(world, "from", bytes, "none", { storageClass: "GLACIER" })
  await assert.rejects(rename(world, "from", "to"), error => isFailure(error, "invalidObjectState"))
  const target = { bucket: world.home, key: objectKeyOfText("from") }
  await world.services.archives.restore(target, { days: 10_000, tier: "Standard" })
  await rename(world, "from", "to")
  const { info, bytes: after } = await read(world, "to")
  assert.equal(Buffer.compare(after, bytes), 0)
  assert.equal(info.storageClass, "GLACIER")
  assert.ok(info.restore !== undefined)
})
