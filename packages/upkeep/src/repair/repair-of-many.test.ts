/** Repair in a store of several processes: they write blocks and hints, and visit partitions for one another. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, type DeviceId, type PartitionId } from "@hayloft/base/ids.js"
import { KIB, PARTITIONS } from "@hayloft/base/limits.js"
import { ALL_NEEDLES, assignedDeviceOf, needleIdOf, type BlockGroup } from "@hayloft/engine/block/index.js"
import { standingOf } from "@hayloft/engine/block/testing-standing.js"
import { deviceIdOf as deviceOf } from "@hayloft/engine/block/testing-blocks.js"
import type { RepairOutcome } from "@hayloft/engine/format/nodes/repair-calls.js"
import { planNext } from "@hayloft/engine/placement/index.js"
import { soleProcess } from "@hayloft/engine/metadata/index.js"
import { recordHints } from "@hayloft/objects/commands/version-commands-core.js"
import { heldSource } from "@hayloft/objects/bodies/testing-bodies.js"
import { REPAIR_LIMITS } from "./repair-limits.js"
import type { RepairWorkers, VisitOrder } from "./repair-contract.js"
import { assertAll, assertWhole, noSignal, open, putSome, type Bodies, type World } from "./testing-repair.js"

/** Which process runs now, of several that live; `ended` ones are over. */
function runAs(world: World, own: number, ended: readonly number[] = []): void {
  world.tablet.incarnations = {
    own: parseIncarnation(own),
    oldestLive: parseIncarnation(1),
    isOver: incarnation => ended.includes(incarnation),
  }
}

/** All visits that may be are made by the other process, one at a time. */
class VisitsBy implements RepairWorkers {
  readonly count = 2
  readonly takingPart = 2
  readonly elsewhere: PartitionId[] = []
  readonly here: PartitionId[] = []
  private turn: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly world: World,
    private readonly other: World,
    private readonly numbers: { readonly here: number; readonly other: number; readonly ended?: readonly number[] },
  ) {
    world.services.repair.shareVisits(this)
    runAs(world, numbers.here, numbers.ended)
  }

  visit(order: VisitOrder, signal: AbortSignal): Promise<RepairOutcome> {
    const done = this.turn.then(() =>
      order.by === this.numbers.here ? this.visitHere(order, signal) : this.visitElsewhere(order),
    )
    this.turn = done.catch(() => undefined)
    return done
  }

  private visitHere(order: VisitOrder, signal: AbortSignal): Promise<RepairOutcome> {
    this.here.push(order.partition)
    return this.world.services.repair.own.visit(order, signal)
  }

  private async visitElsewhere({ longPassedOver, ...order }: VisitOrder): Promise<RepairOutcome> {
    const { here, other, ended } = this.numbers
    this.elsewhere.push(order.partition)
    runAs(this.world, other, ended)
    try {
      const visit = { ...order, longPassedOver: [...longPassedOver] }
      return await this.other.services.visitsForOthers.visit(visit, () => false)
    } finally {
      runAs(this.world, here, ended)
    }
  }
}

const groupsOf = async (world: World): Promise<readonly BlockGroup[]> =>
  (await world.blocks.shardScan(ALL_NEEDLES.start)).groups

async function loseShards(world: World, group: BlockGroup, count: number): Promise<void> {
  for (const { deviceId, slot } of group.shards.slice(0, count)) {
    const { volumes } = must(world.devices.live.get(deviceId), "the device is online")
    await world.clock.runUntil(volumes.remove([needleIdOf(group, slot)]))
  }
}

test("hints and damages that another process recorded are repaired soon, and unresolved ones are visited once", async () => {
  const alone = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(alone, bodies, 6)
  await alone.settle()
  alone.isShared = true
  const world = alone.restart(2)
  await world.settle()
  const [group] = (await world.blocks.shardScan(ALL_NEEDLES.start)).groups
  const { deviceId: lost, slot } = must(group?.shards[0], "a shard")
  const needle = needleIdOf(must(group, "a block"), slot)
  const { volumes } = must(world.devices.live.get(lost), "the device is online")
  const { partition } = needle
  const had = world.devices.needlesOn(lost)
  await world.clock.runUntil(volumes.remove([needle]))
  const wait = async () => {
    await world.clock.advance(30_000)
    await world.settle()
  }
  await wait()
  assert.equal(world.devices.needlesOn(lost), had - 1, "nobody knows of it")
  await world.tablet.run(recordHints([{ partition, deviceId: lost }]))
  await wait()
  assert.equal(world.devices.needlesOn(lost), had)
  assert.equal(world.tablet.rows("missingShardHints"), 0)
  // The hint of a block that cannot be rebuilt is not acted on again and again.
  for (const shard of must(group, "a block").shards.slice(0, 2)) {
    const device = must(world.devices.live.get(shard.deviceId), "the device is online")
    await world.clock.runUntil(device.volumes.remove([needleIdOf(must(group, "a block"), shard.slot)]))
  }
  await world.tablet.run(recordHints([{ partition, deviceId: lost }]))
  await wait()
  assert.equal(world.tablet.rows("missingShardHints"), 1)
  await world.clock.advance(30_000)
  assert.equal(await world.settle(), 2, "it reads the hints, and has nothing to do")
  await world.tablet.run(recordHints([{ partition, deviceId: lost }]))
  await world.clock.advance(30_000)
  assert.equal(await world.settle(), 3, "the hint was recorded again: it visits the partition")
})

test("blocks that a live process has written are repaired by others once a row references them", async () => {
  const alone = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(alone, bodies, 3)
  alone.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(alone.put("on its way", alone.random.bytes(10 * KIB)))
  alone.isShared = true
  const world = alone.restart(2)
  world.tablet.before = () => undefined
  world.tablet.incarnations = { own: parseIncarnation(2), oldestLive: parseIncarnation(1), isOver: () => false }
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  const had = world.needles
  for (const group of groups) {
    const { deviceId, slot } = must(group.shards[0], "a shard")
    const { volumes } = must(world.devices.live.get(deviceId), "the device is online")
    await world.clock.runUntil(volumes.remove([needleIdOf(group, slot)]))
  }
  await world.settle()
  assert.equal(world.needles, had - 1, "the block on its way is neither repaired nor removed")
  await assertAll(world, bodies, "repaired")
  world.tablet.incarnations = soleProcess(parseIncarnation(2))
  await assertWhole(world, bodies, "once that process has ended")
})

/** A process that writes an upload, and another one that repairs after a device was replaced meanwhile. */
async function whileAnotherWrites() {
  const writer = await open("ec:4+2")
  const { slow, goOn } = heldSource(writer.random.bytes(50_000))
  const putting = writer.services.objects.put(writer.putting("a", slow))
  await writer.clock.advance(1_000)
  writer.isShared = true
  const world = writer.restart(2)
  const shared = { oldestLive: parseIncarnation(1), isOver: () => false }
  world.tablet.incarnations = { own: parseIncarnation(2), ...shared }
  const by = await world.replace(deviceOf(3), 50)
  await world.settle()
  assert.equal(world.stateOf(by), "rebuilding", "it lacks shards of the upload in progress")
  const commit = async () => {
    world.tablet.incarnations = { own: parseIncarnation(1), ...shared }
    goOn()
    await writer.clock.runUntil(putting)
    world.tablet.incarnations = { own: parseIncarnation(2), ...shared }
  }
  return { world, by, commit }
}

test("a block that another process commits after a visit is soon made whole, and its hints are kept until then", async () => {
  const { world, by, commit } = await whileAnotherWrites()
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  const group = must(groups[0], "a block")
  const { partition } = group
  const { deviceId, slot } = must(group.shards[0], "a shard")
  const { volumes } = must(world.devices.live.get(deviceId), "the device is online")
  await world.clock.runUntil(volumes.remove([needleIdOf(group, slot)]))
  await world.tablet.run(recordHints([{ partition, deviceId }]))
  await world.clock.advance(REPAIR_LIMITS.youngEveryMs)
  await world.settle()
  assert.deepEqual([world.stateOf(by), world.tablet.rows("missingShardHints")], ["rebuilding", 1])
  await commit()
  await world.clock.advance(REPAIR_LIMITS.youngEveryMs)
  await world.settle()
  for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups)
    assert.deepEqual(standingOf(group, world.policy, world.layouts.current).lacking, [])
  assert.deepEqual([world.stateOf(by), world.tablet.rows("missingShardHints")], ["active", 0])
})

test("a device does not wait for blocks that another process released, which are kept for the retention", async () => {
  const { world, by, commit } = await whileAnotherWrites()
  const pass = async (ms: number) => {
    await world.clock.advance(ms)
    await world.settle()
  }
  await pass(REPAIR_LIMITS.youngMsMax - REPAIR_LIMITS.youngEveryMs)
  assert.equal(world.stateOf(by), "rebuilding")
  await pass(REPAIR_LIMITS.youngEveryMs)
  assert.equal(world.stateOf(by), "active")
  // A long upload is made whole all the same.
  await commit()
  await pass(REPAIR_LIMITS.youngEveryMs)
  for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups)
    assert.deepEqual(standingOf(group, world.policy, world.layouts.current).lacking, [])
})

test("a device waits for an upload that the process itself holds no longer than for others, and it is mended later", async () => {
  const world = await open("ec:4+2")
  const { slow, goOn } = heldSource(world.random.bytes(50_000))
  const putting = world.services.objects.put(world.putting("a", slow))
  await world.clock.advance(1_000)
  const by = await world.replace(deviceOf(3), 50)
  await world.settle()
  const { repair } = world.services
  assert.equal(world.stateOf(by), "rebuilding")
  const dueInMs = repair.dueInMs()
  assert.ok(dueInMs > 0 && dueInMs <= REPAIR_LIMITS.youngEveryMs, "it looks for the release, and does not spin")
  await world.clock.advance(REPAIR_LIMITS.youngMsMax)
  // A scan does not let it wait once more.
  world.takeOffline(deviceOf(1))
  world.bringBack(deviceOf(1))
  await world.settle()
  assert.deepEqual([world.stateOf(by), world.stateOf(deviceOf(1))], ["active", "active"])
  goOn()
  await world.clock.runUntil(putting)
  await world.settle()
  for (const group of await groupsOf(world))
    assert.deepEqual(standingOf(group, world.policy, world.layouts.current).lacking, [])
})

test("new scans do not prolong the wait for blocks that no row references", async () => {
  const { world, by } = await whileAnotherWrites()
  const scans = 5
  for (let scan = 0; scan < scans; scan += 1) {
    assert.equal(world.stateOf(by), "rebuilding")
    await world.clock.advance(REPAIR_LIMITS.youngMsMax / scans)
    world.takeOffline(deviceOf(1))
    world.bringBack(deviceOf(1))
    await world.settle()
  }
  assert.deepEqual([world.stateOf(by), world.stateOf(deviceOf(1))], ["active", "active"])
})

test("blocks that no row references yet do not count as misplaced when they lack shards", async () => {
  const writer = await open("replica:2", 3)
  const { slow, goOn } = heldSource(writer.random.bytes(400_000))
  const putting = writer.services.objects.put(writer.putting("a", slow))
  await writer.clock.advance(1_000)
  writer.isShared = true
  const world = writer.restart(2)
  runAs(world, 2)
  for (let number = 4; number <= 6; number += 1) {
    const id = await world.add(number)
    world.relayout([...world.layouts.current.devices, id])
    await world.settle()
  }
  const lost = (await groupsOf(world)).filter(
    group => standingOf(group, world.policy, world.layouts.current).strays === 1,
  )
  assert.ok(lost.length > 0)
  for (const group of lost) {
    const assigned = group.shards.filter(
      ({ slot, deviceId }) => assignedDeviceOf(world.layouts.current, group.partition, slot) === deviceId,
    )
    await loseShards(world, { ...group, shards: assigned }, 1)
    await world.tablet.run(recordHints([{ partition: group.partition, deviceId: deviceOf(1) }]))
  }
  await world.clock.advance(REPAIR_LIMITS.checkEveryMs)
  await world.settle()
  assert.deepEqual(world.services.repair.shardScan().misplacedBlocks, [])
  runAs(world, 1)
  goOn()
  await writer.clock.runUntil(putting)
})

const RELEASERS = ["another live process", "an ended process"] as const
for (const [who, visitor] of RELEASERS.flatMap(who => [[who, "itself"] as const, [who, "another"] as const])) {
  test(`visits by ${visitor} move blocks that ${who} released away from a removed device, as they are`, async () => {
    const writer = await open("ec:2+1", 4)
    const bodies: Bodies = new Map()
    await putSome(writer, bodies, 12)
    await writer.settle()
    const released = who === "an ended process" ? 6 : 12
    for (let i = 0; i < released; i += 1) {
      await writer.remove(`key${i}`)
      bodies.delete(`key${i}`)
    }
    writer.isShared = true
    const world = writer.restart(2)
    const isOver = (): boolean => who === "an ended process"
    world.tablet.incarnations = { own: parseIncarnation(2), oldestLive: parseIncarnation(1), isOver }
    const ended = who === "an ended process" ? [1] : []
    if (visitor === "another") new VisitsBy(world, world.beside(3), { here: 2, other: 3, ended })
    const leaver = deviceOf(4)
    await world.settle("orphans")
    await world.settle()
    const had = world.needles
    world.decommission(leaver)
    world.devices.meddle = what => {
      if (what === "append") throw fail("deviceFull")
    }
    for (let steps = 0; steps < 20; steps += 1) {
      await world.clock.runUntil(world.services.repair.step(noSignal))
      await world.clock.advance(1_000)
    }
    assert.deepEqual([world.moved, world.needles], [[], had], "nothing is removed that cannot be written")
    assert.ok(world.services.repair.report().isShortOfSpace)
    world.devices.meddle = () => undefined
    await world.clock.advance(REPAIR_LIMITS.waitingMs)
    await world.settle()
    assert.equal(world.devices.needlesOn(leaver), 0)
    assert.deepEqual([world.moved, world.straysWhenMoved], [[world.layouts.current.version], 0])
    world.forget(leaver)
    assert.equal(world.needles, had, "nothing is lost with the device")
    for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups)
      assert.deepEqual(standingOf(group, world.policy, world.layouts.current).lacking, [])
    await assertAll(world, bodies, "without the device")
    world.services.repair.shareVisits(world.services.repair.own)
    world.tablet.incarnations = soleProcess(parseIncarnation(2))
    await world.settle("collector")
    await assertWhole(world, bodies, "once what was released is due")
  })
}

test("an upload that another process is writing leaves a removed device, and can be read once it is committed", async () => {
  const writer = await open("ec:2+1", 4)
  const { slow, goOn } = heldSource(writer.random.bytes(200_000))
  const putting = writer.services.objects.put(writer.putting("a", slow))
  await writer.clock.advance(1_000)
  writer.isShared = true
  const world = writer.restart(2)
  const shared = { oldestLive: parseIncarnation(1), isOver: () => false }
  world.tablet.incarnations = { own: parseIncarnation(2), ...shared }
  const leaver = deviceOf(2)
  world.decommission(leaver)
  assert.ok(world.devices.needlesOn(leaver) > 0)
  await world.settle()
  assert.equal(world.devices.needlesOn(leaver), 0)
  world.forget(leaver)
  world.tablet.incarnations = { own: parseIncarnation(1), ...shared }
  goOn()
  await writer.clock.runUntil(putting)
  assert.equal((await world.get("a")).length, 200_000)
})

test("shards of a wide block whose layout became narrow leave a removed device all the same", async () => {
  const writer = await open("ec:2+2")
  await putSome(writer, new Map(), 3)
  await writer.settle()
  for (let i = 0; i < 3; i += 1) await writer.remove(`key${i}`)
  writer.isShared = true
  const world = writer.restart(2)
  world.tablet.incarnations = { own: parseIncarnation(2), oldestLive: parseIncarnation(1), isOver: () => false }
  const leaver = deviceOf(4)
  const had = world.needles
  world.decommission(leaver, 3)
  await world.settle()
  assert.deepEqual([world.devices.needlesOn(leaver), world.needles], [0, had])
  world.tablet.incarnations = soleProcess(parseIncarnation(2))
  await world.settle("collector")
  assert.equal(world.needles, 0)
})

test("visits by another process make a store whole, and the device is whole for the process that coordinates", async () => {
  const world = await open("ec:4+2")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 8)
  await world.settle()
  const visits = new VisitsBy(world, world.beside(2), { here: 1, other: 2 })
  const by = await world.replace(deviceOf(3), 50)
  await world.settle()
  assert.equal(world.stateOf(by), "active")
  assert.ok(visits.elsewhere.length > 0)
  assert.deepEqual(visits.here, [])
  const { mending, writtenShards } = world.services.repair.report()
  assert.deepEqual([mending.partitionsRemaining, mending.partitionsDone > 0], [0, true])
  assert.equal(writtenShards, world.devices.needlesOn(by))
  assert.match(world.services.repair.progress(), /, 2 nodes take part$/)
  await assertAll(world, bodies, "after repair")
  await assertWhole(world, bodies, "after repair")
})

for (const writes of ["the one that coordinates", "the one that visits", "a third"] as const) {
  test(`an upload of ${writes} is neither mended nor unreferenced before its commit, and whole soon after it`, async () => {
    const [first, second, third] = [await open("ec:4+2"), 2, 3]
    const [visitor, other] = [first.beside(second), first.beside(third)]
    const [writer, own] =
      writes === "a third" ? [other, third] : writes === "the one that visits" ? [visitor, second] : [first, 1]
    const visits = new VisitsBy(first, visitor, { here: 1, other: second })
    runAs(first, own)
    const { slow, goOn } = heldSource(first.random.bytes(50_000))
    const putting = writer.services.objects.put({ ...first.putting("a", slow) })
    await first.clock.advance(1_000)
    runAs(first, 1)
    const by = await first.replace(deviceOf(3), 50)
    const had = first.needles
    assert.ok(had > 0)
    await first.settle()
    const partitions = (await groupsOf(first)).map(({ partition }) => partition)
    first.services.repair.onHints(partitions.map(partition => ({ partition, deviceId: by })))
    await first.settle()
    for (const partition of partitions) assert.ok(visits.elsewhere.includes(partition))
    const { waitingBlocks } = first.services.orphans.report()
    assert.deepEqual([first.needles, waitingBlocks, first.stateOf(by)], [had, 0, "rebuilding"])
    await first.clock.advance(REPAIR_LIMITS.youngEveryMs)
    assert.ok((await first.settle()) < 20, "what is held is not visited again and again")
    assert.deepEqual([first.needles, first.services.orphans.report().waitingBlocks], [had, 0])
    runAs(first, own)
    goOn()
    await first.clock.runUntil(putting)
    runAs(first, 1)
    await first.clock.advance(REPAIR_LIMITS.youngEveryMs)
    await first.settle()
    for (const group of await groupsOf(first))
      assert.deepEqual(standingOf(group, first.policy, first.layouts.current).lacking, [])
    assert.deepEqual([first.stateOf(by), first.services.orphans.report().waitingBlocks], ["active", 0])
  })
}

test("an upload that this process released without a row is not visited again and again", async () => {
  const world = await open("ec:2+1")
  const visits = new VisitsBy(world, world.beside(2), { here: 1, other: 2 })
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("refused", world.random.bytes(10 * KIB)))
  const [group] = await groupsOf(world)
  await loseShards(world, must(group, "its block"), 1)
  assert.ok((await world.settle()) < 20)
  assert.ok(visits.here.length <= 1)
  // It is as if this process had visited all partitions itself.
  assert.equal(world.services.orphans.report().waitingBlocks, 1)
})

test("blocks without a row whose process makes visits are left to that process", async () => {
  const world = await open("ec:2+1")
  const other = world.beside(2)
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(other.put("refused", world.random.bytes(10 * KIB)))
  const visits = new VisitsBy(world, other, { here: 1, other: 2 })
  const [group] = await groupsOf(world)
  await loseShards(world, must(group, "its block"), 1)
  assert.ok((await world.settle()) < 20)
  assert.ok(visits.elsewhere.length > 0)
  assert.equal(world.services.orphans.report().waitingBlocks, 0)
})

test("a device does not wait for blocks that their process has given up, but for those that it holds", async () => {
  const world = await open("ec:2+1")
  const other = world.beside(2)
  // The process cannot remove what it has written of a refused request.
  const removals = Array.from(world.devices.live.values(), ({ volumes }) => ({ volumes, remove: volumes.remove }))
  for (const { volumes } of removals)
    volumes.remove = () => Promise.reject(fail("deviceFailed", { message: "not now" }))
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("invalidRequest")
  }
  await assert.rejects(other.put("refused", world.random.bytes(10 * KIB)))
  for (const { volumes, remove } of removals) volumes.remove = remove
  world.tablet.before = () => undefined
  const { slow, goOn } = heldSource(world.random.bytes(400_000))
  const putting = other.services.objects.put(other.putting("held", slow))
  await world.clock.advance(1_000)
  const visits = new VisitsBy(world, other, { here: 1, other: 2 })
  const returned = must((await groupsOf(world))[0], "a block").shards[0]?.deviceId
  const device = must(returned, "a device")
  for (const group of await groupsOf(world)) {
    const shard = group.shards.find(({ deviceId }) => deviceId === device)
    if (shard !== undefined) await loseShards(world, { ...group, shards: [shard] }, 1)
  }
  world.takeOffline(device)
  world.bringBack(device)
  const pass = async () => {
    await world.clock.advance(REPAIR_LIMITS.youngEveryMs)
    await world.settle()
    return world.stateOf(device)
  }
  assert.equal(await pass(), "rebuilding", "a row may reference what the process still holds")
  runAs(world, 2)
  goOn()
  await world.clock.runUntil(putting)
  runAs(world, 1)
  assert.equal(await pass(), "active")
  assert.ok(visits.elsewhere.length > 0)
})

test("unreferenced blocks of ended processes that a visit elsewhere finds are removed by the one that coordinates", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 3)
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  await assert.rejects(world.put("aborted", world.random.bytes(10 * KIB)))
  world.tablet.before = () => undefined
  world.isShared = true
  const next = world.restart(2)
  const visits = new VisitsBy(next, next.beside(3), { here: 2, other: 3, ended: [1] })
  for (const group of await groupsOf(next)) await loseShards(next, group, 1)
  const had = next.needles
  await next.settle()
  assert.ok(visits.elsewhere.length > 0)
  assert.equal(next.services.orphans.report().waitingBlocks, 1)
  assert.equal(next.needles, had + (await groupsOf(next)).length - 1, "all others are mended")
  await assertWhole(next, bodies, "without the aborted upload")
})

test("blocks that a visit elsewhere cannot rebuild are reported at once, and their hints stay", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 4)
  await world.settle()
  new VisitsBy(world, world.beside(2), { here: 1, other: 2 })
  const [group] = await groupsOf(world)
  const lost = must(group, "a block")
  const { deviceId } = must(lost.shards[0], "a shard")
  await loseShards(world, lost, 2)
  await world.tablet.run(recordHints([{ partition: lost.partition, deviceId }]))
  await world.services.repair.release()
  await world.settle()
  assert.equal(world.services.integrityAudit.objects().count, 1)
  assert.equal(world.tablet.rows("missingShardHints"), 1)
})

test("a visit that no process can make is put off, and the other partitions are repaired meanwhile", async () => {
  const world = await open("ec:2+1")
  const bodies: Bodies = new Map()
  await putSome(world, bodies, 6)
  await world.settle()
  const { repair } = world.services
  const groups = await groupsOf(world)
  const [cutOff] = groups.map(({ partition }) => partition)
  let isCut = true
  repair.shareVisits({
    count: 1,
    takingPart: 1,
    visit: async (order, signal) => {
      if (isCut && order.partition === cutOff) throw fail("deviceFailed", { message: "node-3 does not respond" })
      return repair.own.visit(order, signal)
    },
  })
  const had = world.needles
  for (const group of groups) await loseShards(world, group, 1)
  await repair.release()
  const steps = async (count: number) => {
    for (let i = 0; i < count; i += 1) await world.clock.runUntil(repair.step(noSignal))
  }
  await steps(20)
  assert.equal(world.needles, had - groups.filter(({ partition }) => partition === cutOff).length)
  assert.match(repair.progress(), /^1 partitions to visit, .*; 1 put off: node-3 does not respond$/)
  isCut = false
  await world.clock.advance(REPAIR_LIMITS.retryMs)
  await steps(2)
  assert.equal(world.needles, had)
  assert.match(repair.progress(), /^0 partitions to visit, \d+ shards written$/)
})

test("a scan waits for a device that its node does not have open, says so, and goes on", async () => {
  const world = await open("ec:2+1")
  await putSome(world, new Map(), 2)
  await world.settle()
  const { repair } = world.services
  const [device] = world.devices.live.values()
  const { volumes } = must(device, "devices are online")
  const indexed = volumes.indexed
  volumes.indexed = () => {
    throw fail("deviceFailed", { message: "the device is not open on this node" })
  }
  await repair.release()
  let outcome: string | undefined
  for (let step = 0; step < 4; step += 1) outcome = await world.clock.runUntil(repair.step(noSignal))
  assert.equal(outcome, "throttled")
  assert.match(repair.progress(), /partitions scanned; waits: the device is not open on this node$/)
  volumes.indexed = indexed
  await world.settle()
  assert.equal(repair.report().partitionsScanned, PARTITIONS)
})

test("a device that went and came back during a step is not whole by the scan before", async () => {
  const world = await open("ec:2+1", 4)
  await putSome(world, new Map(), 6)
  const [lost] = await groupsOf(world)
  const { deviceId } = must(must(lost, "a block").shards[0], "a shard")
  await world.settle()
  const { repair } = world.services
  const visit = async (order: VisitOrder, signal: AbortSignal) => {
    const outcome = await repair.own.visit(order, signal)
    if (world.stateOf(deviceId) !== "active") return outcome
    world.takeOffline(deviceId)
    world.bringBack(deviceId)
    return outcome
  }
  repair.shareVisits({ count: 1, takingPart: 1, visit })
  repair.onHints([{ partition: must(lost, "a block").partition, deviceId }])
  await world.clock.runUntil(repair.step(noSignal))
  assert.equal(world.stateOf(deviceId), "rebuilding", "nothing has been scanned since")
  await world.settle()
  assert.equal(world.stateOf(deviceId), "active")
})

test("no visit is ordered under another layout than the one that was scanned", async () => {
  const world = await open("ec:2+1", 4)
  await putSome(world, new Map(), 12)
  for (const group of await groupsOf(world)) await loseShards(world, group, 1)
  const { repair } = world.services
  const { current } = world.layouts
  const orders: number[] = []
  const visit = async (order: VisitOrder, signal: AbortSignal) => {
    orders.push(order.layoutVersion)
    const outcome = await repair.own.visit(order, signal)
    if (world.layouts.current === current) world.relayout(current.devices)
    return outcome
  }
  repair.shareVisits({ count: 1 / REPAIR_LIMITS.maxConcurrentPartitions, takingPart: 1, visit })
  while (orders.length === 0) await world.clock.runUntil(repair.step(noSignal))
  assert.deepEqual(orders, [current.version])
  await world.settle()
  assert.ok(orders.includes(world.layouts.current.version))
})

test("a visit for another process is refused under another layout, and where a device is out of reach", async () => {
  const world = await open("ec:2+1", 4)
  await putSome(world, new Map(), 4)
  const [group] = await groupsOf(world)
  const { partition } = must(group, "a block")
  const { visitsForOthers } = world.services
  const { current } = world.layouts
  const none: readonly DeviceId[] = []
  const order = { partition, layoutVersion: current.version, offline: none, longPassedOver: [] }
  const visit = (changed: Partial<typeof order> = {}, isOver = () => false) =>
    world.clock.runUntil(visitsForOthers.visit({ ...order, ...changed }, isOver))
  const isConflict = (error: unknown): boolean => isFailure(error, "conflict")
  await visit()
  await assert.rejects(visit({ layoutVersion: current.version + 1 }), isConflict)
  // A layout that takes effect during the visit.
  const later = () => {
    const devices = current.devices.map(id => ({ id, weight: 1 }))
    if (world.layouts.current === current)
      world.layouts.publish(planNext(current, devices, current.width, current.version + 1), current)
    return false
  }
  await assert.rejects(visit({}, later), isConflict)
  const layoutVersion = world.layouts.current.version
  world.takeOffline(deviceOf(1))
  await assert.rejects(visit({ layoutVersion }), error => isFailure(error, "deviceFailed"))
  await visit({ layoutVersion, offline: [deviceOf(1)] })
})

test("a visit that takes too long ends after the block, and tells what is left", async () => {
  const world = await open("ec:2+1")
  const bytes = world.random.bytes(200 * KIB)
  await world.put("a", bytes)
  const groups = await groupsOf(world)
  const [first] = groups
  const { partition } = must(first, "a block")
  const { visitsForOthers } = world.services
  const by = await world.replace(deviceOf(1), 50)
  const order = { partition, layoutVersion: world.layouts.current.version, offline: [], longPassedOver: [] }
  const cut = await world.clock.runUntil(visitsForOthers.visit(order, () => true))
  assert.deepEqual([cut.writtenShards, cut.left?.kind, [...cut.count.lackingOn]], [0, "mend", [by]])
  const whole = await world.clock.runUntil(visitsForOthers.visit(order, () => false))
  assert.deepEqual([whole.writtenShards > 0, whole.left, whole.count.lackingOn.size], [true, undefined, 0])
})

test("a process that repairs again after another one did begins with a full scan", async () => {
  const world = await open("ec:2+1")
  await putSome(world, new Map(), 6)
  await world.settle()
  const had = world.needles
  const [group] = await groupsOf(world)
  await loseShards(world, must(group, "a block"), 1)
  await world.settle()
  assert.equal(world.needles, had - 1, "nothing tells of the loss")
  const { repair } = world.services
  await repair.release()
  const { isComplete, hasScanned } = repair.shardScan()
  assert.deepEqual([isComplete, hasScanned, repair.report().mending.partitionsDone], [false, false, 0])
  await world.settle()
  assert.equal(world.needles, had)
  assert.ok(repair.shardScan().isComplete)
})
