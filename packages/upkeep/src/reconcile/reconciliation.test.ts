/** A reconciliation over devices in memory, whose rows are put back to an earlier moment. */
import { DEDUP_SERVICES } from "@hayloft/features/dedup/index.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { changed, TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import type { Protection } from "@hayloft/access/keys/contract.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { beginningOfCopies, openCopyLog } from "@hayloft/features/copies/copy-log.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { StoreWorld } from "../testing-services.js"
import { BLOCK, opened, put, uploading, type Scene } from "@hayloft/features/dedup/testing-dedup.js"
import type { ReconcileEntry } from "./reconciliation.js"

const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const noSignal = new AbortController().signal
const unchecked = () => Promise.resolve()

type World = StoreWorld<TestDevices>
type Bodies = ReadonlyMap<string, Uint8Array>

async function putAll(world: World, keys: readonly string[]): Promise<Bodies> {
  const bodies = new Map<string, Uint8Array>()
  for (const key of keys) {
    const body = world.random.bytes(40 * KIB)
    await world.put(key, body)
    bodies.set(key, body)
  }
  return bodies
}

/** The database has lost that these keys were written; one of them replaced an object. */
async function rolledBack(keys: readonly string[]) {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))
  const before = await putAll(world, ["kept", "overwritten"])
  const rows = world.tablet.copy()
  const since = await putAll(world, keys)
  world.tablet.become(rows)
  return { world, before, since }
}

/** Reconciles like a process that has just started: it knows nothing of an earlier reconciliation. */
function reconciling(world: World, isAllRead = true) {
  const { clock } = world
  const reconciliation = world.reconciliation()
  const scope = { isSuspect: () => true, isAllRead, blockBytes: 16 * KIB }
  return {
    plan: () => clock.runUntil(reconciliation.plan(scope, noSignal)),
    apply: (plan: Awaited<ReturnType<typeof reconciliation.plan>>, check = unchecked) =>
      clock.runUntil(reconciliation.apply(plan, check, noSignal)),
  }
}

const outcomes = (entries: readonly ReconcileEntry[]): readonly string[] =>
  entries.map(({ key, outcome }) => `${key} ${outcome}`).sort()

async function isThere(world: World, bodies: Bodies): Promise<void> {
  for (const [key, body] of bodies) assert.ok((await world.get(key)).equals(body), key)
}

const KEYS = ["overwritten", "one", "two", "three"]

test("a reconciliation that is interrupted is done by the next one, which finds what was put back", async () => {
  const { world, before, since } = await rolledBack(KEYS)
  const first = reconciling(world)
  const plan = await first.plan()
  assert.deepEqual(outcomes(plan.entries), ["one putBack", "overwritten putBack", "three putBack", "two putBack"])
  let changes = 0
  world.tablet.before = () => {
    changes += 1
    if (changes > 2) throw fail("stopping")
  }
  await assert.rejects(first.apply(plan))
  world.tablet.before = () => undefined
  const second = reconciling(world)
  const rest = await second.plan()
  assert.equal(rest.entries.length, 2)
  assert.deepEqual(outcomes(await second.apply(rest)), outcomes(rest.entries))
  await isThere(world, new Map([...before, ...since]))
  assert.deepEqual((await reconciling(world).plan()).entries, [])
})

test("copies in another store wait for the operator: their target may have what was lost here", async () => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))
  const { clock, services, tablet } = world
  const log = openCopyLog(tablet)
  const { id } = world.home
  const place = { store: "far", bucket: "there", id: "0123456789abcdef" }
  await clock.runUntil(services.buckets.setSetting(world.home, "copies", JSON.stringify(place)))
  const state = { ...beginningOfCopies(place.id, 0), phase: "following", removesOthers: true } as const
  await clock.runUntil(log.change(id, { revision: 0, state, done: [], parked: [] }))
  const { plan, apply } = reconciling(world)
  await apply(await plan())
  const held = await clock.runUntil(log.state(id))
  assert.deepEqual([held?.phase, held?.isPaused, held?.removesOthers], ["filling", true, false])
})

test("versions that are put back keep the lock of their writes", async () => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))
  const { clock, random } = world
  const { objects, buckets } = world.services
  await clock.runUntil(buckets.setVersioning(world.home, "enabled"))
  await clock.runUntil(buckets.setLock(world.home, { mode: "GOVERNANCE", unit: "years", count: 1 }))
  const bucket = await clock.runUntil(Promise.resolve(buckets.open(world.home.name)))
  const rows = world.tablet.copy()
  const lock = { retention: { mode: "COMPLIANCE", untilMs: Date.UTC(2200, 0) }, legalHold: true } as const
  const putLocked = (name: string, given?: typeof lock) => {
    const put = world.putting(name, sourceOf(random.bytes(40 * KIB)))
    return clock.runUntil(objects.put({ ...put, bucket, lock: given }))
  }
  await putLocked("stated", lock)
  await putLocked("by default")
  world.tablet.become(rows)
  const { plan, apply } = reconciling(world)
  assert.deepEqual(outcomes(await apply(await plan())), ["by default putBack", "stated putBack"])
  const lockOf = (name: string) => clock.runUntil(objects.getLock({ bucket, key: objectKeyOfText(name) }))
  assert.deepEqual(await lockOf("stated"), lock)
  assert.equal((await lockOf("by default"))?.retention?.mode, "GOVERNANCE")
  assert.ok(((await lockOf("by default"))?.retention?.untilMs ?? 0) > 364 * 86_400_000)
})

test("a lock that was changed later comes back from the shards that were rebuilt since", async () => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))
  const { clock, random } = world
  const { objects, buckets } = world.services
  await clock.runUntil(buckets.setVersioning(world.home, "enabled"))
  await clock.runUntil(buckets.setLock(world.home, undefined))
  const bucket = await clock.runUntil(Promise.resolve(buckets.open(world.home.name)))
  const rows = world.tablet.copy()
  const keys = ["a", "b", "c", "d", "e", "f"]
  const later = { mode: "COMPLIANCE", untilMs: Date.UTC(2200, 0) } as const
  for (const key of keys) {
    await clock.runUntil(objects.put({ ...world.putting(key, sourceOf(random.bytes(40 * KIB))), bucket }))
    await clock.runUntil(objects.setRetention({ bucket, key: objectKeyOfText(key) }, later, false))
  }
  const [gone] = [...world.devices.live.keys()]
  await world.replace(must(gone, "there are three devices"), 4)
  await world.settle("repair")
  world.tablet.become(rows)
  const { plan, apply } = reconciling(world)
  await apply(await plan())
  for (const key of keys) {
    const lock = await clock.runUntil(objects.getLock({ bucket, key: objectKeyOfText(key) }))
    assert.deepEqual(lock?.retention, later, key)
  }
})

const CLIENT_KEY = new Uint8Array(32).fill(7)
const KMS = { mode: "kms", keyArn: "arn:aws:kms:r:1:key/a", context: '{"aws:s3:arn":"arn:aws:s3:::bucket"}' } as const
const PROTECTIONS: Readonly<Record<string, Protection>> = {
  "at rest": { mode: "atRest" },
  s3: { mode: "s3" },
  kms: { ...KMS, usesBucketKey: false },
  "bucket key": { ...KMS, usesBucketKey: true },
  client: { mode: "client", key: CLIENT_KEY },
}
const SIZES = [5_000, 40 * KIB, 300_001]

/** `hasUpload`: the rows from before have the bucket's secret, and an upload in progress. */
async function withSealed(hasUpload: boolean) {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"), 3, 64 * KIB)
  const { clock, random } = world
  const { objects, multipart } = world.services
  const opened = { key: objectKeyOfText("parts"), bucket: world.home, encryption: PROTECTIONS["s3"] }
  const attributes = { headers: { contentType: "text/plain" }, userMetadata: [] }
  const before = world.tablet.copy()
  const upload = await clock.runUntil(multipart.create({ ...opened, attributes, tags: [], checksum: undefined }))
  const rows = hasUpload ? world.tablet.copy() : before
  const bodies = new Map<string, Uint8Array>()
  const etags = new Map<string, string>()
  for (const [name, encryption] of Object.entries(PROTECTIONS))
    for (const size of SIZES) {
      const [key, body] = [`${name} ${size}`, random.bytes(size)]
      const { etag } = await clock.runUntil(objects.put({ ...world.putting(key, sourceOf(body)), encryption }))
      bodies.set(key, body)
      etags.set(key, etag)
    }
  const part = { ...opened, multipartId: upload.multipartId, partNumber: 1, signal: noSignal }
  const body = random.bytes(70_000)
  const { etag } = await clock.runUntil(multipart.putPart({ ...part, body: sourceOf(body) }))
  return { world, rows, bodies, etags, part: { ...part, body, etag } }
}

/** The bytes and the ETag of an object. */
async function readOf({ clock, services, home }: World, key: string, clientKey?: Uint8Array) {
  const reading = async () => {
    const body = await services.objects.get({ bucket: home, key: objectKeyOfText(key), conditions: {}, clientKey })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
    return { bytes: Buffer.concat(pieces), etag: body.info.etag }
  }
  return clock.runUntil(reading())
}

for (const hasUpload of [true, false]) {
  const what = hasUpload ? "versions and parts are put back readable" : "versions are, without any key of their bucket"
  test(`encrypted ${what}`, async () => {
    const { world, rows, bodies, etags, part } = await withSealed(hasUpload)
    world.tablet.become(rows)
    const later = world.restart(2)
    const { plan, apply } = reconciling(later)
    const entries = await apply(await plan())
    const expected = [...[...bodies.keys()].map(key => `${key} putBack`), `parts ${hasUpload ? "putBack" : "listed"}`]
    assert.deepEqual(outcomes(entries), expected.sort())
    for (const [key, bytes] of bodies) {
      const isClients = key.startsWith("client")
      const read = await readOf(later, key, isClients ? CLIENT_KEY : undefined)
      assert.ok(read.bytes.equals(bytes), key)
      assert.equal(read.etag === etags.get(key), key.startsWith("s3") || key.startsWith("at rest"), key)
      if (isClients) await assert.rejects(readOf(later, key), error => isFailure(error, "invalidRequest"))
    }
    if (!hasUpload) return
    const { multipart } = later.services
    const [stored] = (await multipart.listParts({ ...part, afterPart: 0, max: 1 })).parts
    const parts = [{ partNumber: 1, etag: stored?.etag ?? "", checksum: undefined }]
    const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
    await world.clock.runUntil(multipart.complete({ ...part, parts, ...nothing }))
    assert.ok((await readOf(later, "parts")).bytes.equals(part.body))
    assert.equal(stored?.etag, part.etag)
  })
}

test("encrypted uploads are listed if their bucket has another secret by now", async () => {
  const { world, rows } = await withSealed(false)
  world.tablet.become(rows)
  const later = world.restart(2)
  const made = world.putting("since", sourceOf(Buffer.from("another secret")))
  await world.clock.runUntil(later.services.objects.put({ ...made, encryption: { mode: "s3" } }))
  const { plan, apply } = reconciling(later)
  const entries = await apply(await plan())
  assert.ok(entries.length > 0 && entries.every(({ outcome }) => outcome === "listed"))
  assert.match(entries[0]?.reason ?? "", /another secret/)
})

test("a plan that does not hold any more changes nothing, however far it is carried out", async () => {
  const { world } = await rolledBack(KEYS)
  const { plan, apply } = reconciling(world)
  const made = await plan()
  const changes: string[] = []
  world.tablet.before = name => void changes.push(name)
  const failing = (after: number) => async () => {
    if (changes.length === after) throw fail("conflict")
  }
  await assert.rejects(apply(made, failing(0)))
  assert.deepEqual(changes, [])
  await assert.rejects(apply(made, failing(2)))
  assert.deepEqual(changes, ["RestoreVersion", "RestoreVersion"])
})

test("the store is asked whether a plan holds after the bytes of an upload were read", async () => {
  const { world } = await rolledBack(["one"])
  const { plan, apply } = reconciling(world)
  const made = await plan()
  let reads = 0
  world.devices.meddle = what => void (reads += what === "read" ? 1 : 0)
  await assert.rejects(
    apply(made, async () => {
      assert.ok(reads > 0, "the store may go on while bytes are read")
      throw fail("conflict")
    }),
    error => isFailure(error, "conflict"),
  )
})

test("an upload without a readable needle is listed, though its key is unknown", async () => {
  const { world } = await rolledBack(["one"])
  for (const [id, device] of world.devices.live) {
    const headerOf = () => Promise.reject(fail("corruptNeedle"))
    world.devices.live.set(id, { ...device, volumes: changed(device.volumes, { headerOf }) })
  }
  const { entries, putBacks } = await reconciling(world).plan()
  assert.deepEqual(outcomes(entries), [" listed"])
  const [entry] = entries
  assert.match(must(entry?.reason, "it is listed"), /no needle/)
  assert.ok(entry !== undefined && "uploadId" in entry)
  assert.deepEqual(putBacks, [])
})

test("without a device an upload that others have whole is put back, and one that is incomplete is listed", async () => {
  const { world, before, since } = await rolledBack(["one"])
  const [gone, second] = [...world.devices.live.keys()]
  world.devices.takeOffline(must(gone, "there are three devices"))
  const { plan, apply } = reconciling(world, false)
  const made = await plan()
  assert.deepEqual(outcomes(made.entries), ["one putBack"])
  world.devices.takeOffline(must(second, "there are three devices"))
  const withOne = await reconciling(world, false).plan()
  assert.ok(outcomes(withOne.entries).includes("one listed"))
  assert.ok(outcomes(withOne.entries).includes("kept missing"))
  world.devices.bringBack(must(second, "there are three devices"))
  await apply(made)
  await isThere(world, new Map([...before, ...since]))
})

/** A write whose process does not learn its outcome: its bytes stay, and it is not done. */
async function putWithoutOutcome(scene: Scene, key: string, bytes: Uint8Array): Promise<void> {
  const { tablet } = scene.world
  tablet.before = () => {
    throw new Error("out of reach")
  }
  await assert.rejects(put(scene, key, bytes))
  tablet.before = () => undefined
}

const bytesOf = ({ world }: Scene, blocks: number) => Buffer.from(world.random.bytes(blocks * BLOCK))

async function listsOf({ world }: Scene): Promise<readonly string[]> {
  const { plan, apply } = reconciling(world)
  return outcomes(await apply(await plan()))
}

for (const isAllKnown of [true, false])
  test(`a body that was overwritten by ${isAllKnown ? "known blocks" : "some known blocks"} is not put back`, async () => {
    const scene = await opened()
    const { world } = scene
    const known = bytesOf(scene, 4)
    await put(scene, "other", known)
    const rows = world.tablet.copy()
    await put(scene, "k", bytesOf(scene, 4))
    await put(scene, "k", isAllKnown ? known : Buffer.concat([known, bytesOf(scene, 1)]))
    world.tablet.become(rows)
    assert.deepEqual(await listsOf(scene), isAllKnown ? ["k listed"] : ["k listed", "k listed"])
    await assert.rejects(world.get("k"), error => isFailure(error, "noSuchKey"))
  })

test("a body that was overwritten by some known blocks is not put back, though deduplication was turned on since", async () => {
  const scene = await opened()
  const { world } = scene
  const { clock, services, home } = world
  await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, false))
  const rows = world.tablet.copy()
  await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, true))
  const known = bytesOf(scene, 4)
  await put(scene, "other", known)
  await put(scene, "k", bytesOf(scene, 4))
  await put(scene, "k", Buffer.concat([known, bytesOf(scene, 1)]))
  world.tablet.become(rows)
  assert.deepEqual(await listsOf(scene), ["k listed", "k listed", "other putBack"])
  await assert.rejects(world.get("k"), error => isFailure(error, "noSuchKey"))
})

for (const what of ["deduplicated", "multipart"])
  test(`a ${what} object is not replaced by an upload that was never acknowledged`, async () => {
    const scene = await opened()
    const { world } = scene
    const { clock, services, home } = world
    const now = bytesOf(scene, 4)
    const isMultipart = what === "multipart"
    if (isMultipart) {
      await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, false))
      scene.bucket = await services.buckets.open(home.name)
    }
    await put(scene, "other", now)
    await putWithoutOutcome(scene, "k", bytesOf(scene, 4))
    await (isMultipart ? clock.runUntil(uploading(scene, "k", [now])) : put(scene, "k", now))
    assert.deepEqual(await listsOf(scene), ["k listed"])
    assert.ok((await world.get("k")).equals(now))
  })
