/** Existing objects are encrypted while clients continue: nothing that a client sees changes, and nothing stays plain. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseIncarnation, textOfObjectKey } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { decodeUpload } from "@hayloft/engine/format/records.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { PassFailed } from "@hayloft/base/life/index.js"
import { ALL_OBJECT_ROWS, extentsOf } from "@hayloft/objects/queries/extent-rows.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { SMALL_PART_BYTES } from "../testing-services.js"
import { ENCRYPT_LIMITS } from "./encrypt.js"
import {
  assertEncrypted,
  assertSame,
  BLOCK_BYTES,
  bucketOf,
  COMPLETE,
  convert,
  encryptAll,
  everything,
  jobOf,
  putMultipart,
  putParts,
  putSome,
  share,
  unsealedRows,
} from "./testing-encrypt.js"
import { noSignal, open, type World } from "../repair/testing-repair.js"

test("objects of every kind read the same before, while and after they are encrypted, and no plain bytes are left", async () => {
  const before = await open("ec:2+1")
  await before.services.buckets.setVersioning(before.home, "enabled")
  await putSome(before)
  await before.put("key3", before.random.bytes(30_000))
  await before.put("key1", before.random.bytes(5))
  await share(before, "key6")
  await share(before, "key6")
  await putMultipart(before, "large", [SMALL_PART_BYTES + 100, 12_345])
  await share(before, "large")
  const openUpload = await putParts(before, "unfinished", [before.random.bytes(SMALL_PART_BYTES + 1)])
  const seen = await everything(before)
  const world = convert(before)
  assert.ok(unsealedRows(world).length > 10)
  const job = world.job("encrypt")
  for (let steps = 0; (await world.clock.runUntil(job.step(noSignal))) === "busy"; steps += 1) {
    if (steps % 400 === 7) await assertSame(world, seen, `in step ${steps}`)
  }
  await assertSame(world, seen, "after a pass")
  await assertEncrypted(world, "in the end")
  await assertSame(world, seen, "in the end")
  assert.deepEqual(jobOf(world).report().troubles, [])
  const { target, parts, bytes } = openUpload
  const second = world.random.bytes(20_000)
  const part = { ...target, partNumber: 3, body: sourceOf(second), signal: noSignal }
  const { etag } = await world.clock.runUntil(world.services.multipart.putPart(part))
  assert.deepEqual(unsealedRows(world), [], "new parts of an upload from before are encrypted")
  const all = [...parts, { partNumber: 3, etag, checksum: undefined }]
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts: all, ...COMPLETE }))
  assert.ok((await world.get("unfinished")).equals(Buffer.concat([bytes, second])))
})

test("the bytes that it reports match its work", async () => {
  const before = await open("ec:2+1")
  const sizes = [10, 4_096, 40_000, 70_000]
  for (const [i, size] of sizes.entries()) await before.put(`key${i}`, before.random.bytes(size))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  let world = convert(before)
  const { step } = stepping(world)
  while (jobOf(world).report().totalBytes === undefined) await step()
  assert.deepEqual([jobOf(world).report().doneBytes, jobOf(world).report().totalBytes], [0, total])
  while (jobOf(world).report().doneBytes === 0) await step()
  assert.equal(jobOf(world).report().isDone, false)
  // A process that goes on counts what the one before has done.
  await jobOf(world).release()
  const { doneBytes } = jobOf(world).report()
  world = world.restart(3)
  while (jobOf(world).report().totalBytes === undefined) await stepping(world).step()
  assert.equal(jobOf(world).report().doneBytes, doneBytes)
  await encryptAll(world)
  assert.deepEqual([jobOf(world).report().doneBytes, jobOf(world).report().unsealedFound], [total, 0])
  assert.equal(jobOf(world).progress(), "all objects are encrypted")
})

const stepping = (world: World) => ({ step: () => world.clock.runUntil(world.job("encrypt").step(noSignal)) })

test("without work it reads nothing, and encrypts nothing", async () => {
  const world = await open("ec:2+1")
  await putSome(world)
  const plain = unsealedRows(world).length
  assert.equal(await world.job("encrypt").step(noSignal), "idle")
  assert.equal(unsealedRows(world).length, plain)
  assert.equal(jobOf(world).progress(), "nothing to encrypt")
})

test("versions under object lock are encrypted, and stay as they are", async () => {
  const before = await open("ec:2+1")
  const { buckets, storeClock, objects } = before.services
  await before.clock.runUntil(storeClock.start())
  await buckets.setVersioning(before.home, "enabled")
  await buckets.setLock(before.home, undefined)
  const bucket = await bucketOf(before)
  const locks = [
    { retention: { mode: "COMPLIANCE", untilMs: Date.UTC(2200, 0) }, legalHold: undefined },
    { retention: undefined, legalHold: true },
  ] as const
  for (const [i, lock] of locks.entries()) {
    for (const size of [100, 50_000]) {
      const body = sourceOf(before.random.bytes(size))
      await before.clock.runUntil(objects.put({ ...before.putting(`key${i} ${size}`, body), bucket, lock }))
    }
  }
  const seen = await everything(before)
  assert.ok(seen.every(({ info }) => info.lock !== undefined))
  const world = convert(before)
  await assertEncrypted(world, "locked")
  await assertSame(world, seen, "locked")
  for (const { key, versionId } of seen) {
    const target = { bucket, key: objectKeyOfText(key), conditions: {}, ...(versionId && { versionId }) }
    await assert.rejects(
      async () => world.clock.runUntil(world.services.objects.remove(target)),
      error => isFailure(error, "objectLocked"),
    )
  }
})

test("an object that cannot be read is named and left to the next pass, and the others are encrypted", async () => {
  const before = await open("ec:2+1")
  await putSome(before)
  await before.put("bad", before.random.bytes(50_000))
  await before.put("later", before.random.bytes(50_000))
  const seen = await everything(before)
  const world = convert(before)
  const { uploadId } = must(unsealedRows(world).length > 0 ? extentIn(world, "bad") : undefined, "it is in blocks")
  world.devices.meddle = (what, id) => {
    if (what === "read" && id.uploadId === uploadId) throw fail("corruptNeedle")
  }
  await world.settle("encrypt")
  const { troubles, troubleCount, isDone } = jobOf(world).report()
  assert.deepEqual([troubleCount, isDone, troubles[0]?.bucket, troubles[0]?.key], [1, false, "bucket", "bad"])
  assert.equal(unsealedRows(world).length, 1)
  await world.clock.advance(2 * ENCRYPT_LIMITS.retryMs)
  assert.equal(await world.job("encrypt").step(noSignal), "busy")
  assert.equal(jobOf(world).report().troubles[0]?.key, "bad", "until the next pass is over")
  await world.settle("encrypt")
  world.devices.meddle = () => undefined
  assert.equal(await world.job("encrypt").step(noSignal), "idle", "it waits for the next pass")
  await world.clock.advance(ENCRYPT_LIMITS.retryMs)
  await assertEncrypted(world, "in the end")
  assert.equal(jobOf(world).report().troubleCount, 0)
  await assertSame(world, seen, "in the end")
})

test("a pass fails if an object cannot be encrypted for a reason that stays, and succeeds once it can", async () => {
  const before = await open("ec:2+1")
  await before.put("bad", before.random.bytes(50_000))
  const world = convert(before)
  world.devices.meddle = what => {
    if (what === "append") throw fail("keysUnavailable")
  }
  const failure = await world.settle("encrypt").then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(failure instanceof PassFailed, String(failure))
  assert.match(failure.message, /^1 object could not be encrypted: a key that protects objects/)
  assert.equal(failure.restMs, 2 * ENCRYPT_LIMITS.retryMs)
  world.devices.meddle = () => undefined
  await world.settle("encrypt")
  assert.deepEqual(unsealedRows(world), [])
})

const WAITING_MAX = 50

test("many objects that fail do not hide those behind them", async () => {
  const before = await open("ec:2+1")
  const bytes = before.random.bytes(4_097)
  for (let i = 0; i < WAITING_MAX; i += 1) await before.put(`bad${i}`, bytes)
  await before.put("later", bytes)
  const world = convert(before)
  jobOf(world).limits.waitingMax = WAITING_MAX
  const { uploadId } = must(extentIn(world, "later"), "it is in blocks")
  world.devices.meddle = (what, id) => {
    if (what === "read" && id.uploadId !== uploadId) throw fail("corruptNeedle")
  }
  let steps = 0
  while ((await stepping(world).step()) !== "idle") assert.ok((steps += 1) < 10 * WAITING_MAX)
  assert.equal(extentIn(world, "later")?.isSealed, true)
  assert.equal(extentIn(world, "bad0")?.isSealed, undefined)
  assert.ok(jobOf(world).report().troubles.length <= ENCRYPT_LIMITS.troublesMax)
})

/** Returns the extent of a key without versions. */
function extentIn(world: World, key: string) {
  for (const [rowKey, row] of world.tablet.committed.range("current", ALL_OBJECT_ROWS)) {
    if (textOfObjectKey(parseObjectRowKey(rowKey).key) === key) return extentsOf("current", row)[0]
  }
  return undefined
}

test("a reader that began before the encryption reads on while the parts behind and ahead of it are encrypted", async () => {
  const before = await open("ec:2+1")
  await putMultipart(
    before,
    "large",
    Array.from({ length: 3 }, () => SMALL_PART_BYTES),
  )
  const [seen] = await everything(before)
  const world = convert(before)

  const target = { bucket: world.home, key: objectKeyOfText("large"), conditions: {} }
  const body = await world.services.objects.get(target)
  const job = world.job("encrypt")
  while (!unsealedRows(world).some(row => row.startsWith("current"))) {
    if (unsealedRows(world).filter(row => row.startsWith("segments")).length <= 2) break
    await world.clock.runUntil(job.step(noSignal))
  }
  const pieces: Uint8Array[] = []
  const reading = (async () => {
    for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
  })()
  await world.clock.runUntil(reading)
  assert.ok(Buffer.concat(pieces).equals(must(seen, "it is listed").bytes))
  body.close()
  await assertEncrypted(world, "in the end")
})

test("a part that begins without encryption is refused once its upload is encrypted", async () => {
  const before = await open("ec:2+1")
  const { target } = await putParts(before, "open", [before.random.bytes(SMALL_PART_BYTES)])
  const world = convert(before)
  let isOver = false
  before.tablet.before = async name => {
    if (name !== "PutPart" || isOver) return
    isOver = true
    await world.settle("encrypt")
  }
  const part = { ...target, partNumber: 3, body: sourceOf(world.random.bytes(30_000)), signal: noSignal }
  // The process before still runs, and does not encrypt.
  await assert.rejects(before.services.multipart.putPart(part), error => isFailure(error, "conflict"))
})

test("each part of an upload from before is encrypted from its first byte on, also while the upload is encrypted", async () => {
  const before = await open("ec:2+1")
  const { target, parts, bytes } = await putParts(before, "open", [before.random.bytes(SMALL_PART_BYTES)])
  const world = convert(before)
  let isOver = false
  world.tablet.before = async name => {
    if (name !== "PutPart" || isOver) return
    isOver = true
    await world.settle("encrypt")
  }
  const second = world.random.bytes(30_000)
  const part = { ...target, partNumber: 3, body: sourceOf(second), signal: noSignal }
  const { etag } = await world.services.multipart.putPart(part)
  assert.ok(isOver)
  assert.deepEqual(unsealedRows(world), [])
  const all = [...parts, { partNumber: 3, etag, checksum: undefined }]
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts: all, ...COMPLETE }))
  await assertEncrypted(world, "in the end")
  assert.ok((await world.get("open")).equals(Buffer.concat([bytes, second])))
})

test("a part encrypts its upload before the job comes to it", async () => {
  const before = await open("ec:2+1")
  const { target } = await putParts(before, "open", [])
  const world = convert(before)
  const parts = [1, 2].map(partNumber => {
    const body = sourceOf(world.random.bytes(30_000))
    return world.services.multipart.putPart({ ...target, partNumber, body, signal: noSignal })
  })
  await world.clock.runUntil(Promise.all(parts))
  assert.deepEqual(unsealedRows(world), [])
})

test("an upload without parts is encrypted from its first part on", async () => {
  const before = await open("ec:2+1")
  const { target } = await putParts(before, "open", [])
  const world = convert(before)
  await assertEncrypted(world, "without parts")
  const rows = [...world.tablet.committed.range("uploads", ALL_OBJECT_ROWS)]
  assert.deepEqual(
    rows.map(([, { value }]) => decodeUpload(value).sealing !== undefined),
    [true],
  )
  const bytes = world.random.bytes(30_000)
  const part = { ...target, partNumber: 1, body: sourceOf(bytes), signal: noSignal }
  const { etag } = await world.clock.runUntil(world.services.multipart.putPart(part))
  assert.deepEqual(unsealedRows(world), [])
  const parts = [{ partNumber: 1, etag, checksum: undefined }]
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts, ...COMPLETE }))
  assert.ok((await world.get("open")).equals(bytes))
})

test("an upload that is encrypted while it is completed becomes a readable object, at each step", async () => {
  for (const at of ["SealUpload", "PutSegment", "CompleteUpload"]) {
    const before = await open("ec:2+1")
    const { target, parts, bytes } = await putParts(before, "open", [
      before.random.bytes(SMALL_PART_BYTES),
      before.random.bytes(9),
    ])
    const world = convert(before)
    let isOver = false
    world.tablet.before = async name => {
      if (name !== at || isOver) return
      isOver = true
      await world.settle("encrypt")
    }
    await world.services.multipart.complete({ ...target, parts, ...COMPLETE })
    assert.ok(isOver)
    assert.ok((await world.get("open")).equals(bytes), at)
    await assertEncrypted(world, at)
    assert.ok((await world.get("open")).equals(bytes), at)
  }
})

test("a copy onto itself that began before the encryption gets bytes that its record opens", async () => {
  const before = await open("ec:2+1")
  await before.services.buckets.setVersioning(before.home, "enabled")
  await before.put("a", before.random.bytes(40_000))
  const [seen] = await everything(before)
  const world = convert(before)
  let isOver = false
  before.tablet.before = async name => {
    if (name !== "PutVersion" || isOver) return
    isOver = true
    await world.settle("encrypt")
  }
  // The process before still runs, and does not encrypt.
  await share(before, "a")
  assert.ok(isOver)
  before.tablet.before = () => undefined
  for (const { bytes } of await everything(world)) assert.ok(bytes.equals(must(seen, "listed").bytes))
  await assertEncrypted(world, "in the end")
  const all = await everything(world)
  assert.equal(all.length, 2)
  for (const { bytes } of all) assert.ok(bytes.equals(must(seen, "listed").bytes))
})

test("all versions that share bytes are encrypted at once, whichever is found first", async () => {
  const before = await open("ec:2+1")
  await before.services.buckets.setVersioning(before.home, "enabled")
  await before.put("a", before.random.bytes(3 * BLOCK_BYTES))
  for (let i = 0; i < 3; i += 1) await share(before, "a")
  const seen = await everything(before)
  const world = convert(before)
  await assertEncrypted(world, "shared")
  await assertSame(world, seen, "shared")
  const bucket = await bucketOf(world)
  for (const { versionId } of seen.slice(1)) {
    const target = { bucket, key: objectKeyOfText("a"), conditions: {}, ...(versionId && { versionId }) }
    await world.clock.runUntil(world.services.objects.remove(target))
    await world.settle("collector")
    assert.equal((await everything(world)).length > 0, true)
  }
  await assertSame(world, seen.slice(0, 1), "the last of them keeps the bytes")
})

test("a process that releases the job leaves nothing for which the next one waits", async () => {
  const before = await open("ec:2+1")
  await putSome(before)
  const seen = await everything(before)
  const first = convert(before)
  const job = first.job("encrypt")
  while (first.tablet.rows("intents") === 0) await first.clock.runUntil(job.step(noSignal))
  await job.release?.()
  first.isShared = true
  const world = first.restart(3)
  // The process before is still running.
  world.tablet.incarnations = { own: parseIncarnation(3), oldestLive: parseIncarnation(1), isOver: () => false }
  await encryptAll(world)
  assert.deepEqual(jobOf(world).report().troubles, [])
  await assertSame(world, seen, "after it")
})

test("a policy that changes meanwhile applies to everything, and nothing is written twice in vain", async () => {
  const before = await open("ec:2+1", 6)
  await putSome(before)
  await putMultipart(before, "large", [SMALL_PART_BYTES, 7])
  const seen = await everything(before)
  const world = convert(before)
  world.policy = parsePolicy("replica:2")
  world.policyVersion += 1
  const jobs = [world.job("encrypt"), world.job("reencode"), world.job("collector")]
  for (let steps = 0; steps < 400; steps += 1) {
    for (const job of jobs) await world.clock.runUntil(job.step(noSignal))
    if (steps % 50 === 0) await assertSame(world, seen, `in step ${steps}`)
  }
  await world.clock.advance(11 * 60_000)
  await world.settle("reencode")
  await assertEncrypted(world, "in the end")
  await assertSame(world, seen, "in the end")
})
