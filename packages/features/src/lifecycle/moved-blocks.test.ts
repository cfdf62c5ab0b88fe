/** The blocks of versions that lifecycle has moved get the policy of their class, also after a crash in between. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseLogSequence, type RowKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { ALL_NEEDLES, type ShardScanPage } from "@hayloft/engine/block/index.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { encodeLifecycleRules, type LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { REENCODE_LIMITS } from "@hayloft/upkeep/reencode/reencode.js"
import { heldSource, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { StoreWorld } from "@hayloft/upkeep/testing-services.js"

const noSignal = new AbortController().signal
const DAY_MS = 86_400_000
const SIZE = 200 * KIB
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
type World = StoreWorld<TestDevices>

/** STANDARD is ec:2+1, GLACIER_IR is replica:3. */
async function open(rules: readonly Partial<LifecycleRule>[], isVersioned = false): Promise<World> {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"), 6)
  world.relayout([...world.devices.live.keys()], 6)
  await world.settle()
  world.mapped.set("GLACIER_IR", parsePolicy("replica:3"))
  world.policyVersion += 1
  const { buckets } = world.services
  if (isVersioned) await buckets.setVersioning(world.home, "enabled")
  const whole = rules.map((rule, number) => ({
    id: `rule ${number}`,
    isEnabled: true,
    filter: { form: "filter" } as const,
    ...rule,
  }))
  const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules: whole })
  await buckets.setSetting(world.home, "lifecycle", document)
  return world
}

async function put(world: World, key: string): Promise<Uint8Array> {
  const bytes = world.random.bytes(SIZE)
  await world.clock.runUntil(world.services.objects.put(world.putting(key, sourceOf(bytes))))
  return bytes
}

/** The policies of all blocks, once re-encoding has ended. */
async function policies(world: World): Promise<readonly string[]> {
  for (const job of ["reencode", "collector", "repair"]) await world.settle(job)
  const found = new Set<string>()
  for (let from: RowKey | undefined = ALL_NEEDLES.start; from !== undefined;) {
    const page: ShardScanPage | Promise<ShardScanPage> = world.blocks.shardScan(from)
    assert.ok(!(page instanceof Promise), "test devices answer synchronously")
    for (const { shape } of page.groups) found.add(textOfPolicy(must(shape, "indexed").policy))
    from = page.next
  }
  return [...found].sort()
}

async function pass(world: World, days: number): Promise<void> {
  await world.services.storeClock.start()
  await world.clock.runUntil(world.clock.sleep(days * DAY_MS, noSignal))
  await world.settle("lifecycle")
}

async function classes(world: World): Promise<readonly string[]> {
  const page = { prefix: "", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 10 }
  const { entries } = await world.services.objects.listVersions({ bucket: world.home, ...page })
  return entries.map(entry => (entry.kind === "version" ? entry.object.storageClass : entry.kind))
}

test("a version that has moved is re-encoded, and can be read before and after", async () => {
  const world = await open([{ transitions: [{ storageClass: "GLACIER_IR", days: 1 }] }])
  const bytes = await put(world, "a")
  assert.deepEqual(await policies(world), ["ec:2+1"])
  await pass(world, 3)
  assert.deepEqual(await classes(world), ["GLACIER_IR"])
  assert.ok((await world.get("a")).equals(bytes), "before it is re-encoded")
  assert.deepEqual(await policies(world), ["replica:3"])
  assert.ok((await world.get("a")).equals(bytes))
})

test("after a crash between a move and its re-encoding the next process re-encodes", async () => {
  const world = await open([{ transitions: [{ storageClass: "GLACIER_IR", days: 1 }] }])
  const bytes = await put(world, "a")
  await pass(world, 3)
  const next = world.restart(2)
  assert.deepEqual(await policies(next), ["replica:3"])
  assert.ok((await next.get("a")).equals(bytes))
})

const COLD = { transitions: [{ storageClass: "GLACIER_IR", days: 1 }] } as const

test("what another process has moved is re-encoded, also if its rules are gone before anybody looks", async () => {
  const world = await open([COLD])
  const bytes = await put(world, "a")
  assert.deepEqual(await policies(world), ["ec:2+1"])
  const other = world.beside(2)
  await pass(other, 3)
  await other.services.buckets.setSetting(world.home, "lifecycle", undefined)
  assert.deepEqual(await classes(world), ["GLACIER_IR"])
  await world.settle("lifecycle")
  assert.deepEqual(await policies(world), ["replica:3"])
  assert.ok((await world.get("a")).equals(bytes))
})

test("moves during a walk give up no upload, and cause one more walk", async () => {
  const world = await open([COLD])
  await put(world, "a")
  await pass(world, 3)
  await put(world, "b")
  const { reencode } = world.services
  for (let steps = 0; reencode.report().doneBytes === 0; steps += 1) {
    assert.ok(steps < 100, "an upload is re-encoded")
    await world.clock.runUntil(reencode.step(noSignal))
  }
  const { doneBytes } = reencode.report()
  await pass(world, 3)
  await world.clock.runUntil(reencode.step(noSignal))
  assert.ok(reencode.report().doneBytes > doneBytes)
  await world.settle("reencode")
  await world.clock.advance(REENCODE_LIMITS.notesWaitMs)
  assert.deepEqual(await policies(world), ["replica:3"])
  assert.equal(await world.settle("reencode"), 1, "nothing is left")
})

test("bytes of versions in two classes have the safer policy of both, and follow once both have moved", async () => {
  const world = await open([{ noncurrentTransitions: [{ storageClass: "GLACIER_IR", days: 1 }] }], true)
  const mapTo = (policy: string) => {
    world.mapped.set("GLACIER_IR", parsePolicy(policy))
    world.policyVersion += 1
  }
  const bytes = await put(world, "a")
  const target = { bucket: world.home, key: objectKeyOfText("a"), conditions: {} }
  const copying = { ...target, source: target, replaceAttributes: undefined, replaceTags: [["k", "v"]] as const }
  await world.clock.runUntil(
    world.services.objects.copy({ ...copying, checksumAlgorithm: undefined, signal: noSignal }),
  )
  await pass(world, 3)
  assert.deepEqual(await classes(world), ["STANDARD", "GLACIER_IR"])
  assert.deepEqual(await policies(world), ["replica:3"], "the lower class survives more lost disks")
  mapTo("replica:1")
  assert.deepEqual(await policies(world), ["ec:2+1"], "STANDARD survives more")
  mapTo("replica:2")
  assert.deepEqual(await policies(world), ["ec:2+1"], "both survive as many: the upper class")
  mapTo("replica:3")
  await world.clock.runUntil(world.services.objects.remove({ ...target }))
  await pass(world, 3)
  assert.deepEqual(await classes(world), ["marker", "GLACIER_IR", "GLACIER_IR"])
  assert.deepEqual(await policies(world), ["replica:3"])
  const [, , older] = (
    await world.services.objects.listVersions({
      bucket: world.home,
      prefix: "",
      delimiter: "",
      keyMarker: "",
      versionIdMarker: undefined,
      max: 10,
    })
  ).entries
  assert.ok(older?.kind === "version")
  const opened = await world.clock.runUntil(
    Promise.resolve(world.services.objects.get({ ...target, versionId: older.versionId })),
  )
  const pieces: Uint8Array[] = []
  const read = async () => {
    for await (const piece of opened.read(noSignal)) pieces.push(Uint8Array.from(piece))
  }
  await world.clock.runUntil(read())
  assert.ok(Buffer.concat(pieces).equals(bytes))
})

test("what another process stores under a former map, behind the walk, is re-encoded once it is committed", async () => {
  const before = await open([])
  before.isShared = true
  const world = before.restart(2)
  const other = world.beside(3)
  for (const each of [world, other]) await each.settle("late-writes")
  for (const policy of ["replica:2", undefined]) {
    const follow = (process: World) => {
      process.policyVersion += 1
      if (policy === undefined) process.mapped.clear()
      else process.mapped.set("GLACIER_IR", parsePolicy(policy))
    }
    const putCold = (key: string, body = sourceOf(world.random.bytes(SIZE))) =>
      other.services.objects.put({ ...other.putting(key, body), storageClass: "GLACIER_IR" })
    const { slow, goOn } = heldSource(world.random.bytes(SIZE))
    const putting = putCold("slow", slow)
    await world.clock.advance(100)
    follow(world)
    await world.settle("reencode")
    // It has not heard of the map yet.
    await world.clock.runUntil(putCold("late"))
    follow(other)
    await other.settle("late-writes")
    await world.clock.advance(REENCODE_LIMITS.notesWaitMs)
    assert.equal(await world.settle("reencode"), 1, "an upload under the former map has not ended")
    goOn()
    await world.clock.runUntil(putting)
    await other.settle("late-writes")
    for (const key of ["late", "slow"]) assert.equal((await world.get(key)).length, SIZE)
    assert.deepEqual(await policies(world), [policy ?? "ec:2+1"])
    await world.clock.advance(REENCODE_LIMITS.notesWaitMs)
    assert.equal(await world.settle("reencode"), 1, "nothing is left")
  }
})

test("a note of a process that has ended goes once a whole walk has taken it into account", async () => {
  const world = await open([COLD])
  await put(world, "a")
  await pass(world, 3)
  const next = world.restart(2)
  assert.equal(next.tablet.rows("lifecycle"), 3, "one of a bucket, one of uploads, one of the process before")
  await next.settle("reencode")
  await next.clock.advance(REENCODE_LIMITS.notesWaitMs)
  await next.settle("reencode")
  assert.deepEqual(await policies(next), ["replica:3"])
  assert.equal(next.tablet.rows("lifecycle"), 2)
})
