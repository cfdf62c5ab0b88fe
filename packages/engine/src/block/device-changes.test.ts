/** Devices are added, removed, hang and fill up while blocks are read and written, and layouts change. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseLogSequence, type DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount, textOfPolicy } from "@hayloft/base/policy.js"
import { Rows } from "../device/index.js"
import { partitionOf } from "../format/needles/partition.js"
import { planNext, slotsOf } from "../placement/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { ALL_NEEDLES } from "./shard-scan-core.js"
import type { ShardDevice } from "./contract.js"
import type { ShardStore } from "./shard-store.js"
import { deviceIdOf, distant, OWNER, ShardWorld } from "./testing-blocks.js"

const BLOCK_BYTES = 16 * KIB
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const open = (text: string, devices = shardCount(parsePolicy(text)), refuseSingleCopy = false) =>
  ShardWorld.open(makeRows, parsePolicy(text), { devices, refuseSingleCopy, blockBytes: BLOCK_BYTES })

/** Publishes a layout of the current devices as the next one. */
function relayout(world: ShardWorld, keepsPrevious = true): void {
  const { layouts, devices } = world
  const { current } = layouts
  const weighted = [...devices.live.keys()].map(id => ({ id, weight: 1 }))
  const next = planNext(current, weighted, current.width, current.version + 1)
  layouts.publish(next, keepsPrevious ? current : undefined)
}

test("while shards move, older blocks are read at their old place, and new blocks are stored at the new one", async () => {
  for (const text of ["ec:4+2", "replica:2", "replica:1"]) {
    const world = await open(text)
    const before = world.random.bytes(20 * BLOCK_BYTES)
    const old = await world.writeExtent(before)
    await world.devices.add(40)
    relayout(world)
    assert.deepEqual(await world.read(old), Buffer.from(before), text)
    const after = world.random.bytes(20 * BLOCK_BYTES)
    const young = await world.writeExtent(after)
    for (let block = 0; block < 20; block += 1) assert.ok(world.blocks.isAssigned(young, block))
    assert.ok(Array.from({ length: 20 }, (_, block) => world.blocks.isAssigned(old, block)).includes(false))
    assert.deepEqual(await world.read(young), Buffer.from(after), text)
    await world.blocks.remove(old)
    await world.blocks.remove(young)
    assert.equal(
      (await world.held(old.uploadId, 20)) + (await world.held(young.uploadId, 20)),
      0,
      "both layouts' copies are removed",
    )
  }
})

test("shards to which no layout leads any more are found when a read needs them", async () => {
  const world = await open("ec:2+1")
  const bytes = world.random.bytes(10 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  for (const number of [40, 41, 42]) await world.devices.add(number)
  for (let round = 0; round < 2; round += 1) {
    const [first, ...others] = [...world.devices.live.values()].reverse()
    const { current } = world.layouts
    const weighted = [must(first, "a device"), ...others].slice(0, 3).map(({ id }) => ({ id, weight: 1 }))
    world.layouts.publish(planNext(current, weighted, 3, current.version + 1), undefined)
    assert.deepEqual(await world.read(extent), Buffer.from(bytes))
  }
})

test("a write holds its layout until its last straggler has ended", async () => {
  const world = await open("ec:4+2")
  let proceed: () => void = () => undefined
  const gate = new Promise<void>(resolve => (proceed = resolve))
  world.meddle = (what, id) => (what === "append" && id.slot === 3 ? gate : undefined)
  await world.clock.runUntil(world.write(world.random.bytes(100)))
  relayout(world)
  await world.clock.advance(1_000)
  assert.equal(world.layouts.isDrained, false)
  proceed()
  await world.clock.advance(10)
  assert.equal(world.layouts.isDrained, true)
})

test("a device that goes offline during reads and writes fails neither", async () => {
  const world = await open("ec:4+2")
  const bytes = world.random.bytes(8 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  const gone = deviceIdOf(2)
  world.meddle = (_, __, device) => {
    if (device !== gone) return
    world.devices.takeOffline(gone)
    throw fail("stopping")
  }
  assert.deepEqual(await world.read(extent), Buffer.from(bytes))
  assert.equal(world.devices.live.has(gone), false)
  world.devices.bringBack(gone)
  const written = await world.clock.runUntil(world.write(bytes))
  assert.ok(written.content.kind === "extent")
  assert.ok(written.hints.some(({ deviceId }) => deviceId === gone))
  assert.deepEqual(await world.read(written.content.extent), Buffer.from(bytes))
})

test("a removal is complete once every device has answered that is expected back, however it is out of reach", async () => {
  const world = await open("ec:4+2")
  const away = deviceIdOf(2)
  const device = must(world.devices.live.get(away), "a device")
  const store = distant(device.volumes)
  const answerless: ShardStore = { ...store, remove: () => Promise.reject(fail("deviceFailed")) }
  const refusing: ShardStore = { ...store, refusing: fail("deviceFailed") }
  const live: Map<DeviceId, ShardDevice> = world.devices.live
  const waysToLeave = [
    () => live.delete(away),
    () => live.set(away, { ...device, volumes: answerless }),
    () => live.set(away, { ...device, volumes: refusing }),
  ]
  for (const leave of waysToLeave) {
    const extent = await world.writeExtent(world.random.bytes(3 * BLOCK_BYTES))
    const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
    leave()
    world.expected.add(away)
    assert.equal(await world.blocks.remove(extent), false)
    assert.equal(await world.blocks.removeGroups(groups), false)
    world.expected.clear()
    assert.equal(await world.blocks.remove(extent), true, "an offline device is looked through once it is back")
    assert.equal(await world.blocks.removeGroups(groups), true)
    world.expected.add(away)
    world.devices.bringBack(away)
    assert.equal(world.devices.needlesOn(away), 3)
    assert.equal(await world.blocks.remove(extent), true)
    assert.equal(world.devices.needlesOn(away), 0)
  }
})

test("a block is not lost whose devices did not respond for a moment; one whose devices lack it is", async () => {
  const world = await open("ec:4+2")
  const bytes = world.random.bytes(BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  const silent = new Set([1, 2, 3].map(deviceIdOf))
  let answer: "deviceFailed" | "noSuchNeedle" = "deviceFailed"
  world.meddle = (what, _, device) => {
    if (what === "read" && silent.has(device)) throw fail(answer)
  }
  for (const id of silent) world.mayReturn.add(id)
  await assert.rejects(world.read(extent), error => isFailure(error, "deviceFailed"))
  answer = "noSuchNeedle"
  await assert.rejects(world.read(extent), error => isFailure(error, "notEnoughShards"))
  answer = "deviceFailed"
  world.mayReturn.clear()
  await assert.rejects(world.read(extent), error => isFailure(error, "notEnoughShards"))
  silent.clear()
  assert.deepEqual(await world.read(extent), Buffer.from(bytes))
})

test("a read from a hung device is soon answered by the others, also if two hang", async () => {
  const world = await open("ec:4+2")
  const bytes = world.random.bytes(8 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  for (const hung of [[1], [1, 4]]) {
    world.meddle = (what, _, device) => {
      if (what === "read" && hung.some(number => deviceIdOf(number) === device)) return new Promise(() => undefined)
      return undefined
    }
    const beganMs = world.clock.monotonicMs()
    assert.deepEqual(await world.clock.runUntil(world.read(extent)), Buffer.from(bytes))
    const tookMs = world.clock.monotonicMs() - beganMs
    assert.ok(tookMs >= 50 && tookMs < 2_000, `${tookMs} ms with ${hung.join(" and ")} hung`)
  }
})

test("a slow shard that arrives first still counts, and a healthy store rebuilds nothing", async () => {
  const world = await open("ec:2+1")
  const bytes = world.random.bytes(BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  const slow = deviceIdOf(1)
  let reads = 0
  world.meddle = async (what, _, device) => {
    reads += what === "read" ? 1 : 0
    await world.clock.sleep(device === slow ? 70 : 300, new AbortController().signal)
  }
  assert.deepEqual(await world.clock.runUntil(world.read(extent)), Buffer.from(bytes))
  world.meddle = what => void (reads += what === "read" ? 1 : 0)
  reads = 0
  await world.read(extent)
  assert.equal(reads, 2, "one read for each data shard")
})

test("a block with a full device is refused before anything is written", async () => {
  const world = await open("ec:4+2")
  world.devices.full.add(deviceIdOf(6))
  let appends = 0
  world.meddle = what => void (appends += what === "append" ? 1 : 0)
  await assert.rejects(world.write(world.random.bytes(100)), error => isFailure(error, "deviceFull"))
  assert.ok(world.blocks.isFull)
  assert.equal(appends, 0)
  world.devices.full.clear()
  world.meddle = (what, id) => {
    if (what === "append" && id.slot === 5) throw fail("deviceFull")
  }
  await assert.rejects(world.clock.runUntil(world.write(world.random.bytes(100))), error =>
    isFailure(error, "deviceFull"),
  )
  await world.clock.advance(1_000)
  assert.equal(await world.held("0".repeat(31) + "2", 1), 0, "the shards on the other devices are removed")
})

test("a single copy is counted, or refused if so configured; with a policy of one copy it is neither", async () => {
  for (const refuses of [false, true]) {
    const world = await open("ec:2+1", 3, refuses)
    world.down.add(deviceIdOf(1)).add(deviceIdOf(2))
    const writing = world.write(world.random.bytes(3 * BLOCK_BYTES))
    if (refuses) await assert.rejects(writing, error => isFailure(error, "deviceFailed"))
    else await writing
    assert.equal(world.singleCopies, refuses ? 0 : 3)
  }
  const single = await open("replica:1", 1, true)
  await single.write(single.random.bytes(BLOCK_BYTES))
  assert.equal(single.singleCopies, 0)
})

test("blocks in a layout narrower than the policy get the widest policy that fits", async () => {
  const world = await open("ec:4+2", 3)
  const bytes = world.random.bytes(3 * BLOCK_BYTES)
  const extent = await world.writeExtent(bytes)
  assert.equal(textOfPolicy(must(extent.exceptions[0], "the blocks differ").policy), "ec:2+1")
  assert.deepEqual(await world.read(extent), Buffer.from(bytes))
})

test("a block written under a wider layout is removed completely after the layout became narrower", async () => {
  for (const keepsPrevious of [true, false]) {
    const world = await open("ec:2+2")
    const extent = await world.writeExtent(world.random.bytes(20 * BLOCK_BYTES))
    const { layouts, devices } = world
    const { current } = layouts
    const weighted = [...devices.live.keys()].slice(1).map(id => ({ id, weight: 1 }))
    layouts.publish(planNext(current, weighted, 3, current.version + 1), keepsPrevious ? current : undefined)
    await world.blocks.remove(extent)
    const left = [...devices.live.keys()].map(id => devices.needlesOn(id))
    assert.deepEqual(left, keepsPrevious ? [0, 0, 0, 0] : [left[0], 0, 0, 0])
  }
})

test("needles removed while their header is being read are reported as missing, not as damaged", async () => {
  const world = await open("ec:2+1")
  const extent = await world.writeExtent(world.random.bytes(100))
  const [group] = await world.blocks.shardScanOf(partitionOf(extent.uploadId, 0, 0))
  const block = must(group, "it was written")
  assert.deepEqual((await world.blocks.headerOf(block)).owner, OWNER)
  await world.blocks.remove(extent)
  await assert.rejects(world.blocks.headerOf(block), error => isFailure(error, "noSuchNeedle"))
})

test("a reader that finds a damaged shard reports the shard and the device", async () => {
  const world = await open("ec:2+1")
  const extent = await world.writeExtent(world.random.bytes(100))
  const [first] = slotsOf(world.layout, partitionOf(extent.uploadId, 0, 0))
  world.meddle = (_, id) => {
    if (id.slot === 0) throw fail("corruptNeedle")
  }
  await world.read(extent)
  assert.deepEqual(
    world.damaged.map(({ deviceId, id }) => [deviceId, id.slot]),
    [[first, 0]],
  )
})
