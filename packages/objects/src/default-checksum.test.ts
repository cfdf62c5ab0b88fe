/** Bytes that come without a checksum get a CRC64NVME, through every door of the object service; what had none keeps none. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { MIB } from "@hayloft/base/limits.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { BodySource, PutRequest, StoredChecksum } from "./contract.js"
import { open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { plainUpload, sourceOf } from "./bodies/testing-bodies.js"

const signal = new AbortController().signal

async function opened(): Promise<World> {
  const world = await open("ec:2+1")
  const { clock, services, home } = world
  await clock.runUntil(services.storeClock.start())
  await clock.runUntil(services.buckets.setSetting(home, "append", "{}"))
  return world
}

const wanting = (bytes: Uint8Array, checksumAlgorithm: ChecksumAlgorithm): BodySource => ({
  ...sourceOf(bytes),
  checksumAlgorithm,
})

const target = ({ home: bucket }: World, key: string) => ({ bucket, key: objectKeyOfText(key), conditions: {}, signal })
const plain = { attributes: { headers: {}, userMetadata: [] }, tags: [] }

function crcOf({ compute }: World, bytes: Uint8Array): StoredChecksum {
  const { checksum } = compute.hash({ md5: false, sha256: false, checksum: "CRC64NVME" }, bytes)
  const value = Buffer.from(must(checksum, "requested")).toString("base64")
  return { algorithm: "CRC64NVME", type: "FULL_OBJECT", value }
}

async function put(world: World, key: string, body: BodySource, how: Partial<PutRequest> = {}): Promise<void> {
  await world.clock.runUntil(
    (async () => world.services.objects.put({ ...target(world, key), ...plain, body, ...how }))(),
  )
}

async function shown(world: World, key: string): Promise<StoredChecksum | undefined> {
  const body = await world.clock.runUntil((async () => world.services.objects.get(target(world, key)))())
  body.close()
  return body.info.checksum
}

const append = (world: World, key: string, bytes: Uint8Array) =>
  world.clock.runUntil(
    world.services.appends.append({
      ...target(world, key),
      ...plain,
      body: sourceOf(bytes),
      atOffset: undefined,
      appendId: undefined,
    }),
  )

const copy = (world: World, from: string, to: string, tags: [string, string][] | undefined) =>
  world.clock.runUntil(
    world.services.objects.copy({
      ...target(world, to),
      source: target(world, from),
      replaceAttributes: undefined,
      replaceTags: tags,
      checksumAlgorithm: undefined,
    }),
  )

/** An object of two parts, which name these algorithms. */
async function putParts(world: World, key: string, algorithms: readonly (ChecksumAlgorithm | undefined)[]) {
  const { clock, services, home, random } = world
  const { multipart } = services
  const { multipartId } = await clock.runUntil(multipart.create(plainUpload(home, objectKeyOfText(key))))
  const upload = { ...target(world, key), multipartId }
  const bodies = [random.bytes(5 * MIB), random.bytes(70_001)]
  const parts: { partNumber: number; etag: string; checksum: string | undefined }[] = []
  for (const [i, bytes] of bodies.entries()) {
    const algorithm = algorithms[i]
    const body = algorithm === undefined ? sourceOf(bytes) : wanting(bytes, algorithm)
    const { etag, checksum } = await clock.runUntil(multipart.putPart({ ...upload, partNumber: i + 1, body }))
    if (algorithm === undefined) assert.deepEqual(checksum, crcOf(world, bytes))
    parts.push({ partNumber: i + 1, etag, checksum: checksum?.value })
  }
  const nothing = { sizeBytes: undefined, checksum: undefined, checksumType: undefined }
  await clock.runUntil(multipart.complete({ ...upload, parts, ...nothing }))
  return Buffer.concat(bodies)
}

test("an object, its copy and an object of parts get the CRC64NVME of all their bytes", async () => {
  const world = await opened()
  for (const lengthBytes of [0, 1, 2_000, 300_000]) {
    const bytes = world.random.bytes(lengthBytes)
    await put(world, "a", sourceOf(bytes))
    assert.deepEqual(await shown(world, "a"), crcOf(world, bytes), `${lengthBytes} bytes`)
    await copy(world, "a", "b", undefined)
    assert.deepEqual(await shown(world, "b"), crcOf(world, bytes), `a copy of ${lengthBytes} bytes`)
  }
  const whole = await putParts(world, "parts", [undefined, "CRC64NVME"])
  assert.deepEqual(await shown(world, "parts"), crcOf(world, whole))
})

test("an object that a client gave a checksum has that one", async () => {
  const world = await opened()
  await put(world, "a", wanting(Buffer.from("bytes"), "SHA256"))
  assert.equal((await shown(world, "a"))?.algorithm, "SHA256")
})

test("appends to a new object and to an empty one have the CRC64NVME of all bytes", async () => {
  const world = await opened()
  const pieces = [3, 1_000, 40_000].map(length => world.random.bytes(length))
  await put(world, "empty", sourceOf(new Uint8Array()))
  for (const key of ["new", "empty"]) {
    for (const [i, piece] of pieces.entries()) {
      await append(world, key, piece)
      assert.deepEqual(await shown(world, key), crcOf(world, Buffer.concat(pieces.slice(0, i + 1))), `${key} ${i}`)
    }
  }
})

test("an object without a checksum keeps having none: after an append, and as a copy onto itself", async () => {
  const world = await opened()
  const bytes = await putParts(world, "old", [undefined, "CRC32"])
  assert.equal(await shown(world, "old"), undefined)
  await copy(world, "old", "old", [["a", "b"]])
  assert.equal(await shown(world, "old"), undefined)
  await copy(world, "old", "elsewhere", undefined)
  assert.deepEqual(await shown(world, "elsewhere"), crcOf(world, bytes))
  await append(world, "old", Buffer.from("more"))
  assert.equal(await shown(world, "old"), undefined)
})

test("a list of segments has no checksum, which would be taken for that of the bytes it stands for", async () => {
  const world = await opened()
  await put(world, "list", sourceOf(Buffer.from("[]")), {
    largeObject: { sizeBytes: 1_000, md5: new Uint8Array(16), parts: 1 },
  })
  assert.equal(await shown(world, "list"), undefined)
})
