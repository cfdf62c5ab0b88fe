/** Objects that consist of the bytes of others: they keep them whatever becomes of those, and nothing stays when they go. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { objectRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix, NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { replaceSource } from "@hayloft/objects/commands/reference-commands-core.js"
import type { Bucket, NamedSource } from "@hayloft/objects/contract.js"
import { ENCRYPT_LIMITS } from "@hayloft/upkeep/encrypt/encrypt.js"
import { assertEncrypted, COMPLETE, convert, putMultipart } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { setStorageClass } from "../lifecycle/move-commands-core.js"
import { ALL_OBJECT_ROWS, extentsOf } from "@hayloft/objects/queries/extent-rows.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"

const never = new AbortController().signal
const UPLOAD = {
  attributes: { headers: { contentType: "text/x" }, userMetadata: [] },
  tags: [],
  checksum: undefined,
  acl: undefined,
  initiator: undefined,
  lock: undefined,
} as const

interface Scene {
  readonly world: World
  readonly bucket: Bucket
}

async function opened(policy = "ec:2+1"): Promise<Scene> {
  const world = await open(policy)
  const { clock, services, home } = world
  await clock.runUntil(services.storeClock.start())
  await clock.runUntil(services.buckets.setSetting(home, "append", "{}"))
  return { world, bucket: await services.buckets.open(home.name) }
}

const append = ({ world, bucket }: Scene, key: string, bytes: Uint8Array) =>
  world.clock.runUntil(
    world.services.appends.append({
      bucket,
      key: objectKeyOfText(key),
      tags: [],
      signal: never,
      body: sourceOf(bytes),
      conditions: {},
      attributes: { headers: {}, userMetadata: [] },
      atOffset: undefined,
      appendId: undefined,
    }),
  )

const copy = ({ world, bucket }: Scene, from: string, to: string) =>
  world.clock.runUntil(
    world.services.objects.copy({
      bucket,
      key: objectKeyOfText(to),
      conditions: {},
      signal: never,
      source: { bucket, key: objectKeyOfText(from), conditions: {} },
      replaceAttributes: undefined,
      replaceTags: undefined,
      checksumAlgorithm: undefined,
    }),
  )

type Part = string | NamedSource
const named = (part: Part): NamedSource =>
  typeof part === "string" ? { key: objectKeyOfText(part), conditions: {} } : part
const ranged = (key: string, first: number, last?: number): NamedSource => ({
  key: objectKeyOfText(key),
  conditions: {},
  range: { kind: "fromTo", first, last },
})

async function joining({ world, bucket }: Scene, key: string, parts: readonly Part[]) {
  const { multipart } = world.services
  const target = { bucket, key: objectKeyOfText(key) }
  const { multipartId } = await multipart.create({ ...target, ...UPLOAD })
  const sources = parts.map(named)
  return multipart.complete({ ...target, multipartId, ...COMPLETE, parts: [], sources })
}

const join = (scene: Scene, key: string, parts: readonly Part[]) =>
  scene.world.clock.runUntil(joining(scene, key, parts))

async function rangeOf({ world, bucket }: Scene, key: string, first: number, lengthBytes: number): Promise<Buffer> {
  const range = { kind: "fromTo", first, last: first + lengthBytes - 1 } as const
  const read = async () => {
    const body = await world.services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {}, range })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(never)) pieces.push(Uint8Array.from(piece))
    body.close()
    return Buffer.concat(pieces)
  }
  return world.clock.runUntil(read())
}

const rowsOf = ({ world }: Scene, family: "references" | "segments" | "pendingDeletions" | "parts"): number =>
  [...world.tablet.committed.range(family, ALL_OBJECT_ROWS)].length

/** How many shards devices have. */
const stored = ({ world }: Scene): number => world.needles

async function settle({ world }: Scene): Promise<void> {
  for (const job of ["collector", "orphans", "collector"]) await world.settle(job)
  await world.removeAborted()
}

/** The counts are those of the references. */
function assertCounted({ world }: Scene): void {
  const found = new Map<string, number>()
  for (const [, { value }] of world.tablet.committed.range("segments", ALL_OBJECT_ROWS)) {
    const { source } = decodeSegment(value)
    if (source) found.set(source.multipartId, (found.get(source.multipartId) ?? 0) + 1)
  }
  const counts = [...world.tablet.committed.range("references", ALL_OBJECT_ROWS)].map(
    ([, { value }]) => decodeReferences(value).count,
  )
  assert.deepEqual(counts.filter(count => count > 0).sort(), [...found.values()].sort())
}

async function assertNothing(scene: Scene): Promise<void> {
  await settle(scene)
  assert.equal(scene.world.needles, 0)
  for (const family of ["references", "segments", "pendingDeletions", "parts"] as const)
    assert.equal(rowsOf(scene, family), 0, family)
}

const refuses = (work: Promise<unknown>, kind: FailureKind) => assert.rejects(work, error => isFailure(error, kind))

test("a copy within the bucket writes no bytes, and keeps them when its source is gone", async () => {
  const scene = await opened()
  const { world } = scene
  const bytes = world.random.bytes(MIB + 5_000)
  await world.put("a", bytes)
  const before = stored(scene)
  const first = await copy(scene, "a", "b")
  await copy(scene, "b", "c")
  await settle(scene)
  assert.equal(stored(scene), before)
  const etag = async (key: string) =>
    (await world.services.objects.get({ bucket: scene.bucket, key: objectKeyOfText(key), conditions: {} })).info.etag
  assert.deepEqual([first.etag, await etag("b"), await etag("c")], Array(3).fill(await etag("a")))
  assertCounted(scene)
  for (const [removed, left] of [
    ["a", ["b", "c"]],
    ["b", ["c"]],
  ] as const) {
    await world.remove(removed)
    await settle(scene)
    for (const key of left) assert.ok((await world.get(key)).equals(bytes), key)
    assert.equal(stored(scene), before)
  }
  await world.put("a", Buffer.from("another"))
  assert.ok((await world.get("c")).equals(bytes))
  await world.remove("a")
  await world.remove("c")
  await assertNothing(scene)
})

test("what is appended to a source or to its copy is not in the other", async () => {
  const scene = await opened()
  const { world } = scene
  const bytes = world.random.bytes(MIB)
  for (let at = 0; at < bytes.length; at += 40_000) await append(scene, "log", bytes.subarray(at, at + 40_000))
  await copy(scene, "log", "snapshot")
  await append(scene, "log", Buffer.from("later"))
  const own = world.random.bytes(40_000)
  await append(scene, "snapshot", own)
  await world.settle("append-sealing")
  await settle(scene)
  assert.ok((await world.get("log")).equals(Buffer.concat([bytes, Buffer.from("later")])))
  assert.ok((await world.get("snapshot")).equals(Buffer.concat([bytes, own])))
  await copy(scene, "snapshot", "second")
  await world.remove("log")
  await world.remove("snapshot")
  await settle(scene)
  assert.ok((await world.get("second")).equals(Buffer.concat([bytes, own])))
  assertCounted(scene)
  await world.remove("second")
  await assertNothing(scene)
})

test("objects of all kinds are joined in any order, with ranges, and joined again", async () => {
  const scene = await opened()
  const { world } = scene
  const bodies = new Map<string, Buffer>()
  for (const [key, size] of [
    ["empty", 0],
    ["small", 700],
    ["large", 90_000],
  ] as const) {
    bodies.set(key, Buffer.from(world.random.bytes(size)))
    await world.put(key, must(bodies.get(key), key))
  }
  await putMultipart(world, "parts", [SMALL_PART_BYTES, 3_000])
  bodies.set("parts", await world.get("parts"))
  for (let i = 0; i < 50; i += 1) await append(scene, "log", world.random.bytes(1_000))
  bodies.set("log", await world.get("log"))
  const of = (key: string) => must(bodies.get(key), key)
  const made = async (key: string, parts: readonly Part[], body: Buffer) => {
    const { sizeBytes, etag } = await join(scene, key, parts)
    assert.deepEqual([sizeBytes, etag.endsWith("-1")], [body.length, parts.length > 1], key)
    bodies.set(key, body)
    assert.ok((await world.get(key)).equals(body), key)
    for (let first = 1; first < body.length; first += Math.ceil(body.length / 9))
      assert.ok(
        (await rangeOf(scene, key, first, 5_000)).equals(body.subarray(first, first + 5_000)),
        `${key} ${first}`,
      )
    assertCounted(scene)
  }
  const all = Buffer.concat([of("small"), of("log"), of("parts"), of("large"), of("small")])
  await made("all", ["small", "log", "empty", "parts", "large", "small"], all)
  await made(
    "ranges",
    [ranged("all", 500, 60_000), ranged("parts", SMALL_PART_BYTES - 10, SMALL_PART_BYTES + 9), ranged("all", 51_000)],
    Buffer.concat([
      all.subarray(500, 60_001),
      of("parts").subarray(SMALL_PART_BYTES - 10, SMALL_PART_BYTES + 10),
      all.subarray(51_000),
    ]),
  )
  await made("all", ["all", "ranges"], Buffer.concat([all, of("ranges")]))
  await append(scene, "all", Buffer.from("end"))
  bodies.set("all", Buffer.concat([of("all"), Buffer.from("end")]))
  await made("again", [ranged("all", 100), "small"], Buffer.concat([of("all").subarray(100), of("small")]))
  for (const key of ["small", "log", "parts", "large", "ranges"]) await world.remove(key)
  await world.settle("append-sealing")
  await settle(scene)
  for (const key of ["all", "again"]) assert.ok((await world.get(key)).equals(of(key)), key)
  for (const key of ["all", "again", "empty"]) await world.remove(key)
  await assertNothing(scene)
})

test("bytes whose object is gone are repaired, and get the redundancy that is wanted", async () => {
  const scene = await opened()
  const { world } = scene
  const bytes = world.random.bytes(MIB + 100)
  await world.put("a", bytes)
  await append(scene, "a", Buffer.from("x".repeat(100)))
  await copy(scene, "a", "b")
  await world.remove("a")
  await settle(scene)
  const [lost] = world.layouts.current.devices
  await world.replace(must(lost, "there are devices"), 9)
  await world.settle()
  for (const away of [...world.devices.live.keys()].slice(0, 1)) {
    world.takeOffline(away)
    assert.ok((await world.get("b")).equals(Buffer.concat([bytes, Buffer.from("x".repeat(100))])))
    world.bringBack(away)
  }
  await world.settle()
  world.policy = parsePolicy("replica:2")
  world.policyVersion += 1
  for (const job of ["reencode", "collector", "orphans", "repair"]) await world.settle(job)
  await world.removeAborted()
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  const policies = new Set(groups.map(({ shape }) => textOfPolicy(must(shape, "indexed").policy)))
  assert.deepEqual([...policies], ["replica:2"])
  assert.ok((await world.get("b")).subarray(0, bytes.length).equals(bytes))
  await world.remove("b")
  await assertNothing(scene)
})

test("bytes keep their redundancy for those that reference them when their own object gets less", async () => {
  const scene = await opened("replica:3")
  const { world, bucket } = scene
  world.mapped.set("ONEZONE_IA", parsePolicy("replica:1"))
  await world.put("a", world.random.bytes(MIB))
  await copy(scene, "a", "b")
  await world.put("alone", world.random.bytes(MIB))
  const transitions = [{ storageClass: "ONEZONE_IA", days: 1 }] as const
  const rule = { id: "cold", isEnabled: true, filter: { form: "filter", prefix: "a" }, transitions } as const
  const rules = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: [rule] })
  await world.clock.runUntil(world.services.buckets.setSetting(bucket, "lifecycle", rules))
  const time = { ...REAL_DAYS, nowMs: world.clock.wallMs() + 9 * REAL_DAYS.dayMs }
  for (const key of ["a", "alone"].map(objectKeyOfText))
    await world.tablet.run(setStorageClass({ bucketId: bucket.id, key, versionId: NULL_VERSION }, time))
  world.policyVersion += 1
  for (const job of ["reencode", "collector", "orphans", "repair"]) await world.settle(job)
  const of = (family: "current" | "segments") =>
    [...world.tablet.committed.range(family, ALL_OBJECT_ROWS)].flatMap(([, row]) =>
      extentsOf(family, row).map(({ policy }) => textOfPolicy(policy)),
    )
  assert.deepEqual([of("current"), of("segments")], [["replica:1"], ["replica:3"]])
})

test("a source is renamed, undeleted and replaced while others have its bytes", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const { clock, services } = world
  const bytes = world.random.bytes(MIB)
  await world.put("a", bytes)
  await copy(scene, "a", "b")
  await clock.runUntil(
    services.renames.rename({
      bucket,
      from: objectKeyOfText("a"),
      to: objectKeyOfText("renamed"),
      conditions: {},
      sourceConditions: {},
      clientToken: undefined,
      signal: never,
    }),
  )
  await clock.runUntil(
    services.renames.rename({
      bucket,
      from: objectKeyOfText("b"),
      to: objectKeyOfText("own"),
      conditions: {},
      sourceConditions: {},
      clientToken: undefined,
      signal: never,
    }),
  )
  await settle(scene)
  for (const key of ["renamed", "own"]) assert.ok((await world.get(key)).equals(bytes), key)
  await clock.runUntil(services.undelete.setUndelete(bucket.id, 3))
  await copy(scene, "own", "c")
  await world.remove("own")
  await world.remove("c")
  await settle(scene)
  const kept = await clock.runUntil(services.undelete.listDeleted(bucket.id, { limit: 10 }))
  assert.equal(kept.items.length, 2)
  for (const key of ["own", "c"])
    await clock.runUntil(services.undelete.undelete(bucket.id, objectKeyOfText(key), { over: false }))
  for (const key of ["own", "c"]) assert.ok((await world.get(key)).equals(bytes), key)
})

test("a source that goes while it is joined is in the new object as a whole, or that is not made", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const { clock, services } = world
  const outcomes = new Set<string>()
  for (let i = 0; i < 40; i += 1) {
    const bytes = world.random.bytes(20 * KIB)
    await world.put("a", bytes)
    await append(scene, "a", Buffer.from("end"))
    const removeLater = async () => {
      for (let turn = 0; turn < i * 3; turn += 1) await Promise.resolve()
      await services.objects.remove({ bucket, key: objectKeyOfText("a"), conditions: {} })
    }
    const made = joining(scene, `o${i}`, ["a"]).then(
      () => "made",
      (error: unknown) => (isFailure(error, "noSuchKey") ? "refused" : assert.fail(String(error))),
    )
    const [outcome] = await clock.runUntil(Promise.all([made, removeLater()]))
    outcomes.add(outcome)
    await settle(scene)
    const whole = Buffer.concat([bytes, Buffer.from("end")])
    if (outcome === "made") assert.ok((await world.get(`o${i}`)).equals(whole), `${i}`)
  }
  assert.deepEqual([...outcomes].sort(), ["made", "refused"])
  assertCounted(scene)
})

test("what cannot be joined is refused", async () => {
  const scene = await opened()
  const { world } = scene
  await world.put("a", world.random.bytes(20 * KIB))
  await refuses(join(scene, "o", ["missing"]), "noSuchKey")
  await refuses(join(scene, "o", [ranged("a", 20 * KIB)]), "invalidRange")
  await refuses(
    join(scene, "o", [{ key: objectKeyOfText("a"), conditions: { ifMatch: ["other"] } }]),
    "preconditionFailed",
  )
  await world.put("empty", new Uint8Array())
  await refuses(join(scene, "o", ["empty"]), "invalidRequest")
  await refuses(join(scene, "o", []), "malformedXml")
  await world.clock.runUntil(world.services.buckets.setSetting(scene.bucket, "append", undefined))
  await refuses(join(scene, "o", ["a"]), "notImplemented")
})

test("an object gets its own bytes from the end on, also under a reader, and takes more", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const bytes = world.random.bytes(MIB)
  await world.put("a", bytes)
  await copy(scene, "a", "b")
  const body = await world.services.objects.get({ bucket, key: objectKeyOfText("b"), conditions: {} })
  const reading = body.read(never)[Symbol.asyncIterator]()
  const read: Uint8Array[] = []
  const next = async () => {
    const found = await world.clock.runUntil(reading.next())
    if (found.done !== true) read.push(Uint8Array.from(found.value))
    return found.done !== true
  }
  await next()
  for (const left of [700_000, 300_000]) {
    // Bytes that another object has stand for those that the job writes.
    const length = sourceIn(scene).source.lengthBytes - left
    await world.put(`own ${left}`, bytes.subarray(left, left + length))
    const current = world.tablet.committed.get("current", objectRowKey(bucket.id, objectKeyOfText(`own ${left}`)))
    const { content } = decodeVersion(must(current, "it was put").value)
    const { extent } = must(content.kind === "extent" ? content : undefined, "it is in blocks")
    const { segment, ...name } = sourceIn(scene)
    const replaced = { bucketId: bucket.id, ...name, segment, extent, lengthBytes: length, hints: [] }
    await world.tablet.run(replaceSource(replaced))
    assert.ok((await world.get("b")).equals(bytes), `${left}`)
    assert.ok((await rangeOf(scene, "b", left - 10, 20)).equals(bytes.subarray(left - 10, left + 10)))
  }
  while (await next());
  assert.ok(Buffer.concat(read).equals(bytes))
  await append(scene, "b", Buffer.from("end"))
  await copy(scene, "b", "c")
  const whole = Buffer.concat([bytes, Buffer.from("end")])
  for (const key of ["b", "c"]) assert.ok((await world.get(key)).equals(whole), key)
  assertCounted(scene)
})

/** The only segment that references others. */
function sourceIn({ world }: Scene) {
  for (const [rowKey, { value }] of world.tablet.committed.range("segments", ALL_OBJECT_ROWS)) {
    const segment = decodeSegment(value)
    const { key, suffix } = parseObjectRowKey(rowKey)
    if (segment.source !== undefined)
      return { key, multipartId: multipartIdOfSuffix(suffix), segment, source: segment.source }
  }
  return assert.fail("a segment references others")
}

test("a store that begins to encrypt gives objects bytes of their own first", async () => {
  const scene = await opened()
  const bytes = scene.world.random.bytes(MIB)
  await scene.world.put("a", bytes)
  await copy(scene, "a", "b")
  await append(scene, "b", Buffer.from("more"))
  await copy(scene, "b", "c")
  // Undelete keeps one that has the bytes of another.
  await scene.world.put("x", bytes)
  await copy(scene, "x", "y")
  await scene.world.clock.runUntil(scene.world.services.undelete.setUndelete(scene.bucket.id, 3))
  await scene.world.remove("y")
  await scene.world.clock.runUntil(scene.world.services.undelete.setUndelete(scene.bucket.id, undefined))
  await scene.world.remove("a")
  await settle(scene)
  const world = convert(scene.world)
  // Bytes that nothing references any more are collected between two passes.
  for (let pass = 0; pass < 3; pass += 1) {
    await world.settle("encrypt")
    await world.settle("collector")
    await world.clock.advance(ENCRYPT_LIMITS.retryMsMax)
  }
  await assertEncrypted(world, "in the end")
  const { undelete } = world.services
  await world.clock.runUntil(undelete.undelete(scene.bucket.id, objectKeyOfText("y"), { over: false }))
  for (const key of ["x", "y"]) assert.ok((await world.get(key)).equals(bytes), key)
  for (const key of ["b", "c"])
    assert.ok((await world.get(key)).equals(Buffer.concat([bytes, Buffer.from("more")])), key)
  for (const key of ["b", "c", "x", "y"]) await world.remove(key)
  await assertNothing({ ...scene, world })
})
