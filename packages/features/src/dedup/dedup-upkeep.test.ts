/** Digests and the index of a bucket with deduplication: compared, repaired, and given to objects that have none. */
import { DEDUP_SERVICES } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  decodeBlockDigests,
  decodeBlockPlace,
  encodeBlockDigests,
  encodeBlockPlace,
} from "@hayloft/engine/format/objects/dedup-rows.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"
import {
  append,
  BLOCK,
  damage,
  multipart,
  openScene,
  put,
  rowsOf,
  runJob,
  settle,
  wait,
  type Scene,
} from "./testing-upkeep.js"

const HOUR_MS = 3_600_000
const NONE = { findings: [], changing: [], repaired: 0 } as const

async function withObjects(): Promise<Scene & { readonly bytes: Buffer }> {
  const scene = await openScene("dedup")
  const bytes = Buffer.from(scene.world.random.bytes(4 * BLOCK + 7_000))
  await put(scene, "a", bytes)
  await put(scene, "b", bytes)
  await put(scene, "c", concatBytes([bytes.subarray(0, 2 * BLOCK), scene.world.random.bytes(BLOCK + 5)]))
  // From then on nothing is on its way into the index.
  await wait(scene, HOUR_MS)
  return { ...scene, bytes }
}

async function agrees(scene: Scene): Promise<void> {
  const { rows: _, ...ran } = await runJob(scene, "verify", { reads: true })
  assert.deepEqual(ran, NONE)
}

test("what agrees has no findings, also when its bytes are read, and a rebuild changes nothing", async () => {
  const scene = await withObjects()
  await agrees(scene)
  const { rows: _, ...ran } = await runJob(scene, "rebuild")
  assert.deepEqual(ran, NONE)
})

test("figures: what is referenced is not stored again", async () => {
  const scene = await withObjects()
  const { world, bucket, bytes } = scene
  const stat = await world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedupUpkeep.stat(bucket))
  const own = bytes.length + BLOCK + 5
  assert.deepEqual(stat, {
    state: "on",
    versions: 3,
    logicalBytes: 2 * bytes.length + 3 * BLOCK + 5,
    ownBytes: own,
    versionsWithReferences: 2,
    references: 2,
    referencedBytes: bytes.length + 2 * BLOCK,
    referencedSegments: 1,
    releasedSegments: 0,
    releasedBytes: 0,
    releasedReferencedBytes: 0,
    digestRows: 2,
    indexedBlocks: 7,
  })
})

test("a block that the index lacks is added, also by a verification: the next write finds it", async () => {
  for (const kind of ["verify", "rebuild"] as const) {
    const scene = await withObjects()
    const { world, bytes } = scene
    await damage(scene, "blockIndex", () => undefined)
    const { findings, repaired } = await runJob(scene, kind)
    assert.deepEqual([findings, repaired], [[], 1])
    await agrees(scene)
    const before = world.needles
    await put(scene, "d", bytes)
    assert.equal(world.needles, before)
  }
})

test("two objects that end with the same short block: once one of them is deleted, nothing is found at the other", async () => {
  const scene = await openScene("dedup")
  const { random } = scene.world
  const tail = random.bytes(1_000)
  for (const key of ["a", "b"]) await put(scene, key, concatBytes([random.bytes(BLOCK), tail]))
  await scene.world.remove("b")
  await settle(scene)
  assert.deepEqual((await runJob(scene, "verify")).findings, [])
  await agrees(scene)
})

for (const [how, lie] of [
  ["names another block", { offsetBytes: 3 * BLOCK }],
  ["names bytes between blocks", { offsetBytes: 1 }],
  ["states another length", { lengthBytes: 5 }],
] as const)
  test(`an entry of the index that ${how} is found, and dropped; its block is indexed again`, async () => {
    const scene = await withObjects()
    const at = rowsOf(scene, "blockIndex").findIndex(([, { value }]) => decodeBlockPlace(value).offsetBytes === 0)
    await damage(scene, "blockIndex", value => encodeBlockPlace({ ...decodeBlockPlace(value), ...lie }), at)
    const { findings } = await runJob(scene, "verify")
    assert.equal(findings.length, 1)
    assert.match(findings[0] ?? "", /^a: the index says that a block is bytes \d+ to \d+: its digest differs$/)
    await runJob(scene, "rebuild")
    await agrees(scene)
  })

test("an entry of the index that cannot be read is found, and dropped", async () => {
  const scene = await withObjects()
  await damage(scene, "blockIndex", () => Uint8Array.of(1))
  assert.match((await runJob(scene, "verify")).findings[0] ?? "", /the row cannot be read/)
  await runJob(scene, "rebuild")
  await agrees(scene)
})

test("an entry of the index whose object has no digests is dropped, and what it needs is read again", async () => {
  const scene = await withObjects()
  const { world, bytes } = scene
  await damage(scene, "blockDigests", () => undefined)
  const { findings } = await runJob(scene, "verify")
  assert.ok(findings.length >= 2)
  for (const finding of findings) assert.match(finding, /^a: the index says/)
  await runJob(scene, "rebuild")
  await agrees(scene)
  const before = world.needles
  await put(scene, "d", bytes)
  assert.equal(world.needles, before)
})

test("digests that are not those of the bytes are found when these are read, and replaced", async () => {
  const scene = await withObjects()
  await damage(scene, "blockDigests", value => {
    const record = decodeBlockDigests(value)
    const [, ...others] = record.digests
    return encodeBlockDigests({ ...record, digests: [Buffer.alloc(32, 7), ...others] })
  })
  const { findings } = await runJob(scene, "verify", { reads: true })
  assert.ok(findings.some(finding => /^[ac]: 1 of [25] blocks differ from their digests$/.test(finding)))
  await runJob(scene, "rebuild", { reads: true })
  await agrees(scene)
})

for (const [which, at] of [
  ["first", 1],
  ["second", 0],
] as const)
  test(`wrong digests in the ${which} row of a long body are replaced, and the other row stays`, async () => {
    const scene = await openScene("dedup")
    const { world } = scene
    const bytes = world.random.bytes(300 * BLOCK)
    await put(scene, "a", bytes)
    await wait(scene, HOUR_MS)
    const counts = () => rowsOf(scene, "blockDigests").map(([, { value }]) => decodeBlockDigests(value).digests.length)
    // The row with the highest offset comes first.
    assert.deepEqual(counts(), [44, 256])
    const spoil = (value: Uint8Array) => {
      const record = decodeBlockDigests(value)
      return encodeBlockDigests({ ...record, digests: [Buffer.alloc(32, 7), ...record.digests.slice(1)] })
    }
    await damage(scene, "blockDigests", spoil, at)
    await runJob(scene, "rebuild", { reads: true })
    assert.deepEqual(counts(), [44, 256])
    await agrees(scene)
    const before = world.needles
    await put(scene, "b", bytes)
    assert.equal(world.needles, before)
    assert.equal((await runJob(scene, "rebuild", { reads: true })).repaired, 0)
  })

test("digests of bytes that are missing are found", async () => {
  const scene = await withObjects()
  const own = rowsOf(scene, "segments").findIndex(([, { value }]) => decodeSegment(value).parts.length > 0)
  await damage(scene, "segments", () => undefined, own)
  const { findings } = await runJob(scene, "verify")
  assert.ok(findings.some(finding => /^a: bytes 0 to \d+ have digests, and are missing$/.test(finding)))
  assert.ok(findings.some(finding => /^b: bytes 0 to \d+ of a are referenced and missing$/.test(finding)))
})

/** More devices lose their bytes than the redundancy allows. */
async function loseTwo({ world }: Scene): Promise<void> {
  const [one, two] = [...world.devices.live.keys()]
  await world.replace(must(one, "there are devices"), 11)
  await world.replace(must(two, "there are devices"), 12)
}

const isLost = (scene: Scene, key: string) =>
  assert.rejects(scene.world.get(key), error => isFailure(error, "notEnoughShards"))

for (const how of ["repair", "verify", "rebuild"] as const)
  test(`bytes that are lost are stored by the next write of them, once ${how} has found the loss`, async () => {
    const scene = await withObjects()
    const { world, bytes } = scene
    const body = Buffer.from(world.random.bytes(SMALL_PART_BYTES))
    await put(scene, "other", body)
    await wait(scene, HOUR_MS)
    await loseTwo(scene)
    if (how === "repair") await world.settle("repair")
    else {
      const { findings } = await runJob(scene, how, { reads: true })
      assert.ok(findings.some(finding => /^a: its bytes cannot be read/.test(finding)))
      // Each run names the loss as long as it lasts.
      const again = await runJob(scene, how, { reads: true })
      assert.ok(again.findings.some(finding => /^a: its bytes cannot be read/.test(finding)))
    }
    await isLost(scene, "a")
    await put(scene, "new", bytes)
    await put(scene, "b", bytes)
    await put(scene, "a", bytes)
    await multipart(scene, "parts", [body])
    await settle(scene)
    for (const key of ["new", "a", "b"]) assert.ok((await world.get(key)).equals(bytes), key)
    assert.ok((await world.get("parts")).equals(body))
    await isLost(scene, "other")
    // The new bytes are found from then on.
    const before = world.needles
    await put(scene, "next", bytes)
    assert.equal(world.needles, before)
    await put(scene, "other", body)
    assert.ok((await world.get("other")).equals(body))
  })

test("blocks that cannot be read while devices are offline are referenced again once these are back", async () => {
  const scene = await withObjects()
  const { world, bytes } = scene
  const [one, two] = [...world.devices.live.keys()].map(id => must(id, "there are devices"))
  const away = [must(one, "there are two"), must(two, "there are two")]
  for (const id of away) world.takeOffline(id)
  const audited = async () => {
    const audit = world.job("integrity-audit")
    for (let steps = 0; steps < 100; steps += 1) {
      const outcome = await audit.step(new AbortController().signal)
      if (outcome !== "busy" && world.services.integrityAudit.report().isComplete) break
    }
    return world.services.integrityAudit.report()
  }
  const found = await audited()
  assert.ok(found.isComplete && found.blocks > 0)
  for (const id of away) world.bringBack(id)
  assert.equal((await audited()).blocks, 0)
  const before = world.needles
  await put(scene, "d", bytes)
  assert.equal(world.needles, before)
})

test("blocks whose segments are missing are stored again", async () => {
  const scene = await withObjects()
  const { world, bytes } = scene
  const own = rowsOf(scene, "segments").findIndex(([, { value }]) => decodeSegment(value).parts.length > 0)
  await damage(scene, "segments", () => undefined, own)
  await put(scene, "d", bytes)
  assert.ok((await world.get("d")).equals(bytes))
})

test("objects from before are read, and later writes find their blocks; clients see no change", async () => {
  const scene = await openScene()
  const { world } = scene
  const bytes = world.random.bytes(3 * BLOCK + 70_001)
  await world.put("old", bytes)
  await world.put("short", world.random.bytes(BLOCK))
  const info = async () => {
    const request = { bucket: scene.bucket, key: objectKeyOfText("old"), conditions: {} }
    const { etag, sizeBytes, versionId, lastModifiedMs } = (await world.services.objects.get(request)).info
    return { etag, sizeBytes, versionId, lastModifiedMs }
  }
  const before = await info()
  await world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedup.setDedup(world.home, true))
  const on = { ...scene, bucket: await world.services.buckets.open(world.home.name) }
  assert.equal((await runJob(on, "rebuild")).repaired, 1)
  assert.deepEqual(await info(), before)
  assert.ok((await world.get("old")).equals(bytes))
  await agrees(on)
  const { needles } = world
  await put(on, "new", bytes)
  assert.equal(world.needles, needles)
  assert.equal((await runJob(on, "rebuild")).repaired, 0)
})

test("all versions of a key from before are read, also those with a delete marker above", async () => {
  const scene = await openScene()
  const { world } = scene
  await world.clock.runUntil(world.services.buckets.setVersioning(world.home, "enabled"))
  const versioned = { ...scene, bucket: await world.services.buckets.open(world.home.name) }
  const bodies = [1, 2, 3].map(count => world.random.bytes(count * BLOCK + 9))
  for (const bytes of bodies) await put(versioned, "a", bytes)
  await world.services.objects.remove({ bucket: versioned.bucket, key: objectKeyOfText("a"), conditions: {} })
  await world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedup.setDedup(world.home, true))
  const on = { ...scene, bucket: await world.services.buckets.open(world.home.name) }
  assert.equal((await runJob(on, "rebuild")).repaired, bodies.length)
  await agrees(on)
  const { needles } = world
  for (const [n, bytes] of bodies.entries()) await put(on, `new ${n}`, bytes)
  assert.equal(world.needles, needles)
})

test("multipart uploads, from before and with parts that are there already, are compared and found", async () => {
  const scene = await openScene()
  const { world } = scene
  const parts = [0, 1].map(() => world.random.bytes(80 * BLOCK))
  await multipart(scene, "old", parts)
  await world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedup.setDedup(world.home, true))
  const on = { ...scene, bucket: await world.services.buckets.open(world.home.name) }
  assert.equal((await runJob(on, "rebuild")).repaired, 1)
  const { needles } = world
  const all = [...parts, world.random.bytes(5)]
  await multipart(on, "new", all)
  await settle(on)
  assert.ok(world.needles - needles <= 3)
  await wait(on, HOUR_MS)
  await agrees(on)
  const segments = rowsOf(on, "segments").map(([, { value }]) => decodeSegment(value))
  assert.equal(segments.flatMap(({ referring = [] }) => referring).length, 2)
  await world.remove("old")
  await settle(on)
  await agrees(on)
  assert.ok((await world.get("new")).equals(concatBytes(all)))
})

test("an object that is replaced while it is read gets no digests of its former bytes", async () => {
  const scene = await openScene("append")
  const { world } = scene
  await world.put("a", world.random.bytes(2 * BLOCK + 7))
  await append(scene, "a", world.random.bytes(2 * BLOCK))
  await world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedup.setDedup(world.home, true))
  const on = { ...scene, bucket: await world.services.buckets.open(world.home.name) }
  const bytes = world.random.bytes(3 * BLOCK)
  let isReplaced = false
  world.tablet.before = async name => {
    if (name !== "GiveDigests" || isReplaced) return
    isReplaced = true
    await world.services.objects.put({ ...world.putting("a", sourceOf(bytes)), bucket: scene.bucket })
  }
  await runJob(on, "rebuild")
  assert.ok(isReplaced)
  await settle(on)
  await wait(on, HOUR_MS)
  await agrees(on)
  assert.ok((await world.get("a")).equals(bytes))
  // Blocks that a later write finds have the right bytes.
  await put(on, "b", bytes)
  assert.ok((await world.get("b")).equals(bytes))
})

test("versions of one key, and what undelete keeps, are compared like others", async () => {
  const scene = await openScene("dedup")
  const { world } = scene
  await world.clock.runUntil(world.services.buckets.setVersioning(scene.bucket, "enabled"))
  const bucket = await world.services.buckets.open(world.home.name)
  const versioned = { ...scene, bucket }
  const bytes = world.random.bytes(2 * BLOCK)
  for (const key of ["a", "a", "b"]) await put(versioned, key, bytes)
  await put(versioned, "a", world.random.bytes(3 * BLOCK))
  await wait(versioned, HOUR_MS)
  await agrees(versioned)
  await world.remove("a")
  await agrees(versioned)
  assert.equal(rowsOf(versioned, "versions").filter(([, { value }]) => !decodeVersion(value).head.isMarker).length, 3)
})

test("what is kept for little is freed: those that reference it get bytes of their own", async () => {
  const scene = await openScene("dedup")
  const { world, bucket } = scene
  const bytes = Buffer.from(world.random.bytes(8 * BLOCK))
  await put(scene, "big", bytes)
  const piece = concatBytes([bytes.subarray(0, 2 * BLOCK), world.random.bytes(BLOCK)])
  await put(scene, "small", piece)
  await world.remove("big")
  await settle(scene)
  const stat = () => world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedupUpkeep.stat(bucket))
  const { releasedBytes, releasedReferencedBytes } = await stat()
  assert.deepEqual([releasedBytes, releasedReferencedBytes], [8 * BLOCK, 2 * BLOCK])
  assert.equal((await runJob(scene, "compact")).repaired, 1)
  await settle(scene)
  assert.ok((await world.get("small")).equals(piece))
  const after = await stat()
  assert.deepEqual([after.releasedSegments, after.releasedBytes, after.ownBytes], [0, 0, 3 * BLOCK])
  assert.equal((await runJob(scene, "compact")).repaired, 0)
  await wait(scene, HOUR_MS)
  await agrees(scene)
})

test("what is kept for little and cannot be read is named, and the others are freed", async () => {
  const scene = await openScene("dedup")
  const { world } = scene
  const lost = Buffer.from(world.random.bytes(8 * BLOCK))
  await put(scene, "lost", lost)
  await put(scene, "of lost", concatBytes([lost.subarray(0, BLOCK), world.random.bytes(BLOCK)]))
  await loseTwo(scene)
  const big = Buffer.from(world.random.bytes(8 * BLOCK))
  const small = concatBytes([big.subarray(0, 2 * BLOCK), world.random.bytes(BLOCK)])
  await put(scene, "big", big)
  await put(scene, "small", small)
  for (const key of ["lost", "big"]) await world.remove(key)
  await settle(scene)
  const { findings, repaired } = await runJob(scene, "compact")
  assert.equal(findings.length, 1)
  assert.match(findings[0] ?? "", /^lost: its bytes cannot be read/)
  assert.equal(repaired, 1)
  assert.ok((await world.get("small")).equals(small))
})

test("of what references bytes of a gone object, only these are copied: other parts go on referencing", async () => {
  const scene = await openScene("dedup")
  const { world, bucket } = scene
  const size = SMALL_PART_BYTES
  const live = [0, 1, 2].map(() => Buffer.from(world.random.bytes(size)))
  const gone = Buffer.from(world.random.bytes(3 * size))
  for (const [i, bytes] of live.entries()) await put(scene, `live ${i}`, bytes)
  await put(scene, "gone", gone)
  const parts = [...live, gone.subarray(0, size)]
  await multipart(scene, "m", parts)
  await world.remove("gone")
  await settle(scene)
  assert.equal((await runJob(scene, "compact")).repaired, 1)
  await settle(scene)
  const { ownBytes, references, releasedSegments } = await world.clock.runUntil(
    DEDUP_SERVICES.of(world.services.core).dedupUpkeep.stat(bucket),
  )
  assert.deepEqual([ownBytes, references, releasedSegments], [4 * size, 3, 0])
  assert.ok((await world.get("m")).equals(concatBytes(parts)))
})

test("what is kept for half or more of its bytes stays", async () => {
  const scene = await openScene("dedup")
  const bytes = Buffer.from(scene.world.random.bytes(4 * BLOCK))
  await put(scene, "big", bytes)
  await put(scene, "half", concatBytes([bytes.subarray(0, 2 * BLOCK), scene.world.random.bytes(BLOCK)]))
  await scene.world.remove("big")
  await settle(scene)
  assert.equal((await runJob(scene, "compact")).repaired, 0)
})

test("metrics count what was written, and what of that was there, of single and multipart uploads", async () => {
  const scene = await openScene("dedup")
  const { world } = scene
  const bytes = world.random.bytes(80 * BLOCK)
  await put(scene, "a", bytes)
  await put(scene, "b", bytes)
  await multipart(scene, "c", [bytes, world.random.bytes(10)])
  const text = world.telemetry.metrics.render()
  const valueOf = (name: string): number =>
    Number(new RegExp(`^hayloft_dedup_${name}_bytes_total (\\d+)$`, "m").exec(text)?.[1])
  assert.deepEqual([valueOf("written"), valueOf("referenced")], [3 * bytes.length + 10, 2 * bytes.length])
})
