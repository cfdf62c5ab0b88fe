/** Unreferenced blocks are removed, even if some of the removals must wait. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parseIncarnation, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { changed, deviceIdOf, TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { soleProcess, type QueryView, type RowView } from "@hayloft/engine/metadata/index.js"
import { ABORTED_WAITS } from "./aborted-blocks.js"
import { ABORTED_BRAKE, abortedBlocksMax } from "./aborted-brake-core.js"
import { ORPHAN_LIMITS } from "./orphans.js"
import { sealUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import { RETENTION_LIMITS } from "@hayloft/objects/bodies/retention.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { StoreWorld } from "../testing-services.js"

const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const noSignal = new AbortController().signal
const HOUR_MS = 3_600_000

const open = () => StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"))

test("only refused uploads on a disk without space for their removal wait", async () => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("replica:1"), 3)
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  for (let i = 0; i < 12; i += 1) {
    await assert.rejects(world.put(`key${i}`, world.random.bytes(10 * KIB)), error => isFailure(error, "stopping"))
  }
  const full = deviceIdOf(2)
  const device = must(world.devices.live.get(full), "three devices")
  const refusing = changed(device.volumes, { remove: () => Promise.reject(fail("deviceFull")) })
  world.devices.live.set(full, { ...device, volumes: refusing })
  const had = world.devices.needlesOn(full)
  assert.ok(had > 0 && had < world.needles)
  for (let steps = 0; steps < 40; steps += 1) await world.job("orphans").step(noSignal)
  assert.deepEqual([world.needles, world.devices.needlesOn(full)], [had, had], "only what is there is left")
  world.devices.live.set(full, device)
  await world.settle("orphans")
  assert.equal(world.needles, 0)
})

test("each process of a shared store removes its refused uploads, whichever looks for orphans", async () => {
  const alone = await open()
  alone.isShared = true
  const world = alone.restart(2)
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("a", world.random.bytes(10 * KIB)), error => isFailure(error, "stopping"))
  assert.ok(world.needles > 0)
  for (let steps = 0; steps < 10; steps += 1) {
    for (const job of world.services.jobs) if (job.name !== "orphans") await world.clock.runUntil(job.step(noSignal))
  }
  assert.equal(world.needles, 0)
})

type World = StoreWorld<TestDevices>

/** Objects of one block each. */
async function putSome(world: World, count: number, stem = "key"): Promise<readonly string[]> {
  const keys = Array.from({ length: count }, (_, i) => `${stem}${i}`)
  for (const key of keys) await world.put(key, world.random.bytes(10 * KIB))
  return keys
}

/** A replica without the rows of some objects, like after damage to a page of its metadata. */
function lacking(rows: QueryView, keys: readonly string[]): QueryView {
  const stems = keys.map(key => objectRowKey(parseBucketId(1), objectKeyOfText(key)))
  const isLost = (rowKey: string): boolean => stems.some(stem => rowKey.startsWith(stem))
  return {
    position: rows.position,
    incarnations: rows.incarnations,
    generationMark: undefined,
    get: (family, rowKey) => (isLost(rowKey) ? undefined : rows.get(family, rowKey)),
    *range(family, range) {
      for (const pair of rows.range(family, range)) if (!isLost(pair[0])) yield pair
    },
    scan: (family, range, visitor) => rows.scan(family, range, visitor),
  }
}

/** From now on the local replica lacks the rows of these objects. */
function damage(world: World, keys: readonly string[], others: readonly QueryView[]): void {
  const { tablet } = world
  const whole = tablet.committed
  Object.defineProperty(tablet, "committed", { value: lacking(whole, keys) })
  tablet.otherReplicas = others
}

test("no block is removed because the local replica lacks its row", async () => {
  for (const isLater of [false, true]) {
    let world = await open()
    const keys = await putSome(world, 20)
    const had = world.needles
    const whole = world.tablet.committed
    const damaged = lacking(whole, keys.slice(0, 5))
    world = world.restart(2)
    // In one case all replicas seem to confirm it at first, and one of them has the row a day later.
    damage(world, keys.slice(0, 5), isLater ? [damaged] : [whole])
    await world.settle("orphans")
    await world.clock.advance(ABORTED_WAITS.removalWaitMs)
    world.tablet.otherReplicas = [whole]
    await world.removeAborted()
    assert.equal(world.needles, had, `${isLater}`)
    assert.equal(world.telemetry.entries("metadata_replicas_differ").length, 5)
  }
})

test("an unreferenced block is removed a day after all replicas confirmed it, and not while one is offline", async () => {
  let world = await open()
  await putSome(world, 3)
  const kept = world.needles
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("lost", world.random.bytes(10 * KIB)))
  world = world.restart(2)
  world.tablet.before = () => undefined
  world.tablet.isReplicaMissing = true
  await world.removeAborted()
  assert.ok(world.needles > kept, "a replica is offline")
  world.tablet.isReplicaMissing = false
  await world.settle("orphans")
  await world.clock.advance(ABORTED_WAITS.removalWaitMs - 1)
  await world.settle("orphans")
  assert.ok(world.needles > kept, "a day has not passed")
  await world.clock.advance(1)
  world.tablet.isReplicaMissing = true
  await world.settle("orphans")
  assert.ok(world.needles > kept, "a replica is offline again")
  world.tablet.isReplicaMissing = false
  await world.settle("orphans")
  assert.equal(world.needles, kept)
})

test("more aborted blocks than a crash leaves are not removed until an operator resumes the job", async () => {
  for (const count of [ABORTED_BRAKE.blocksMin, ABORTED_BRAKE.blocksMin + 1]) {
    let world = await open()
    const keys = await putSome(world, count, "gone")
    await putSome(world, 5)
    const had = world.needles
    world = world.restart(2)
    // All replicas lost the rows.
    damage(world, keys, [])
    await world.removeAborted()
    const { orphans } = world.services
    const isStopped = count > ABORTED_BRAKE.blocksMin
    assert.equal(orphans.report().isStopped, isStopped)
    assert.equal(world.needles, isStopped ? had : had - 3 * count)
    if (!isStopped) continue
    assert.match(orphans.progress(), /stopped: 33 aborted blocks/)
    orphans.resume()
    await world.removeAborted()
    assert.equal(world.needles, had - 3 * count)
  }
})

test("blocks deleted while a device was offline do not count for the brake", async () => {
  const world = await open()
  const keys = await putSome(world, ABORTED_BRAKE.blocksMin + 5)
  await world.settle()
  const back = deviceIdOf(3)
  world.takeOffline(back)
  for (const key of keys) await world.remove(key)
  await world.settle("collector")
  world.bringBack(back)
  await world.settle()
  await world.removeAborted()
  assert.deepEqual([world.needles, world.services.orphans.report().isStopped], [0, false])
})

test("released blocks that a shared store keeps do not stop the removal of orphans", async () => {
  const alone = await open()
  let releasedMs = Infinity
  alone.isShared = true
  // Blocks are kept for the longest possible time: the retention, and an epoch that had just begun.
  const { retentionMs, epochMs } = RETENTION_LIMITS
  const keptMs = retentionMs + epochMs
  alone.retention = {
    now: () => ({ isDue: () => world.clock.monotonicMs() >= releasedMs + keptMs, after: () => undefined }),
  }
  const keys = await putSome(alone, ABORTED_BRAKE.blocksMin + 5)
  const world = alone.restart(2)
  for (const key of keys) await world.remove(key)
  releasedMs = world.clock.monotonicMs()
  await world.settle("orphans")
  for (let waitedMs = 0; waitedMs < keptMs + 4 * HOUR_MS; waitedMs += HOUR_MS) {
    await world.clock.advance(HOUR_MS)
    await world.settle("collector")
    await world.settle("orphans")
  }
  assert.deepEqual([world.needles, world.services.orphans.report().isStopped], [0, false])
})

test("blocks of another process are orphans only after that process has ended", async () => {
  let world = await open()
  await putSome(world, 3)
  const kept = world.needles
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("on its way", world.random.bytes(10 * KIB)))
  world = world.restart(2)
  world.tablet.before = () => undefined
  world.tablet.incarnations = { own: parseIncarnation(2), oldestLive: parseIncarnation(1), isOver: () => false }
  await world.removeAborted()
  assert.ok(world.needles > kept, "its process may still commit it")
  world = world.restart(3)
  await world.removeAborted()
  assert.equal(world.needles, kept)
})

test("blocks of a process that ended after the walk are found by another walk", async () => {
  let world = await open()
  await putSome(world, 3)
  const kept = world.needles
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("on its way", world.random.bytes(10 * KIB)))
  world.isShared = true
  world = world.restart(2)
  world.tablet.before = () => undefined
  const own = parseIncarnation(2)
  world.tablet.incarnations = { own, oldestLive: parseIncarnation(1), isOver: () => false, ended: 0 }
  await world.settle("orphans")
  world.tablet.incarnations = { own, oldestLive: own, isOver: incarnation => incarnation === 1, ended: 1 }
  assert.equal(await world.settle("orphans"), 1, "walks are rare")
  await world.clock.advance(ORPHAN_LIMITS.walkEveryMs)
  await world.removeAborted()
  assert.equal(world.needles, kept)
  await world.clock.advance(ORPHAN_LIMITS.walkEveryMs)
  assert.equal(await world.settle("orphans"), 1, "no other process has ended")
})

test("while one process completes an upload, no other process puts a part or completes it", async () => {
  const world = await open()
  const { multipart } = world.services
  const target = { bucket: world.home, key: objectKeyOfText("large") }
  const { multipartId } = await multipart.create(plainUpload(world.home, target.key))
  const upload = { ...target, multipartId }
  const putPart = () =>
    world.clock.runUntil(
      multipart.putPart({ ...upload, partNumber: 1, body: sourceOf(world.random.bytes(100 * KIB)), signal: noSignal }),
    )
  const { etag } = await putPart()
  const address = { bucketId: world.home.id, key: target.key, multipartId }
  await world.tablet.run(sealUpload(address, { incarnation: 7, token: new Uint8Array(16) }))
  const over = new Set<number>()
  const own = parseIncarnation(1)
  world.tablet.incarnations = { own, oldestLive: own, isOver: incarnation => over.has(incarnation) }
  const complete = () =>
    multipart.complete({
      ...upload,
      parts: [{ partNumber: 1, etag, checksum: undefined }],
      conditions: {},
      sizeBytes: undefined,
      checksum: undefined,
      checksumType: undefined,
      signal: noSignal,
    })
  await assert.rejects(putPart(), error => isFailure(error, "conflict"))
  await assert.rejects(complete(), error => isFailure(error, "conflict"))
  over.add(7)
  await complete()
})

test("unused parts of a completed upload are removed only if no replica has a segment with them", async () => {
  const world = await open()
  const { multipart } = world.services
  const target = { bucket: world.home, key: objectKeyOfText("large") }
  const created = await multipart.create({
    ...target,
    attributes: { headers: {}, userMetadata: [] },
    tags: [],
    checksum: undefined,
  })
  const upload = { ...target, multipartId: created.multipartId }
  const bytes = world.random.bytes(100 * KIB)
  const putPart = (partNumber: number) =>
    multipart.putPart({ ...upload, partNumber, body: sourceOf(bytes), signal: noSignal })
  const { etag } = await world.clock.runUntil(putPart(1))
  const used = world.needles
  await world.clock.runUntil(putPart(2))
  const parts = [{ partNumber: 1, etag, checksum: undefined }]
  const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
  await world.clock.runUntil(multipart.complete({ ...upload, parts, ...nothing, signal: noSignal }))
  const whole = world.tablet.committed
  const isSegment = (family: string): boolean => family === "segments"
  Object.defineProperty(world.tablet, "committed", {
    value: {
      ...whole,
      range: (...of: Parameters<RowView["range"]>) => (isSegment(of[0]) ? [] : whole.range(...of)),
    },
  })
  world.tablet.isReplicaMissing = true
  await world.settle("collector")
  assert.equal(world.needles, 2 * used, "a replica is offline")
  Object.assign(world.tablet, { isReplicaMissing: false, otherReplicas: [whole] })
  await world.settle("collector")
  assert.equal(world.needles, used, "only the unused part is gone")
})

test("the brake's limits: a share of all blocks, at least what a crash leaves, at most a hundred", () => {
  const { blocksMin, blocksMax } = ABORTED_BRAKE
  assert.deepEqual([0, 900, 50_000, 1_000_000].map(abortedBlocksMax), [blocksMin, blocksMin, 50, blocksMax])
  assert.equal(abortedBlocksMax(undefined), blocksMax)
})

test("after the metadata was rolled back and reconciled, the day begins again", async () => {
  const first = await open()
  first.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(first.put("key", first.random.bytes(10 * KIB)), error => isFailure(error, "stopping"))
  const world = first.restart(2)
  world.tablet.before = () => undefined
  await world.settle("orphans")
  await world.clock.advance(ABORTED_WAITS.removalWaitMs - 1)
  world.tablet.incarnations = { ...soleProcess(parseIncarnation(2)), reconciliations: 1 }
  await world.settle("orphans")
  await world.clock.advance(ABORTED_WAITS.removalWaitMs - 1)
  await world.settle("orphans")
  assert.ok(world.needles > 0)
  await world.clock.advance(ABORTED_WAITS.removalWaitMs)
  await world.removeAborted()
  assert.equal(world.needles, 0)
})

test("an ordered walk meets needles of devices that returned after the first walk", async () => {
  let world = await open()
  await putSome(world, 3)
  const kept = world.needles
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("lost", world.random.bytes(10 * KIB)))
  world = world.restart(2)
  world.tablet.before = () => undefined
  const away = [...world.devices.live]
  world.devices.live.clear()
  await world.settle("orphans")
  const { orphans } = world.services
  assert.ok(orphans.hasWalked(0))
  for (const [id, device] of away) world.devices.live.set(id, device)
  await world.settle("orphans")
  assert.equal(orphans.report().waitingBlocks, 0, "nothing walks without an order")
  const order = orphans.order()
  assert.ok(!orphans.hasWalked(order))
  await world.settle("orphans")
  assert.ok(orphans.hasWalked(order) && orphans.report().waitingBlocks > 0)
  await world.removeAborted()
  assert.equal(world.needles, kept)
})
