/** Encrypted objects: clients get their bytes back, in every mode and range, and nothing that was changed. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { openedBytesOf } from "@hayloft/base/encryption/segments.js"
import type { Protection } from "@hayloft/access/keys/contract.js"
import type { GetRequest, MultipartInfo, ObjectBody, PutRequest } from "../contract.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "./testing-bodies.js"

const BLOCK_BYTES = 192 * KIB
const PLAIN = openedBytesOf(BLOCK_BYTES)
const CLIENT_KEY = createHash("sha256").update("a client's key").digest()
const OTHER_KEY = createHash("sha256").update("another key").digest()
const KMS = { keyArn: "arn:aws:kms:eu-west-1:123456789012:key/a", context: '{"aws:s3:arn":"arn:aws:s3:::bucket"}' }
const PROTECTIONS: Readonly<Record<string, Protection | undefined>> = {
  none: undefined,
  atRest: { mode: "atRest" },
  s3: { mode: "s3" },
  kms: { mode: "kms", ...KMS, usesBucketKey: false },
  bucketKey: { mode: "kms", ...KMS, usesBucketKey: true },
  client: { mode: "client", key: CLIENT_KEY },
}
const MODES = Object.keys(PROTECTIONS)
const SEALED = MODES.filter(mode => mode !== "none")
const SIZES = [0, 1, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, PLAIN - 1, PLAIN, PLAIN + 1, 3 * PLAIN + 70_001]

const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")
const clientKeyOf = (mode: string): Uint8Array | undefined => (mode === "client" ? CLIENT_KEY : undefined)
const openWorld = () => open("ec:2+1", undefined, BLOCK_BYTES)

async function refused(work: () => unknown, kind: FailureKind, what?: string): Promise<void> {
  await assert.rejects(
    async () => await work(),
    error => isFailure(error, kind),
    what,
  )
}

async function put(world: World, key: string, bytes: Uint8Array, mode: string, how: Partial<PutRequest> = {}) {
  const request = { ...world.putting(key, sourceOf(bytes)), encryption: PROTECTIONS[mode], ...how }
  return world.clock.runUntil(world.services.objects.put(request))
}

async function get(world: World, key: string, how: Partial<GetRequest> = {}): Promise<ObjectBody> {
  const request = { bucket: world.home, key: objectKeyOfText(key), conditions: {}, ...how }
  return world.services.objects.get(request)
}

async function bytesOf(world: World, body: ObjectBody): Promise<Buffer> {
  const reading = async (): Promise<Buffer> => {
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal, "reader")) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  }
  const read = await world.clock.runUntil(reading())
  const lent = body.lend()
  if (lent !== undefined) {
    assert.equal(Buffer.compare(lent.bytes, read), 0, "lent bytes are those of the stream")
    lent.giveBack()
  }
  return read
}

test("objects of every size come back in every mode, with the ETag and length that Amazon promises", async () => {
  const world = await openWorld()
  for (const mode of MODES) {
    for (const size of SIZES) {
      const bytes = world.random.bytes(size)
      const { etag, sizeBytes, encryption } = await put(world, "key", bytes, mode)
      const isDigest = ["none", "atRest", "s3"].includes(mode)
      assert.equal(etag === md5Of(bytes), isDigest, `${mode} ${size}`)
      assert.match(etag, /^[0-9a-f]{32}$/)
      const clientKey = clientKeyOf(mode)
      const body = await get(world, "key", { clientKey })
      assert.deepEqual([body.info.sizeBytes, body.info.etag, sizeBytes], [size, etag, size])
      assert.deepEqual(body.info.encryption, encryption)
      const shown = { none: undefined, atRest: undefined, bucketKey: "kms" }
      assert.equal(encryption?.mode, mode in shown ? shown[mode as keyof typeof shown] : mode)
      assert.equal(Buffer.compare(await bytesOf(world, body), bytes), 0, `${mode} ${size}`)
      body.close()
    }
  }
})

test("a range of a sealed object has the bytes of the plaintext", async () => {
  const world = await openWorld()
  const bytes = world.random.bytes(3 * PLAIN + 70_001)
  const random = world.random.fork("ranges")
  for (const mode of ["atRest", "client"]) {
    await put(world, "key", bytes, mode)
    const edges = [0, 1, 65_535, 65_536, PLAIN - 1, PLAIN, PLAIN + 1, 2 * PLAIN - 5, bytes.length - 1]
    for (let round = 0; round < 60; round += 1) {
      const first = edges[round] ?? random.below(bytes.length)
      const lengthBytes =
        1 + random.below(round % 2 === 0 ? bytes.length - first : Math.min(70_000, bytes.length - first))
      const range = { kind: "fromTo", first, last: first + lengthBytes - 1 } as const
      const body = await get(world, "key", { range, clientKey: clientKeyOf(mode) })
      const expected = bytes.subarray(first, first + lengthBytes)
      assert.equal(Buffer.compare(await bytesOf(world, body), expected), 0, `${first} ${lengthBytes}`)
      body.close()
    }
  }
})

test("a client's key is needed for its objects, HEAD included, and refused for others", async () => {
  const world = await openWorld()
  for (const size of [100, 70_000]) {
    const bytes = world.random.bytes(size)
    await put(world, "client", bytes, "client")
    await put(world, "s3", bytes, "s3")
    await put(world, "none", bytes, "none")
    for (const headersOnly of [true, false]) {
      await refused(() => get(world, "client", { headersOnly }), "invalidRequest")
      await refused(() => get(world, "client", { headersOnly, clientKey: OTHER_KEY }), "accessDenied")
      await refused(() => get(world, "s3", { headersOnly, clientKey: CLIENT_KEY }), "invalidRequest")
      await refused(() => get(world, "none", { headersOnly, clientKey: CLIENT_KEY }), "invalidRequest")
      const body = await get(world, "client", { headersOnly, clientKey: CLIENT_KEY })
      assert.deepEqual(body.info.encryption, { mode: "client" })
      body.close()
    }
  }
})

test("Content-MD5 is checked although the ETag is random", async () => {
  const world = await openWorld()
  for (const size of [100, 101, 70_000, 70_001]) {
    const bytes = world.random.bytes(size)
    const right = createHash("md5").update(bytes).digest()
    await put(world, "key", bytes, "kms", { body: { ...sourceOf(bytes), md5: right } })
    const wrong = put(world, "key", bytes, "kms", { body: { ...sourceOf(bytes), md5: new Uint8Array(16) } })
    await refused(() => wrong, "badDigest", `${size}`)
  }
})

test("all pairs of modes can be copied, onto another key and onto itself", async () => {
  const world = await openWorld()
  for (const size of [1_000, PLAIN + 5]) {
    const bytes = world.random.bytes(size)
    for (const from of MODES) {
      for (const to of MODES) {
        for (const target of ["copy", "source"]) {
          await put(world, "source", bytes, from)
          const copying = world.services.objects.copy({
            source: {
              bucket: world.home,
              key: objectKeyOfText("source"),
              conditions: {},
              clientKey: clientKeyOf(from),
            },
            bucket: world.home,
            key: objectKeyOfText(target),
            conditions: {},
            replaceAttributes: undefined,
            replaceTags: undefined,
            checksumAlgorithm: undefined,
            signal: noSignal,
            encryption: PROTECTIONS[to],
          })
          const what = `${from} to ${to}, ${target}, ${size} bytes`
          if (target === "source" && from === to) {
            await refused(() => world.clock.runUntil(copying), "invalidRequest", what)
            continue
          }
          const copied = await world.clock.runUntil(copying)
          assert.equal(copied.encryption?.mode, PROTECTIONS[to]?.mode === "atRest" ? undefined : PROTECTIONS[to]?.mode)
          const body = await get(world, target, { clientKey: clientKeyOf(to) })
          assert.equal(Buffer.compare(await bytesOf(world, body), bytes), 0, what)
          body.close()
        }
      }
    }
  }
})

test("a copy onto itself that changes only the tags shares the sealed bytes, and keeps the ETag", async () => {
  const world = await openWorld()
  const sizes = [1_000, 2 * PLAIN]
  for (const [mode, size] of SEALED.flatMap(mode => sizes.map(size => [mode, size] as const))) {
    const bytes = world.random.bytes(size)
    const source = { bucket: world.home, key: objectKeyOfText(mode), conditions: {}, clientKey: clientKeyOf(mode) }
    const { etag } = await put(world, mode, bytes, mode)
    const before = world.needles
    const copying = world.services.objects.copy({
      source,
      bucket: world.home,
      key: source.key,
      conditions: {},
      encryption: PROTECTIONS[mode],
      signal: noSignal,
      replaceAttributes: undefined,
      replaceTags: [["a", "b"]],
      checksumAlgorithm: undefined,
    })
    assert.equal((await world.clock.runUntil(copying)).etag, etag)
    assert.equal(world.needles, before, mode)
    const body = await get(world, mode, { clientKey: clientKeyOf(mode) })
    assert.equal(Buffer.compare(await bytesOf(world, body), bytes), 0, mode)
    body.close()
  }
})

/** A multipart upload of these parts. */
async function upload(world: World, key: string, mode: string, parts: readonly Uint8Array[]): Promise<MultipartInfo> {
  const { multipart } = world.services
  const target = { bucket: world.home, key: objectKeyOfText(key) }
  const attributes = { headers: {}, userMetadata: [] }
  const checksum = { algorithm: "CRC64NVME", type: "FULL_OBJECT" } as const
  const create = { ...target, attributes, tags: [], checksum, encryption: PROTECTIONS[mode] }
  const info = await multipart.create(create)
  const { multipartId } = info
  const clientKey = clientKeyOf(mode)
  const etags: string[] = []
  for (const [i, bytes] of parts.entries()) {
    const part = { ...target, multipartId, partNumber: 2 * i + 1, body: sourceOf(bytes), signal: noSignal, clientKey }
    const { etag, encryption } = await world.clock.runUntil(multipart.putPart(part))
    assert.deepEqual(encryption, info.encryption)
    assert.equal(etag === md5Of(bytes), mode !== "kms" && mode !== "client")
    etags.push(etag)
  }
  const listed = await multipart.listParts({ ...target, multipartId, afterPart: 0, max: 100 })
  assert.deepEqual(
    listed.parts.map(({ sizeBytes }) => sizeBytes),
    parts.map(({ length }) => length),
  )
  const completed = etags.map((etag, i) => ({ partNumber: 2 * i + 1, etag, checksum: undefined }))
  const complete = { ...target, multipartId, parts: completed, conditions: {}, signal: noSignal }
  const digest = world.compute.hash({ md5: false, sha256: false, checksum: "CRC64NVME" }, Buffer.concat(parts)).checksum
  const whole = { algorithm: "CRC64NVME", value: Buffer.from(must(digest, "requested")).toString("base64") } as const
  const declared = { ...complete, sizeBytes: undefined, checksum: whole, checksumType: undefined }
  if (mode === "client")
    await refused(() => multipart.complete({ ...declared, checkEncryption: () => undefined }), "invalidRequest")
  const result = await multipart.complete({ ...declared, clientKey })
  const ofParts = createHash("md5")
    .update(Buffer.from(etags.join(""), "hex"))
    .digest("hex")
  assert.equal(result.etag, `${ofParts}-${parts.length}`)
  return info
}

test("a sealed multipart upload has the sizes, offsets, checksum and ETag of its plaintext", async () => {
  const world = await openWorld()
  const parts = [5 * MIB, 5 * MIB + 70_001, 12_345].map(length => world.random.bytes(length))
  const whole = Buffer.concat(parts)
  for (const mode of ["s3", "kms", "client"]) {
    const info = await upload(world, mode, mode, parts)
    assert.equal(info.encryption?.mode, mode)
    const clientKey = clientKeyOf(mode)
    const body = await get(world, mode, { clientKey })
    assert.deepEqual([body.info.sizeBytes, body.info.encryption?.mode], [whole.length, mode])
    assert.equal(Buffer.compare(await bytesOf(world, body), whole), 0)
    body.close()
    for (const [i, part] of parts.entries()) {
      const byNumber = await get(world, mode, { range: { kind: "part", partNumber: i + 1 }, clientKey })
      assert.equal(Buffer.compare(await bytesOf(world, byNumber), part), 0, `part ${i + 1}`)
      byNumber.close()
    }
    const range = { kind: "fromTo", first: 5 * MIB - 7, last: 10 * MIB + 70_010 } as const
    const across = await get(world, mode, { range, clientKey })
    assert.equal(Buffer.compare(await bytesOf(world, across), whole.subarray(range.first, range.last + 1)), 0)
    across.close()
    const target = { bucket: world.home, key: objectKeyOfText(mode), ...(clientKey && { clientKey }) }
    const listed = await world.services.objects.parts(target, { afterPart: 0, max: 10 })
    assert.deepEqual(
      listed.parts.map(({ sizeBytes }) => sizeBytes),
      parts.map(({ length }) => length),
    )
  }
})

test("parts need the key of their upload, and are sealed copies of any source", async () => {
  const world = await openWorld()
  const bytes = world.random.bytes(100_001)
  const { multipart } = world.services
  for (const mode of MODES) await put(world, mode, bytes, mode)
  const target = { bucket: world.home, key: objectKeyOfText("target") }
  const create = { ...target, attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
  const { multipartId } = await multipart.create({ ...create, encryption: PROTECTIONS["client"] })
  const part = { ...target, multipartId, signal: noSignal, partNumber: 1 }
  const body = sourceOf(bytes)
  await refused(() => multipart.putPart({ ...part, body }), "invalidRequest")
  await refused(() => multipart.putPart({ ...part, body, clientKey: OTHER_KEY }), "invalidRequest")
  for (const mode of MODES) {
    const source = { bucket: world.home, key: objectKeyOfText(mode), conditions: {}, clientKey: clientKeyOf(mode) }
    const range = { first: 10, last: 80_000 }
    const copied = await world.clock.runUntil(multipart.copyPart({ ...part, source, range, clientKey: CLIENT_KEY }))
    const complete = { ...target, multipartId, conditions: {}, signal: noSignal, checksum: undefined }
    const parts = [{ partNumber: 1, etag: copied.etag, checksum: undefined }]
    if (mode !== MODES.at(-1)) continue
    const wrong = { ...complete, parts, sizeBytes: 1, checksumType: undefined }
    await refused(() => multipart.complete(wrong), "invalidRequest")
    await refused(() => multipart.complete({ ...wrong, sizeBytes: 79_991, clientKey: OTHER_KEY }), "invalidRequest")
    await multipart.complete({ ...wrong, sizeBytes: 79_991 })
  }
  const read = await get(world, "target", { clientKey: CLIENT_KEY })
  assert.equal(Buffer.compare(await bytesOf(world, read), bytes.subarray(10, 80_001)), 0)
  read.close()
})

test("metadata that recovery headers cannot hold is refused, and what is accepted leaves room for a lock", async () => {
  const world = await open("ec:2+1", 4)
  const { services, home, layouts } = world
  await services.buckets.setVersioning(home, "enabled")
  await services.buckets.setLock(home, undefined)
  const bucket = await services.buckets.open(home.name)
  const bytes = world.random.bytes(20_000)
  const store = (length: number) => {
    const context = JSON.stringify({ "aws:s3:arn": "arn:aws:s3:::bucket", pair: "x".repeat(length) })
    const encryption = { mode: "kms", keyArn: "arn:aws:kms:eu:1:key/a", context, usesBucketKey: true } as const
    return put(world, "key", bytes, "kms", { bucket, encryption })
  }
  await refused(() => store(8_080), "metadataTooLarge")
  // An upload whose parts would all be refused does not begin.
  const begin = (length: number) => {
    const context = JSON.stringify({ "aws:s3:arn": "arn:aws:s3:::bucket", pair: "x".repeat(length) })
    const encryption = { mode: "kms", keyArn: "arn:aws:kms:eu:1:key/a", context, usesBucketKey: true } as const
    const { attributes, key, tags } = world.putting("upload", sourceOf(bytes))
    const request = { bucket, key, attributes, tags, checksum: undefined, encryption }
    return world.clock.runUntil(services.multipart.create(request))
  }
  await refused(() => begin(8_080), "metadataTooLarge")
  const { multipartId } = await begin(2_000)
  const part = { bucket, key: objectKeyOfText("upload"), multipartId, partNumber: 1 }
  await world.clock.runUntil(services.multipart.putPart({ ...part, body: sourceOf(bytes), signal: noSignal }))
  let length = 8_080
  for (let isStored = false; !isStored; length -= 8) {
    isStored = await store(length).then(
      () => true,
      () => false,
    )
  }
  const target = { bucket, key: objectKeyOfText("key") }
  const until = { mode: "GOVERNANCE", untilMs: world.clock.wallMs() + 1e9 } as const
  await services.objects.setRetention(target, until, false)
  await services.objects.setLegalHold(target, true)
  const [lost] = layouts.current.devices
  assert.ok(lost)
  await world.replace(lost, 50)
  await world.settle()
  assert.equal(world.stateOf(lost), undefined, "every shard was written again")
  assert.equal(Buffer.compare(await world.get("key"), bytes), 0)
})
