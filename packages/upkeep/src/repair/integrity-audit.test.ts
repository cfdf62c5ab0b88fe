/** Unreadable blocks are counted whatever is left of them, and nothing else is. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { ALL_NEEDLES, needleIdOf } from "@hayloft/engine/block/index.js"
import { deviceIdOf as deviceOf, TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { INTEGRITY_AUDIT_LIMITS, IntegrityAudit } from "./integrity-audit.js"
import { sourceOf, plainUpload } from "@hayloft/objects/bodies/testing-bodies.js"
import { SMALL_PART_BYTES, StoreWorld } from "../testing-services.js"

const BLOCK_BYTES = 16 * KIB
const noSignal = new AbortController().signal
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const open = (text: string, devices?: number) =>
  StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy(text), devices)
type World = StoreWorld<TestDevices>

const lostOf = (world: World) => world.services.integrityAudit.report().blocks
const keysOf = (world: World) => world.services.integrityAudit.objects().first.map(({ key }) => key)

/** Runs the audit until a walk has ended and all losses were checked again. */
async function callAll(world: World): Promise<void> {
  const job = world.job("integrity-audit")
  for (let steps = 0; steps < 2_000; steps += 1) {
    const outcome = await job.step(noSignal)
    if (outcome !== "busy" && world.services.integrityAudit.report().isComplete) return
  }
  assert.fail(job.progress())
}

async function isReadable(world: World, key: string): Promise<boolean> {
  return world.get(key).then(
    () => true,
    () => false,
  )
}

/** Blocks that reads find lost, by reading every block of every object. */
async function unreadableBlocks(world: World, bodies: ReadonlyMap<string, number>): Promise<number> {
  let lost = 0
  for (const [key, lengthBytes] of bodies) {
    const target = { bucket: world.home, key: objectKeyOfText(key), conditions: {} }
    for (let at = 0; at < lengthBytes; at += BLOCK_BYTES) {
      const range = { kind: "fromTo", first: at, last: Math.min(at + BLOCK_BYTES, lengthBytes) - 1 } as const
      const read = async () => {
        const body = await world.services.objects.get({ ...target, range })
        for await (const piece of body.read(noSignal)) assert.ok(piece.length > 0)
      }
      lost += await world.clock.runUntil(read()).then(
        () => 0,
        () => 1,
      )
    }
  }
  return lost
}

test("blocks with too few or no shards left are counted, listed, and dropped from the report with their objects", async () => {
  const world = await open("ec:2+2", 6)
  const bodies = new Map<string, number>()
  for (let i = 0; i < 12; i += 1) {
    const lengthBytes = 20_000 + world.random.below(40_000)
    await world.put(`key${i}`, world.random.bytes(lengthBytes))
    bodies.set(`key${i}`, lengthBytes)
  }
  await world.put("small", world.random.bytes(100))
  await callAll(world)
  assert.equal(lostOf(world), 0)
  for (const number of [1, 2, 3, 4]) await world.replace(deviceOf(number), 90 + number)
  const total = [...bodies.values()].reduce((sum, bytes) => sum + Math.ceil(bytes / BLOCK_BYTES), 0)
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  assert.ok(groups.length < total, "some blocks have no shard left")
  assert.ok(groups.some(({ shards }) => shards.length === 1) && groups.some(({ shards }) => shards.length === 2))
  await world.settle()
  await callAll(world)
  assert.equal(lostOf(world), await unreadableBlocks(world, bodies))
  const gone = new Set<string>()
  for (const key of bodies.keys()) if (!(await isReadable(world, key))) gone.add(key)
  assert.deepEqual(new Set(keysOf(world)), gone)
  assert.equal(world.services.integrityAudit.objects().count, gone.size)
  const [misplaced] = world.services.integrityAudit.report().misplacedBlocks
  assert.ok(misplaced && misplaced.devices.length === 0 && misplaced.bytes > 0)
  for (const key of gone) await world.remove(key)
  await callAll(world)
  assert.deepEqual([lostOf(world), keysOf(world), world.services.integrityAudit.report().misplacedBlocks], [0, [], []])
})

test("blocks that are lost while devices are offline are back with the devices", async () => {
  const world = await open("ec:2+2")
  await world.put("key", world.random.bytes(60_000))
  const away = [1, 2, 3].map(deviceOf)
  for (const id of away) world.takeOffline(id)
  await callAll(world)
  assert.equal(lostOf(world), 4)
  for (const id of away) world.bringBack(id)
  await callAll(world)
  assert.equal(lostOf(world), 0)
})

test("a block whose last shard is damaged is counted without a change of devices, until it is overwritten", async () => {
  const world = await open("replica:1")
  await world.put("key", world.random.bytes(30_000))
  await world.put("other", world.random.bytes(30_000))
  await callAll(world)
  const [group] = (await world.blocks.shardScan(ALL_NEEDLES.start)).groups
  assert.ok(group)
  world.services.repair.noteDamage({ deviceId: deviceOf(1), id: needleIdOf(group, 0) })
  await world.clock.advance(INTEGRITY_AUDIT_LIMITS.restMs)
  await callAll(world)
  assert.equal(lostOf(world), 1)
  for (const key of keysOf(world)) await world.put(key, world.random.bytes(10_000))
  await callAll(world)
  assert.equal(lostOf(world), 0)
})

test("rows beyond the limit are counted in sums, which shrink with the next walk", async () => {
  const world = await open("replica:1")
  for (let i = 0; i < 9; i += 1) await world.put(`key${i}`, world.random.bytes(20_000))
  world.takeOffline(deviceOf(1))
  const states = () => new Map()
  const { clock, tablet, blocks } = world
  const few = { ...INTEGRITY_AUDIT_LIMITS, rowsKept: 3, objectsReported: 2, checksPerStep: 5 }
  const integrityAudit = new IntegrityAudit(clock, tablet, blocks, { states }, few)
  const settle = async () => {
    await clock.advance(INTEGRITY_AUDIT_LIMITS.restMs)
    while ((await integrityAudit.step()) === "busy") continue
  }
  await settle()
  assert.equal(integrityAudit.report().blocks, 18)
  const { first, count } = integrityAudit.objects()
  assert.deepEqual([first.length, count], [2, 3], "at least three")
  for (let i = 0; i < 7; i += 1) await world.remove(`key${i}`)
  for (let rounds = 0; rounds < 3; rounds += 1) await settle()
  assert.equal(integrityAudit.report().blocks, 4)
  assert.equal(integrityAudit.objects().count, 2)
})

test("no block is counted as lost while clients and all background jobs are busy", async () => {
  const world = await open("ec:2+1", 6)
  const { multipart } = world.services
  const { clock, tablet, blocks } = world
  let walks = 0
  const callNow = async (what: string) => {
    const integrityAudit = new IntegrityAudit(clock, tablet, blocks, { states: () => new Map() })
    while ((await integrityAudit.step()) === "busy") assert.equal(integrityAudit.report().blocks, 0, what)
    walks += 1
    await world.job("integrity-audit").step(noSignal)
    assert.equal(lostOf(world), 0, what)
  }
  tablet.before = callNow
  let appends = 0
  world.devices.meddle = async what => {
    appends += what === "append" ? 1 : 0
    if (what === "append" && appends % 200 === 0) await callNow(what)
  }
  const bucket = world.home
  const upload = async (name: string) => {
    const key = objectKeyOfText(name)
    const created = await multipart.create(plainUpload(bucket, key))
    const target = { bucket, key, multipartId: created.multipartId }
    const body = sourceOf(world.random.bytes(SMALL_PART_BYTES), 100_000)
    const { etag } = await clock.runUntil(multipart.putPart({ ...target, partNumber: 1, body, signal: noSignal }))
    return { ...target, parts: [{ partNumber: 1, etag, checksum: undefined }] }
  }
  const rest = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined, signal: noSignal }
  for (let i = 0; i < 6; i += 1) await world.put(`key${i}`, world.random.bytes(50_000))
  const large = await upload("large")
  await multipart.complete({ ...large, ...rest })
  const aborted = await upload("aborted")
  for (let i = 0; i < 3; i += 1) await world.put(`key${i}`, world.random.bytes(30_000))
  world.policy = parsePolicy("ec:4+2")
  world.policyVersion += 1
  for (let i = 2; i < 5; i += 1) {
    await world.job("reencode").step(noSignal)
    await world.remove(`key${i}`)
    await world.job("collector").step(noSignal)
  }
  for (const job of ["reencode", "collector", "repair"]) await world.settle(job)
  await multipart.abort(aborted)
  await world.remove("large")
  for (const job of ["collector", "repair", "reencode"]) await world.settle(job)
  world.takeOffline(deviceOf(2))
  await world.put("degraded", world.random.bytes(50_000))
  world.bringBack(deviceOf(2))
  for (const job of ["repair", "reencode", "collector"]) await world.settle(job)
  assert.ok(walks > 20)
})
