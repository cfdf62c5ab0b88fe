/** Blocks get the wanted policy while clients continue, and at every moment rows reference whole blocks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseIncarnation, parseLogSequence, type RowKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import type { Soon } from "@hayloft/base/soon.js"
import { soleProcess } from "@hayloft/engine/metadata/index.js"
import { ALL_NEEDLES, type BlockGroup, type ShardScanPage } from "@hayloft/engine/block/index.js"
import { deviceIdOf as deviceOf, TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { PassFailed } from "@hayloft/base/life/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { beginReencoding, swapExtent } from "@hayloft/objects/commands/reencode-commands-core.js"
import { ALL_OBJECT_ROWS, extentsOf } from "@hayloft/objects/queries/extent-rows.js"
import { NARROW_NOTES_EVERY_MS } from "./late-writes.js"
import { REENCODE_LIMITS } from "./reencode.js"
import { REPAIR_LIMITS } from "../repair/repair-limits.js"
import { heldSource, plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { SMALL_PART_BYTES, StoreWorld } from "../testing-services.js"

const noSignal = new AbortController().signal
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
type World = StoreWorld<TestDevices>

/** A store whose layout is as wide as its number of devices. */
const open = async (text: string, devices: number): Promise<World> => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy(text), devices)
  world.relayout([...world.devices.live.keys()], devices)
  await world.settle()
  return world
}

function choose(world: World, text: string): void {
  world.policy = parsePolicy(text)
  world.policyVersion += 1
}

async function putSome(world: World, count: number, stem = "key"): Promise<Map<string, Uint8Array>> {
  const bodies = new Map<string, Uint8Array>()
  for (let i = 0; i < count; i += 1) {
    const bytes = world.random.bytes(5_000 + world.random.below(60 * KIB))
    await world.put(`${stem}${i}`, bytes)
    bodies.set(`${stem}${i}`, bytes)
  }
  return bodies
}

async function assertAll(world: World, bodies: ReadonlyMap<string, Uint8Array>, when: string): Promise<void> {
  for (const [key, bytes] of bodies) assert.ok((await world.get(key)).equals(bytes), `${key} ${when}`)
}

/** Once all jobs are idle: exactly this many blocks exist, whole, under the policy. */
async function assertOnly(world: World, blocks: number, when: string): Promise<void> {
  for (const job of ["reencode", "collector", "orphans", "repair"]) await world.settle(job)
  await world.removeAborted()
  await world.clock.advance(REPAIR_LIMITS.checkEveryMs)
  await world.settle()
  const groups = groupsOf(world)
  const policies = new Set(groups.map(({ shape }) => textOfPolicy(must(shape, "indexed").policy)))
  assert.deepEqual([...policies], blocks > 0 ? [textOfPolicy(world.policy)] : [], when)
  assert.equal(groups.length, blocks, when)
  for (const [device, flags] of world.services.repair.shardScan().lacking)
    assert.ok(!flags.includes(1), `${when}: ${device}`)
  assert.equal(world.tablet.rows("pendingDeletions"), 0, when)
}

/** All blocks on the devices. */
function groupsOf(world: World): readonly BlockGroup[] {
  const groups: BlockGroup[] = []
  for (let from: RowKey | undefined = ALL_NEEDLES.start; from !== undefined;) {
    const page: Soon<ShardScanPage> = world.blocks.shardScan(from)
    assert.ok(!(page instanceof Promise), "test devices answer synchronously")
    groups.push(...page.groups)
    from = page.next
  }
  return groups
}

const blocksIn = (bodies: ReadonlyMap<string, Uint8Array>): number =>
  [...bodies.values()].reduce((sum, bytes) => sum + Math.ceil(bytes.length / (16 * KIB)), 0)

test("after each change of the policy all blocks get it, wider or narrower, and the old blocks are removed", async () => {
  const world = await open("replica:1", 6)
  const bodies = await putSome(world, 8)
  for (const text of ["replica:2", "ec:4+2", "ec:2+1", "replica:3", "ec:4+2"]) {
    choose(world, text)
    await assertAll(world, bodies, `before ${text}`)
    await world.job("reencode").step(noSignal)
    const job = world.job("reencode")
    for (let steps = 0; (await world.clock.runUntil(job.step(noSignal))) === "busy"; steps += 1) {
      if (steps % 7 === 0) await assertAll(world, bodies, `in step ${steps} to ${text}`)
    }
    await assertOnly(world, blocksIn(bodies), text)
    await assertAll(world, bodies, `under ${text}`)
  }
})

test("the remaining bytes that it reports match its work", async () => {
  const world = await open("ec:2+1", 6)
  const bodies = await putSome(world, 5)
  const total = [...bodies.values()].reduce((sum, bytes) => sum + bytes.length, 0)
  choose(world, "ec:4+2")
  const { reencode } = world.services
  await reencode.step(noSignal)
  while (reencode.report().remainingBytes === undefined) await reencode.step(noSignal)
  assert.equal(reencode.report().remainingBytes, total)
  while (reencode.report().remainingBytes !== 0) await reencode.step(noSignal)
  const policies = [...world.tablet.committed.range("current", ALL_OBJECT_ROWS)].flatMap(([, row]) =>
    extentsOf("current", row).map(({ policy }) => textOfPolicy(policy)),
  )
  assert.deepEqual(new Set(policies), new Set(["ec:4+2"]), "nothing remains once every row has the new policy")
  await world.settle("reencode")
  assert.equal(reencode.report().doneBytes, total)
})

test("after a start it is not known yet whether anything remains", async () => {
  const world = await open("ec:2+1", 3)
  await putSome(world, 3)
  await world.settle("reencode")
  assert.equal(world.services.reencode.report().isCounting, false)
  const next = world.restart(2)
  assert.equal(next.services.reencode.report().isCounting, true)
  await next.settle("reencode")
  assert.equal(next.services.reencode.report().isCounting, false)
})

test("multipart objects, unfinished uploads, older versions and copies are re-encoded, each once", async () => {
  const world = await open("ec:2+1", 6)
  const { multipart, objects, buckets } = world.services
  await buckets.setVersioning(world.home, "enabled")
  const bucket = await buckets.open(world.home.name)
  const key = objectKeyOfText("large")
  const created = await multipart.create(plainUpload(bucket, key))
  const target = { bucket, key, multipartId: created.multipartId }
  const bodies = [1, 2].map(() => world.random.bytes(SMALL_PART_BYTES + 100))
  const putPart = (partNumber: number, bytes: Uint8Array, of = target) =>
    world.clock.runUntil(multipart.putPart({ ...of, partNumber, body: sourceOf(bytes, 100_000), signal: noSignal }))
  const parts = []
  for (const [i, bytes] of bodies.entries()) {
    const { etag } = await putPart(i + 1, bytes)
    parts.push({ partNumber: i + 1, etag, checksum: undefined })
  }
  const complete = { parts, conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
  await multipart.complete({ ...target, ...complete, signal: noSignal })
  const openKey = objectKeyOfText("unfinished")
  const other = await multipart.create(plainUpload(bucket, openKey))
  const unfinished = { bucket, key: openKey, multipartId: other.multipartId }
  const partBytes = world.random.bytes(SMALL_PART_BYTES)
  const { etag } = await putPart(1, partBytes, unfinished)
  const old = world.random.bytes(40_000)
  await world.put("versioned", old)
  const copied = { bucket, key: objectKeyOfText("versioned"), conditions: {} }
  const source = { ...copied }
  const copy = {
    replaceAttributes: { headers: {}, userMetadata: [] },
    replaceTags: undefined,
    checksumAlgorithm: undefined,
  }
  await objects.copy({ ...copied, source, ...copy, signal: noSignal })
  const young = world.random.bytes(20_000)
  await world.put("versioned", young)
  choose(world, "ec:4+2")
  const blocks = [...bodies, partBytes, old, young].reduce(
    (sum, bytes) => sum + Math.ceil(bytes.length / (16 * KIB)),
    0,
  )
  await assertOnly(world, blocks, "all of them")
  assert.ok((await world.get("large")).equals(Buffer.concat(bodies)))
  assert.ok((await world.get("versioned")).equals(young))
  await multipart.complete({
    ...unfinished,
    ...complete,
    parts: [{ partNumber: 1, etag, checksum: undefined }],
    signal: noSignal,
  })
  assert.ok((await world.get("unfinished")).equals(partBytes))
  const page = { bucket, prefix: "versioned", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 10 }
  const { entries } = await objects.listVersions(page)
  const versions = entries.flatMap(entry => (entry.kind === "version" ? [entry.versionId] : []))
  assert.equal(versions.length, 3)
  for (const versionId of versions.slice(1)) {
    const body = await objects.get({ bucket, key: objectKeyOfText("versioned"), versionId, conditions: {} })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
    assert.ok(Buffer.concat(pieces).equals(old))
  }
})

test("objects deleted, overwritten or read during re-encoding stay as their clients left them", async () => {
  const world = await open("ec:2+1", 6)
  const bodies = await putSome(world, 6)
  choose(world, "ec:4+2")
  const job = world.job("reencode")
  const reading = await world.services.objects.get({ bucket: world.home, key: objectKeyOfText("key5"), conditions: {} })
  for (let steps = 0, meddled = 0; (await world.clock.runUntil(job.step(noSignal))) === "busy"; steps += 1) {
    if (steps % 6 !== 5 || meddled >= 4) continue
    const key = `key${meddled}`
    if (meddled % 2 === 0) {
      await world.remove(key)
      bodies.delete(key)
    } else {
      const bytes = world.random.bytes(30_000)
      await world.put(key, bytes)
      bodies.set(key, bytes)
    }
    meddled += 1
  }
  await world.settle("collector")
  const pieces: Uint8Array[] = []
  for await (const piece of reading.read(noSignal)) pieces.push(piece.slice())
  assert.ok(Buffer.concat(pieces).equals(must(bodies.get("key5"), "it was kept")), "earlier readers are not disturbed")
  await world.clock.advance(11 * 60_000)
  await assertOnly(world, blocksIn(bodies), "in the end")
  await assertAll(world, bodies, "in the end")
})

test("a crash at any command or block loses nothing and leaves nothing behind", async () => {
  for (let crashAt = 1; crashAt <= 40; crashAt += 3) {
    let world = await open("ec:2+1", 6)
    const bodies = await putSome(world, 2)
    choose(world, "ec:4+2")
    let calls = 0
    const count = (): void => {
      calls += 1
      if (calls >= crashAt) throw new Error("the process dies")
    }
    world.tablet.before = count
    world.devices.meddle = what => (what === "append" ? count() : undefined)
    const job = world.job("reencode")
    let hasDied = false
    for (let steps = 0; steps < 100 && !hasDied; steps += 1) {
      const outcome = await world.clock.runUntil(job.step(noSignal)).catch((error: unknown) => String(error))
      hasDied = outcome !== "busy" || calls >= crashAt
    }
    world.tablet.before = () => undefined
    world.devices.meddle = () => undefined
    await world.clock.advance(1_000)
    world = world.restart(2)
    await assertAll(world, bodies, `after a crash at ${crashAt}`)
    await world.settle("orphans")
    await assertAll(world, bodies, `after the orphan walk, ${crashAt}`)
    await assertOnly(world, blocksIn(bodies), `after a crash at ${crashAt}`)
    await assertAll(world, bodies, `in the end, after a crash at ${crashAt}`)
  }
})

test("a crash whose leftover blocks are never rewritten leaves nothing behind either", async () => {
  let world = await open("ec:2+1", 6)
  const bodies = await putSome(world, 2)
  choose(world, "ec:4+2")
  world.tablet.before = name => {
    if (name === "SwapExtent") throw fail("stopping")
  }
  await world.settle("reencode")
  assert.ok(groupsOf(world).some(({ generation }) => generation > 0))
  world.tablet.before = () => undefined
  choose(world, "ec:2+1")
  world = world.restart(2)
  await assertOnly(world, blocksIn(bodies), "back under the first policy")
  await assertAll(world, bodies, "back under the first policy")
})

test("leftover blocks found by the orphan walk during re-encoding are removed after it", async () => {
  let world = await open("ec:2+1", 6)
  const bytes = world.random.bytes(6 * 16 * KIB)
  await world.put("a", bytes)
  choose(world, "ec:4+2")
  world.tablet.before = name => {
    if (name === "SwapExtent") throw fail("stopping")
  }
  await world.settle("reencode")
  world.tablet.before = () => undefined
  choose(world, "ec:3+2")
  world = world.restart(2)
  const { reencode } = world.services
  while (reencode.report().doneBytes === 0) await world.clock.runUntil(reencode.step(noSignal))
  await world.settle("orphans")
  await assertOnly(world, 6, "in the end")
  assert.ok((await world.get("a")).equals(bytes))
})

test("if an upload cannot be re-encoded completely, its re-encoded blocks are removed", async () => {
  for (const failing of [0, 1, 2, 3]) {
    const world = await open("ec:2+1", 6)
    await world.put("a", world.random.bytes(5 * 16 * KIB))
    choose(world, "ec:4+2")
    world.devices.meddle = (what, { block, slot, generation }) => {
      if (what === "append" && generation > 0 && block === failing && slot === 5) throw fail("deviceFull")
    }
    const before = world.needles
    await world.settle("reencode")
    assert.equal(world.services.reencode.report().waiting, 1)
    await world.settle("collector")
    assert.equal(world.needles, before, `block ${failing} fails`)
  }
})

test("a swap with an unknown outcome may apply at the next start: its blocks are kept until then", async () => {
  for (const again of ["a retry", "another policy", "repair and orphans"]) {
    let world = await open("ec:2+1", 6)
    const bodies = await putSome(world, 3)
    choose(world, "ec:4+2")
    world.tablet.haltAt = "SwapExtent"
    await world.settle("reencode")
    if (again === "a retry") await world.clock.advance(11 * 60_000)
    if (again === "another policy") choose(world, "ec:2+1")
    await world.settle("reencode")
    if (again === "repair and orphans") {
      for (const id of [...world.devices.live.keys()].slice(0, 2)) {
        world.takeOffline(id)
        world.bringBack(id)
      }
      // Like the processing of leftovers of an earlier process.
      const later = world.restart(2)
      for (const job of ["orphans", "repair"]) {
        for (let steps = 0; steps < 300; steps += 1) {
          await later.clock.runUntil(later.job(job).step(noSignal)).catch(() => undefined)
          await later.clock.advance(1_000)
        }
      }
    }
    world.tablet.recover()
    world = world.restart(3)
    await assertAll(world, bodies, `at the next start, after ${again}`)
    await world.clock.advance(11 * 60_000)
    await assertOnly(world, blocksIn(bodies), `in the end, after ${again}`)
    await assertAll(world, bodies, `in the end, after ${again}`)
  }
})

test("a process that releases the job leaves nothing for which the next one waits", async () => {
  const before = await open("replica:2", 3)
  const bodies = await putSome(before, 3)
  choose(before, "ec:2+1")
  const job = before.job("reencode")
  while (before.tablet.rows("intents") === 0) await before.clock.runUntil(job.step(noSignal))
  await job.release?.()
  before.isShared = true
  const world = before.restart(2)
  // The process before is still running.
  world.tablet.incarnations = { own: parseIncarnation(2), oldestLive: parseIncarnation(1), isOver: () => false }
  await world.settle("reencode", 200)
  assert.equal(world.services.reencode.report().waiting, 0)
  await assertAll(world, bodies, "after it")
  world.tablet.incarnations = soleProcess(parseIncarnation(2))
  await assertOnly(world, blocksIn(bodies), "in the end")
})

test("a block that was written while only its process did not reach a device gets its policy, and so does the next one", async () => {
  const before = await open("ec:2+1", 3)
  before.isShared = true
  const world = before.restart(2)
  for (const job of ["late-writes", "reencode"]) await world.settle(job)
  const [device] = world.devices.live.keys()
  for (const key of ["first", "second"]) {
    world.devices.down.add(must(device, "there are three"))
    const bytes = world.random.bytes(40 * KIB)
    await world.put(key, bytes)
    world.devices.down.delete(must(device, "there are three"))
    assert.deepEqual(
      new Set(groupsOf(world).map(({ shape }) => shape && textOfPolicy(shape.policy))).has("replica:2"),
      true,
    )
    await world.clock.advance(NARROW_NOTES_EVERY_MS)
    for (const job of ["late-writes", "reencode", "collector"]) await world.settle(job)
    const policies = groupsOf(world).map(({ shape }) => shape && textOfPolicy(shape.policy))
    assert.deepEqual([...new Set(policies)], ["ec:2+1"], key)
    assert.ok((await world.get(key)).equals(bytes))
  }
})

test("a policy that another process set for a bucket is noticed once the policies are read", async () => {
  const world = await open("replica:2", 3)
  const bodies = await putSome(world, 2)
  await world.settle("reencode")
  const other = world.restart(2)
  await other.services.buckets.setPolicy(world.home.name, parsePolicy("ec:2+1"))
  world.tablet.incarnations = soleProcess(parseIncarnation(1))
  await world.services.buckets.readPolicies()
  for (const job of ["reencode", "collector"]) await world.settle(job)
  const policies = groupsOf(world).map(({ shape }) => shape && textOfPolicy(shape.policy))
  assert.deepEqual([...new Set(policies)], ["ec:2+1"])
  await assertAll(world, bodies, "re-encoded")
})

test("a bucket's policy changes during re-encoding: no generation of an upload has two policies, and all blocks get the last one", async () => {
  for (const [before, then] of [
    ["ec:2+1", "ec:4+2"],
    ["ec:4+2", "ec:4+1"],
  ] as const) {
    const world = await open("replica:1", 6)
    const bodies = await putSome(world, 4)
    const { reencode, buckets } = world.services
    const policyOf = new Map<string, string>()
    const check = (): void => {
      for (const { uploadId, generation, shape } of groupsOf(world)) {
        const policy = textOfPolicy(must(shape, "indexed").policy)
        const name = `generation ${generation} of ${uploadId}`
        assert.equal(policyOf.get(name) ?? policy, policy, name)
        policyOf.set(name, policy)
      }
    }
    const work = async (): Promise<void> => {
      for (let steps = 0; steps < 12; steps += 1) {
        await world.clock.runUntil(reencode.step(noSignal))
        check()
      }
    }
    choose(world, before)
    await work()
    world.policyVersion += 1
    await work()
    await buckets.setPolicy(world.home.name, parsePolicy(then))
    reencode.policyChanged()
    await work()
    await world.settle("reencode")
    check()
    world.policy = parsePolicy(then)
    await assertOnly(world, blocksIn(bodies), then)
    await assertAll(world, bodies, then)
  }
})

test("blocks written on fewer devices get their full policy when the devices are back", async () => {
  const world = await open("ec:4+2", 6)
  const down = [deviceOf(1), deviceOf(2), deviceOf(3)]
  for (const id of down) world.takeOffline(id)
  const bodies = await putSome(world, 4)
  await world.settle("reencode")
  assert.ok(groupsOf(world).every(({ shape }) => shape && textOfPolicy(shape.policy) !== "ec:4+2"))
  for (const id of down) world.bringBack(id)
  await world.settle()
  await assertOnly(world, blocksIn(bodies), "with all devices")
  await assertAll(world, bodies, "with all devices")
  assert.deepEqual(world.services.repair.shardScan().misplacedBlocks, [])
})

test("uploads in progress when devices come back get their full policy once they are committed", async () => {
  const world = await open("ec:4+2", 6)
  const down = [deviceOf(1), deviceOf(2), deviceOf(3)]
  for (const id of down) world.takeOffline(id)
  const bytes = world.random.bytes(50_000)
  const { slow, goOn } = heldSource(bytes)
  const putting = world.services.objects.put(world.putting("slow", slow))
  await world.clock.advance(100)
  for (const id of down) world.bringBack(id)
  for (let steps = 0; steps < 20; steps += 1) await world.clock.runUntil(world.services.repair.step(noSignal))
  await world.settle("reencode")
  goOn()
  await world.clock.runUntil(putting)
  await world.settle("reencode")
  await world.clock.advance(60_000)
  await world.settle()
  await world.settle("collector")
  const policies = groupsOf(world).map(({ shape }) => shape && textOfPolicy(shape.policy))
  assert.deepEqual([...new Set(policies)], ["ec:4+2"])
  assert.ok((await world.get("slow")).equals(bytes))
})

test("devices that were away between two steps are noticed: blocks written without them get their full policy", async () => {
  const world = await open("ec:4+2", 6)
  await putSome(world, 2, "before")
  await world.settle("reencode")
  const down = [deviceOf(1), deviceOf(2), deviceOf(3)]
  for (const id of down) world.takeOffline(id)
  const bodies = await putSome(world, 4)
  for (const id of down) world.bringBack(id)
  await world.settle()
  for (const id of down) assert.equal(world.stateOf(id), "active", "as before, by its name")
  await world.settle("reencode")
  await world.settle("collector")
  const policies = groupsOf(world).map(({ shape }) => shape && textOfPolicy(shape.policy))
  assert.deepEqual([...new Set(policies)], ["ec:4+2"])
  await assertAll(world, bodies, "re-encoded")
})

test("a row drops the exception for a late shard once the shard exists", async () => {
  const world = await open("ec:4+2", 6)
  world.devices.meddle = (what, id) => {
    if (what === "append" && id.slot === 4) throw fail("deviceFailed")
  }
  const bodies = await putSome(world, 1)
  world.devices.meddle = () => undefined
  const exceptions = (): number => {
    const [row] = world.tablet.committed.range("current", ALL_NEEDLES)
    const { content } = decodeVersion(must(row, "one object")[1].value)
    return content.kind === "extent" ? content.extent.exceptions.length : 0
  }
  assert.equal(exceptions(), 1)
  await world.settle()
  world.relayout([...world.devices.live.keys()])
  await world.settle()
  await world.settle("reencode")
  assert.equal(exceptions(), 0)
  await assertOnly(world, blocksIn(bodies), "whole")
  await assertAll(world, bodies, "whole")
})

test("a completion in progress never references bytes about to be deleted", async () => {
  const world = await open("ec:2+1", 6)
  const { multipart } = world.services
  const key = objectKeyOfText("large")
  const { home: bucket } = world
  const created = await multipart.create(plainUpload(bucket, key))
  const target = { bucket, key, multipartId: created.multipartId }
  const bytes = world.random.bytes(SMALL_PART_BYTES)
  const part = multipart.putPart({ ...target, partNumber: 1, body: sourceOf(bytes, 100_000), signal: noSignal })
  const { etag } = await world.clock.runUntil(part)
  choose(world, "ec:4+2")
  // The whole re-encoding happens between the sealing and the writing of the segments.
  let isOver = false
  world.tablet.before = async name => {
    if (name !== "PutSegment" || isOver) return
    isOver = true
    for (const job of ["reencode", "collector"]) await world.settle(job)
  }
  const complete = {
    conditions: {},
    sizeBytes: undefined,
    checksum: undefined,
    checksumType: undefined,
    signal: noSignal,
  }
  await multipart.complete({ ...target, ...complete, parts: [{ partNumber: 1, etag, checksum: undefined }] })
  assert.ok(isOver)
  for (const job of ["reencode", "collector"]) await world.settle(job)
  assert.ok((await world.get("large")).equals(bytes))
  await world.clock.advance(11 * 60_000)
  await assertOnly(world, bytes.length / (16 * KIB), "in the end")
  assert.ok((await world.get("large")).equals(bytes))
})

test("with too few devices nothing is re-encoded, nothing is lost, and the job retries soon", async () => {
  const world = await open("ec:2+1", 6)
  const bodies = await putSome(world, 3)
  choose(world, "ec:4+2")
  world.devices.down.add(deviceOf(6))
  await world.settle("reencode")
  assert.ok(world.services.reencode.report().waiting > 0)
  await assertAll(world, bodies, "while one is down")
  world.devices.down.clear()
  await world.clock.advance(2 * REENCODE_LIMITS.retryMs)
  await world.settle("reencode")
  assert.equal(world.services.reencode.report().waiting, 0)
  await assertOnly(world, blocksIn(bodies), "with all devices")
  await assert.rejects(world.get("none"), error => isFailure(error, "noSuchKey"))
})

test("a walk fails if an upload cannot be re-encoded for a reason that stays, and succeeds once it can", async () => {
  const world = await open("ec:2+1", 6)
  const bodies = await putSome(world, 3)
  choose(world, "ec:4+2")
  world.devices.meddle = what => {
    if (what === "append") throw fail("keysUnavailable")
  }
  const failure = await world.settle("reencode").then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(failure instanceof PassFailed, String(failure))
  assert.match(failure.message, /uploads? could not be re-encoded: a key that protects objects/)
  assert.equal(failure.restMs, REENCODE_LIMITS.retryMs)
  world.devices.meddle = () => undefined
  await world.settle("reencode")
  await assertOnly(world, blocksIn(bodies), "in the end")
})

test("a copy that shares bytes being re-encoded references the new ones", async () => {
  const world = await open("ec:2+1", 6)
  await world.services.buckets.setVersioning(world.home, "enabled")
  const bytes = world.random.bytes(40_000)
  await world.put("a", bytes)
  choose(world, "ec:4+2")
  let isOver = false
  world.tablet.before = async name => {
    if (name !== "PutVersion" || isOver) return
    isOver = true
    for (const job of ["reencode", "collector"]) await world.settle(job)
  }
  const bucket = await world.services.buckets.open(world.home.name)
  const target = { bucket, key: objectKeyOfText("a"), conditions: {} }
  const copy = {
    replaceAttributes: { headers: {}, userMetadata: [] },
    replaceTags: undefined,
    checksumAlgorithm: undefined,
  }
  await world.services.objects.copy({ ...target, source: target, ...copy, signal: noSignal })
  assert.ok(isOver)
  await assertOnly(world, 3, "shared by both")
  assert.ok((await world.get("a")).equals(bytes))
})

test("only the blocks of a body that were written on fewer devices are re-encoded", async () => {
  const world = await open("ec:4+2", 6)
  const bytes = world.random.bytes(10 * 16 * KIB)
  const down = [deviceOf(1), deviceOf(2)]
  const body = {
    ...sourceOf(bytes),
    gather: () => undefined,
    async *open() {
      yield bytes.subarray(0, 5 * 16 * KIB)
      await world.clock.sleep(1_000, noSignal)
      for (const id of down) world.takeOffline(id)
      yield bytes.subarray(5 * 16 * KIB)
    },
  }
  await world.clock.runUntil(world.services.objects.put(world.putting("a", body)))
  for (const id of down) world.bringBack(id)
  await world.settle()
  await assertOnly(world, 10, "in the end")
  const generations = groupsOf(world).map(({ block, generation }) => `${block >= 5 ? "late" : "early"} ${generation}`)
  assert.deepEqual([...new Set(generations)].sort(), ["early 0", "late 2"])
  assert.ok((await world.get("a")).equals(bytes))
  await world.remove("a")
  await world.settle("collector")
  assert.equal(world.needles, 0)
})

test("a swap is refused if the row references other blocks of the upload than were read", async () => {
  const world = await open("ec:2+1", 6)
  await world.put("a", world.random.bytes(40_000))
  const [found] = world.tablet.committed.range("current", ALL_NEEDLES)
  const { content } = decodeVersion(must(found, "one object")[1].value)
  assert.ok(content.kind === "extent")
  const { extent } = content
  const name = { bucketId: world.home.id, key: objectKeyOfText("a"), uploadId: extent.uploadId }
  const policy = parsePolicy("ec:4+2")
  const replaced = [{ firstBlock: 0, lastBlock: 2 }]
  await world.tablet.run(beginReencoding({ ...name, from: extent, policy, runs: replaced, generationFloor: 0 }))
  const swap = { ...name, generation: 1, from: extent, to: { ...extent, policy, generation: 1 }, replaced }
  const other = swapExtent({ ...swap, from: { ...extent, generation: 3 } })
  await assert.rejects(world.tablet.run(other), error => isFailure(error, "conflict"))
  await world.tablet.run(swapExtent(swap))
  await assert.rejects(world.tablet.run(swapExtent(swap)), error => isFailure(error, "conflict"))
})
