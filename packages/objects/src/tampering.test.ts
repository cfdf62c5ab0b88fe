/** Stored bytes or records that anybody changed, cut, exchanged or moved are not delivered. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import { FRONT_THREADS_MAX, KIB, MIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { openedBytesOf, SEGMENT_STORED_BYTES } from "@hayloft/base/encryption/segments.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeSegment, encodeSegment, type PartRecord } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion, encodeVersion, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SEALED_LIMITS, SealedBodies } from "./bodies/sealed-body.js"
import { heldSource, sourceOf } from "./bodies/testing-bodies.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"

const BLOCK_BYTES = 192 * KIB
const PLAIN = openedBytesOf(BLOCK_BYTES)
const openWorld = () => open("ec:2+1", undefined, BLOCK_BYTES)
const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

async function put(world: World, key: string, bytes: Uint8Array): Promise<void> {
  const request = { ...world.putting(key, sourceOf(bytes)), encryption: { mode: "s3" } as const }
  await world.clock.runUntil(world.services.objects.put(request))
}

const write = command<[writes: readonly EntryWrite[]], void>({
  name: "Tamper",
  touches: writes => writes.map(({ family, key }) => [family, key]),
  decide: (view, _time, writes) => {
    for (const { family, key } of writes) view.get(family, key)
    return { writes: [...writes], result: undefined }
  },
})

const rowKeyOf = (world: World, key: string) => objectRowKey(world.home.id, objectKeyOfText(key))

function recordOf(
  world: World,
  key: string,
): { readonly record: VersionRecord; readonly payload: Uint8Array | undefined } {
  const row = must(world.tablet.committed.get("current", rowKeyOf(world, key)), "the object exists")
  const payload = row.payload && "bytes" in row.payload ? row.payload.bytes : undefined
  return { record: decodeVersion(row.value), payload }
}

async function change(world: World, key: string, record: VersionRecord, payload?: Uint8Array): Promise<void> {
  const row = { family: "current" as const, key: rowKeyOf(world, key), value: encodeVersion(record) }
  await world.tablet.run(write([payload === undefined ? row : { ...row, payload: Uint8Array.from(payload) }]))
}

/** Reads with ranges of all kinds: whole, and the last byte. Every one is refused, and delivers nothing wrong. */
async function refused(world: World, key: string, right: Uint8Array, what: string): Promise<void> {
  const target = { bucket: world.home, key: objectKeyOfText(key), conditions: {} }
  const delivered: Uint8Array[] = []
  const reading = async (): Promise<void> => {
    const body = await world.services.objects.get(target)
    try {
      for await (const piece of body.read(noSignal)) delivered.push(piece)
    } finally {
      body.close()
    }
  }
  await assert.rejects(world.clock.runUntil(reading()), error => isFailure(error, "corruptSeal"), what)
  const bytes = Buffer.concat(delivered)
  assert.equal(Buffer.compare(bytes, right.subarray(0, bytes.length)), 0, `${what}: what was delivered is right`)
  assert.ok(bytes.length < Math.max(1, right.length), what)
}

const extentOf = ({ content }: VersionRecord): Extent => {
  assert.ok(content.kind === "extent")
  return content.extent
}

/** The stored bytes of an extent, changed and written again under the same name, with valid checksums. */
async function rewrite(world: World, key: string, alter: (stored: Buffer) => Uint8Array): Promise<void> {
  const { record } = recordOf(world, key)
  const extent = extentOf(record)
  const pieces: Uint8Array[] = []
  const range = { extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }
  for await (const piece of world.blocks.read(range, noSignal) as AsyncIterable<Uint8Array>) pieces.push(piece.slice())
  const changed = alter(Buffer.concat(pieces))
  const { uploadId, part, policy, blockBytes } = extent
  await world.clock.runUntil(world.blocks.remove(extent))
  const written = await world.clock.runUntil(
    world.blocks.write({
      uploadId,
      part,
      policy,
      blockBytes,
      source: Uint8Array.from(changed),
      recoveryHeader: undefined,
      owner: { bucketId: world.home.id, key: objectKeyOfText(key) },
      plan: { md5: false, sha256: false, checksum: undefined },
      lengthBytesMax: changed.length,
      inlineBytesMax: 0,
    }),
  )
  assert.ok(written.content.kind === "extent")
  const content = { kind: "extent", extent: { ...written.content.extent, isSealed: true } } as const
  await change(world, key, { ...record, content })
}

test("changed, exchanged and cut segments and blocks are refused", async () => {
  const world = await openWorld()
  const bytes = world.random.bytes(3 * PLAIN)
  const swapped = (at: number, other: number, length: number) => (stored: Buffer) => {
    const copy = Buffer.from(stored)
    stored.copy(copy, at, other, other + length)
    stored.copy(copy, other, at, at + length)
    return copy
  }
  const alterations: Readonly<Record<string, (stored: Buffer) => Uint8Array>> = {
    "a flipped bit": stored => stored.with(2 * BLOCK_BYTES + 9, (stored[2 * BLOCK_BYTES + 9] ?? 0) ^ 1),
    "a flipped bit in a tag": stored =>
      stored.with(SEGMENT_STORED_BYTES - 1, (stored[SEGMENT_STORED_BYTES - 1] ?? 0) ^ 1),
    "two segments of a block exchanged": swapped(0, SEGMENT_STORED_BYTES, SEGMENT_STORED_BYTES),
    "two blocks exchanged": swapped(0, BLOCK_BYTES, BLOCK_BYTES),
    "without the last block": stored => stored.subarray(0, 2 * BLOCK_BYTES),
    "without the last segment": stored => stored.subarray(0, 2 * BLOCK_BYTES + SEGMENT_STORED_BYTES),
    "a block more": stored => Buffer.concat([stored, stored.subarray(0, BLOCK_BYTES)]),
  }
  for (const [what, alter] of Object.entries(alterations)) {
    await put(world, "key", bytes)
    await rewrite(world, "key", alter)
    await refused(world, "key", bytes, what)
  }
  await put(world, "key", bytes)
  await rewrite(world, "key", stored => stored)
  assert.equal(Buffer.compare(await world.get("key"), bytes), 0, "the same bytes again are read")
  assert.ok(world.telemetry.entries("sealed_bytes_changed").length > 0, "it is logged")
})

test("versions, payloads and extents that were exchanged between keys are refused", async () => {
  const world = await openWorld()
  for (const size of [2_000, PLAIN + 1]) {
    const [one, two] = [world.random.bytes(size), world.random.bytes(size)]
    const begin = async () => {
      await put(world, "one", one)
      await put(world, "two", two)
      return [recordOf(world, "one"), recordOf(world, "two")] as const
    }
    const [, second] = await begin()
    await change(world, "one", second.record, second.payload)
    await refused(world, "one", one, "the whole version of another key")
    const [first, other] = await begin()
    await change(world, "one", { ...first.record, content: other.record.content }, other.payload)
    await refused(world, "one", one, "the bytes of another version")
    const [again] = await begin()
    const { head } = again.record
    await change(world, "one", { ...again.record, head: { ...head, sizeBytes: size - 1 } }, again.payload)
    await refused(world, "one", one, "another size")
    const [etag] = await begin()
    const md5 = new Uint8Array(16).fill(1)
    await change(world, "one", { ...etag.record, head: { ...etag.record.head, md5 } }, etag.payload)
    await refused(world, "one", one, "another ETag")
    if (size === 2_000) continue
    const [plain] = await begin()
    const { isSealed: _, ...unsealed } = extentOf(plain.record)
    await change(world, "one", { ...plain.record, content: { kind: "extent", extent: unsealed } })
    await refused(world, "one", one, "an extent that is said to be plain")
  }
})

test("an older version under the id of a newer one is refused", async () => {
  const world = await openWorld()
  const [older, newer] = [world.random.bytes(3_000), world.random.bytes(3_000)]
  await put(world, "key", older)
  const before = recordOf(world, "key")
  await put(world, "key", newer)
  const now = recordOf(world, "key")
  await change(
    world,
    "key",
    { ...before.record, head: { ...before.record.head, random: now.record.head.random } },
    before.payload,
  )
  await refused(world, "key", newer, "an older version")
  assert.equal(world.telemetry.entries("sealed_record_changed").length, 1, "it is logged")
})

/** A sealed multipart object of three parts. */
async function upload(world: World, parts: readonly Uint8Array[]): Promise<void> {
  const { multipart } = world.services
  const target = { bucket: world.home, key: objectKeyOfText("key") }
  const create = { ...target, attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
  const { multipartId } = await multipart.create({ ...create, encryption: { mode: "s3" } })
  const completed = []
  for (const [i, bytes] of parts.entries()) {
    const part = { ...target, multipartId, partNumber: i + 1, body: sourceOf(bytes), signal: noSignal }
    const { etag } = await world.clock.runUntil(multipart.putPart(part))
    completed.push({ partNumber: i + 1, etag, checksum: undefined })
  }
  const how = { sizeBytes: undefined, checksum: undefined, checksumType: undefined, conditions: {}, signal: noSignal }
  await multipart.complete({ ...target, multipartId, parts: completed, ...how })
}

test("parts that were exchanged, left out or repeated are refused", async () => {
  const world = await openWorld()
  const parts = [5 * MIB, 5 * MIB, 1_000].map(length => world.random.bytes(length))
  const whole = Buffer.concat(parts)
  type Alter = (parts: readonly PartRecord[]) => readonly PartRecord[]
  const at = (list: readonly PartRecord[], n: number): PartRecord => must(list[n], "it has three parts")
  const alterations: Readonly<Record<string, Alter>> = {
    "two parts exchanged": list => [at(list, 1), at(list, 0), at(list, 2)],
    "two extents exchanged": list => [
      { ...at(list, 0), extent: at(list, 1).extent },
      { ...at(list, 1), extent: at(list, 0).extent },
      at(list, 2),
    ],
    "without the last part": list => list.slice(0, 2),
    "without the first part": list => list.slice(1),
    "a part twice": list => [at(list, 0), at(list, 0), at(list, 2)],
  }
  for (const [what, alter] of Object.entries(alterations)) {
    await upload(world, parts)
    const rows = [...world.tablet.committed.range("segments", ALL_ROWS)]
    assert.equal(rows.length, 1)
    const [key, { value }] = must(rows[0], "there is one")
    const segment = decodeSegment(value)
    const changed = encodeSegment({ ...segment, parts: alter(segment.parts) })
    await world.tablet.run(write([{ family: "segments", key, value: changed }]))
    await refused(world, "key", whole, what)
    await world.tablet.run(write([{ family: "segments", key, value }]))
    assert.equal(Buffer.compare(await world.get("key"), whole), 0, `${what}: undone`)
    await world.remove("key")
    await world.settle("collector")
  }
})

test("a sealed object is repaired and re-encoded without its key", async () => {
  const world = await open("ec:4+2")
  const bytes = world.random.bytes(150_000)
  await put(world, "key", bytes)
  const [lost] = world.layouts.current.devices
  assert.ok(lost)
  const opened = (): never => assert.fail("repair opens nothing")
  const { open: openOne, openSegments, seal } = world.compute
  Object.assign(world.compute, { open: opened, openSegments: opened, seal: opened })
  await world.replace(lost, 50)
  await world.settle()
  assert.equal(world.stateOf(lost), undefined)
  world.policy = parsePolicy("ec:2+1")
  world.policyVersion += 1
  await world.settle("reencode")
  Object.assign(world.compute, { open: openOne, openSegments, seal })
  const extent = extentOf(recordOf(world, "key").record)
  assert.deepEqual([extent.isSealed, textOfPolicy(extent.policy)], [true, "ec:2+1"])
  assert.equal(Buffer.compare(await world.get("key"), bytes), 0)
})

test("a version that was moved to another bucket is refused", async () => {
  const world = await openWorld()
  const other = { name: parseBucketName("other"), owner: world.home.owner, location: "" }
  const bucket = await world.services.buckets.create(other)
  const own = { ...world.putting("own", sourceOf(Buffer.from("it has a secret too"))), bucket }
  await world.clock.runUntil(world.services.objects.put({ ...own, encryption: { mode: "s3" } }))
  for (const size of [2_000, PLAIN + 1]) {
    await put(world, "key", world.random.bytes(size))
    const { record, payload } = recordOf(world, "key")
    const row = { family: "current" as const, key: objectRowKey(bucket.id, objectKeyOfText("key")) }
    const value = encodeVersion(record)
    await world.tablet.run(write([{ ...row, value, ...(payload && { payload: Uint8Array.from(payload) }) }]))
    const moved = { bucket, key: objectKeyOfText("key"), conditions: {} }
    await assert.rejects(
      async () => world.services.objects.get(moved),
      error => isFailure(error, "corruptSeal"),
    )
  }
})

test("a stalled sealed upload leaves the ETag of another right", async () => {
  const world = await openWorld()
  const [slow, quick] = [world.random.bytes(2 * PLAIN + 1), world.random.bytes(2 * PLAIN + 3)]
  const held = heldSource(slow)
  const encryption = { mode: "s3" } as const
  const stalled = world.services.objects.put({ ...world.putting("slow", held.slow), encryption })
  const done = await world.services.objects.put({ ...world.putting("quick", sourceOf(quick)), encryption })
  assert.equal(done.etag, md5Of(quick))
  held.goOn()
  assert.equal((await stalled).etag, md5Of(slow))
  assert.equal(Buffer.compare(await world.get("slow"), slow), 0)
  assert.equal(Buffer.compare(await world.get("quick"), quick), 0)
})

/** The limit of a thread that serves alone, and of one of the most there can be. */
for (const share of [1, 1 / FRONT_THREADS_MAX])
  test(`readers whose clients stall hold no more than the limit, and leave others room to read (share ${share})`, async () => {
    const world = await open("ec:2+1", undefined, 4 * MIB)
    const bytes = world.random.bytes(6 * MIB)
    const { extent, key } = await sealedExtent(world, bytes)
    const blocks: Pick<Blocks, "read" | "memoryShare"> = {
      read: (...of) => world.blocks.read(...of),
      memoryShare: share,
    }
    const bodies = new SealedBodies(blocks, world.compute, world.telemetry.log)
    const range = { extent, offsetBytes: 0, lengthBytes: bytes.length }
    const readers = Array.from({ length: 60 }, () => bodies.read([range], key, noSignal, "reader"))
    for (const reader of readers) for (let piece = 0; piece < 4; piece += 1) await world.clock.runUntil(reader.next())
    assert.ok(bodies.heldBytes > 0 && bodies.heldBytes <= bodies.heldBytesMax, `${bodies.heldBytes}`)
    const all: Uint8Array[] = []
    const read = async (): Promise<void> => {
      for await (const piece of bodies.read([range], key, noSignal, "reader")) all.push(Uint8Array.from(piece))
    }
    await world.clock.runUntil(read())
    assert.equal(Buffer.compare(Buffer.concat(all), bytes), 0)
    for (const reader of readers) await reader.return(undefined)
    await world.clock.advance(1)
    assert.equal(bodies.heldBytes, 0, "readers that stop give everything back")
    if (share === 1) assert.equal(bodies.heldBytesMax, SEALED_LIMITS.unsealBytesMax)
    else assert.ok(bodies.heldBytesMax <= SEALED_LIMITS.unsealBytesMax / 8, `${bodies.heldBytesMax}`)
  })

/** An extent that is sealed under the key that derives from this one. */
async function sealedExtent(
  world: World,
  bytes: Uint8Array,
): Promise<{ readonly extent: Extent; readonly key: Uint8Array }> {
  await put(world, "long", bytes)
  const { record } = recordOf(world, "long")
  const keys: Uint8Array[] = []
  const { read } = SealedBodies.prototype
  SealedBodies.prototype.read = function (...args) {
    keys.push(args[1])
    return read.apply(this, args)
  }
  assert.equal(Buffer.compare(await world.get("long"), bytes), 0)
  SealedBodies.prototype.read = read
  return { extent: extentOf(record), key: must(keys[0], "the object was read") }
}
