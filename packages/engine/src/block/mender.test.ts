/** Disks are lost and replaced, one set after another; after mending, every byte is there again. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseLogSequence, type DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount, tolerance } from "@hayloft/base/policy.js"
import { Rows } from "../device/index.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Extent } from "../format/needles/extent.js"
import { planNext, replaceDevice } from "../placement/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import type { Mended } from "./contract.js"
import { SURPLUS_MS_MAX } from "./mender.js"
import { ALL_NEEDLES, needleIdOf } from "./shard-scan-core.js"
import { standingOf } from "./testing-standing.js"
import { changed, deviceIdOf, OWNER, SHARD_MEMORY_BYTES, ShardWorld } from "./testing-blocks.js"

const BLOCK_BYTES = 8 * KIB
const NOTE = Uint8Array.from([1, 2, 3])
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const open = (text: string, devices = shardCount(parsePolicy(text))) =>
  ShardWorld.open(makeRows, parsePolicy(text), { devices, blockBytes: BLOCK_BYTES })

interface Kept {
  readonly extent: Extent
  readonly bytes: Uint8Array
}

async function writeSome(world: ShardWorld): Promise<Kept[]> {
  const kept: Kept[] = []
  for (const lengthBytes of [1, 700, BLOCK_BYTES, 5 * BLOCK_BYTES + 77]) {
    const bytes = world.random.bytes(lengthBytes)
    kept.push({ extent: await world.writeExtent(bytes), bytes })
  }
  return kept
}

/** Mends all referenced blocks. */
async function mendAll(world: ShardWorld, kept: readonly Kept[]): Promise<Mended[]> {
  const outcomes: Mended[] = []
  for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups) {
    const of = must(
      kept.find(({ extent }) => extent.uploadId === group.uploadId),
      "only referenced blocks exist",
    )
    outcomes.push(await world.blocks.mend(group, { extent: of.extent, owner: OWNER, recoveryHeader: () => NOTE }))
  }
  return outcomes
}

async function assertWhole(world: ShardWorld, kept: readonly Kept[], text: string): Promise<void> {
  for (const { extent, bytes } of kept) assert.ok((await world.read(extent)).equals(bytes), `${text}: the bytes`)
  for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups) {
    const standing = standingOf(group, world.policy, world.layouts.current)
    assert.deepEqual([standing.lacking, standing.strays], [[], 0], text)
  }
}

function* subsets(of: number, sizeMax: number): Generator<number[]> {
  for (let bits = 1; bits < 1 << of; bits += 1) {
    const chosen = Array.from({ length: of }, (_, i) => i).filter(i => (bits >> i) & 1)
    if (chosen.length <= sizeMax) yield chosen
  }
}

for (const text of ["ec:2+2", "ec:4+2", "ec:4+3", "replica:2", "replica:3"]) {
  test(`${text}: every tolerable set of lost disks is replaced by empty ones and rebuilt, one after another`, async () => {
    const world = await open(text)
    const kept = await writeSome(world)
    let next = 100
    for (const lost of subsets(shardCount(world.policy), tolerance(world.policy))) {
      for (const index of lost) {
        const { current } = world.layouts
        const old = must(current.devices[index], "a device")
        world.devices.takeOffline(old)
        next += 1
        const by = await world.devices.add(next)
        world.layouts.publish(replaceDevice(current, old, by, current.version + 1), undefined)
      }
      for (const { extent, bytes } of kept)
        assert.ok((await world.read(extent)).equals(bytes), `without ${lost.join()}`)
      const outcomes = await mendAll(world, kept)
      for (const outcome of outcomes) assert.deepEqual([outcome.lacking, outcome.waitingFor], [[], []])
      await assertWhole(world, kept, `${text} after ${lost.join()}`)
      assert.ok((await mendAll(world, kept)).every(({ writtenBytes, removed }) => writtenBytes + removed === 0))
    }
  })
}

test("a rebuilt first shard has its recovery header again", async () => {
  const world = await open("ec:2+1")
  const kept = await writeSome(world)
  const { current } = world.layouts
  for (const old of current.devices.slice(0, 1)) {
    world.devices.takeOffline(old)
    world.layouts.publish(replaceDevice(current, old, await world.devices.add(50), 2), undefined)
  }
  await mendAll(world, kept)
  let notes = 0
  for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups) {
    for (const { slot, deviceId } of group.shards) {
      if (deviceId !== deviceIdOf(50)) continue
      const header = await must(world.devices.live.get(deviceId), "live").volumes.headerOf(needleIdOf(group, slot))
      assert.deepEqual(header.owner, OWNER)
      assert.deepEqual(header.policy, world.policy)
      assert.deepEqual(header.recoveryHeader, group.block === 0 ? NOTE : undefined)
      notes += header.recoveryHeader ? 1 : 0
    }
  }
  assert.ok(notes > 0)
})

test("from d devices to d + 1 and back, with reads and writes between all steps, only the necessary shards move", async () => {
  for (const text of ["ec:4+2", "ec:2+2", "replica:2", "replica:1"]) {
    const world = await open(text)
    const kept = await writeSome(world)
    const added = await world.devices.add(60)
    for (const devices of [[...world.devices.live.keys()], [...world.layouts.current.devices]]) {
      const { current } = world.layouts
      const weighted = devices.map(id => ({ id, weight: 1 }))
      const next = planNext(current, weighted, current.width, current.version + 1)
      world.layouts.publish(next, current)
      kept.push(...(await writeSome(world)))
      for (const group of (await world.blocks.shardScan(ALL_NEEDLES.start)).groups) {
        const of = must(
          kept.find(({ extent }) => extent.uploadId === group.uploadId),
          "the block is referenced",
        )
        await world.blocks.mend(group, { extent: of.extent, owner: OWNER, recoveryHeader: () => undefined })
        assert.ok((await world.read(of.extent)).equals(of.bytes))
      }
      world.layouts.publish(next, undefined)
      await assertWhole(world, kept, `${text} over ${devices.length}`)
    }
    assert.equal(world.devices.needlesOn(added), 0, "shards that moved back leave no copies behind")
  }
})

test("a damaged copy is neither a source for a shard nor a reason to remove another copy", async () => {
  const world = await open("ec:2+2")
  const kept = await writeSome(world)
  const { current } = world.layouts
  const added = await world.devices.add(70)
  world.layouts.publish(replaceDevice(current, deviceIdOf(1), added, 2), current)
  const bad = deviceIdOf(1)
  world.meddle = (what, _, device) => {
    if (what === "read" && device === bad) throw fail("corruptNeedle")
  }
  for (const outcome of await mendAll(world, kept)) assert.deepEqual(outcome.lacking, [])
  await assertWhole(world, kept, "rebuilt instead of copied")
  assert.ok(world.damaged.length > 0 && world.damaged.every(({ deviceId }) => deviceId === bad))
})

/** From now on, does something to each shard that is read from the device. */
function onFetched(world: ShardWorld, id: DeviceId, meddle: (body: Uint8Array) => void | Promise<void>): void {
  const device = must(world.devices.live.get(id), "live")
  const { volumes } = device
  const fetch: typeof volumes.fetch = async (...of) => {
    const found = await volumes.fetch(...of)
    await meddle(found.body)
    return found
  }
  world.devices.live.set(id, { ...device, volumes: changed(volumes, { fetch }) })
}

const rot = (world: ShardWorld, id: DeviceId): void =>
  onFetched(world, id, body => {
    body[body.length - 7] = (body.at(-7) ?? 0) ^ 1
  })

for (const text of ["ec:2+2", "replica:3"]) {
  for (const blockBytes of [BLOCK_BYTES, 256 * KIB]) {
    test(`${text}: rotten shards are reported and never used as sources, with blocks of ${blockBytes} bytes`, async () => {
      const world = await ShardWorld.open(makeRows, parsePolicy(text), { devices: 4, blockBytes })
      const bytes = world.random.bytes(5 * blockBytes + 700)
      const kept = [{ extent: await world.writeExtent(bytes), bytes }]
      const { current } = world.layouts
      const lost = deviceIdOf(1)
      world.devices.takeOffline(lost)
      const by = await world.devices.add(73)
      world.layouts.publish(replaceDevice(current, lost, by, 2), undefined)
      rot(world, deviceIdOf(2))
      for (const outcome of await mendAll(world, kept)) assert.deepEqual(outcome.lacking, [])
      await assertWhole(world, kept, "rebuilt from others")
      assert.ok(world.damaged.length > 0 && world.damaged.every(({ deviceId }) => deviceId === deviceIdOf(2)))
      // Rebuilt shards are as good as the lost ones: others can be rebuilt from them.
      const again = await world.devices.add(74)
      world.devices.takeOffline(deviceIdOf(3))
      world.layouts.publish(replaceDevice(world.layouts.current, deviceIdOf(3), again, 3), undefined)
      for (const outcome of await mendAll(world, kept)) assert.deepEqual(outcome.lacking, [])
      await assertWhole(world, kept, "rebuilt from rebuilt shards")
      for (const id of [deviceIdOf(4), by]) rot(world, id)
      world.devices.takeOffline(again)
      const last = await world.devices.add(75)
      world.layouts.publish(replaceDevice(world.layouts.current, again, last, 4), undefined)
      const outcomes = await mendAll(world, kept)
      const lacking = outcomes.filter(outcome => outcome.lacking.length > 0)
      assert.ok(
        lacking.length > 0 && lacking.every(({ isUnreadable, writtenShards }) => isUnreadable && writtenShards === 0),
      )
    })
  }
}

test("all shard memory is free after mending, also after reads that were late or failed", async () => {
  const world = await ShardWorld.open(makeRows, parsePolicy("ec:2+3"), { devices: 5, blockBytes: 128 * KIB })
  const bytes = world.random.bytes(1000 * KIB)
  const kept = [{ extent: await world.writeExtent(bytes), bytes }]
  world.devices.takeOffline(deviceIdOf(1))
  const by = await world.devices.add(76)
  world.layouts.publish(replaceDevice(world.layouts.current, deviceIdOf(1), by, 2), undefined)
  let goOn: () => void = () => undefined
  const late = new Promise<void>(resolve => (goOn = resolve))
  world.meddle = what => {
    if (what === "append") throw fail("deviceFailed")
  }
  onFetched(world, deviceIdOf(2), () => late)
  rot(world, deviceIdOf(3))
  await world.clock.runUntil(mendAll(world, kept))
  world.meddle = () => undefined
  for (const outcome of await world.clock.runUntil(mendAll(world, kept))) assert.deepEqual(outcome.lacking, [])
  const { shards } = world.compute
  const isWhole = (): boolean => {
    const all = shards.take(SHARD_MEMORY_BYTES)
    shards.give(all)
    // Shards that do not fit in the memory get their own buffers.
    return all.buffer.byteLength > SHARD_MEMORY_BYTES
  }
  assert.equal(isWhole(), false, "a read is still in progress")
  goOn()
  for (let turn = 0; turn < 10_000 && !isWhole(); turn += 1) await new Promise(resolve => setImmediate(resolve))
  assert.ok(isWhole())
})

test("a copy elsewhere is removed only after the right device has a good one, not a damaged one", async () => {
  const world = await open("ec:2+2")
  const kept = await writeSome(world)
  const { current } = world.layouts
  const old = deviceIdOf(1)
  const held = world.devices.needlesOn(old)
  const by = await world.devices.add(71)
  world.layouts.publish(replaceDevice(current, old, by, 2), undefined)
  world.meddle = what => {
    if (what === "append") throw fail("deviceFailed")
  }
  await mendAll(world, kept)
  assert.equal(world.devices.needlesOn(old), held, "the only copies stay while the new ones cannot be written")
  world.meddle = () => undefined
  world.devices.takeOffline(old)
  await mendAll(world, kept)
  world.devices.bringBack(old)
  world.meddle = (what, _, device) => {
    if (what === "read" && device === by) throw fail("corruptNeedle")
  }
  await mendAll(world, kept)
  assert.equal(world.devices.needlesOn(old), held, "good copies stay beside damaged ones")
  world.meddle = () => undefined
  await mendAll(world, kept)
  assert.equal(world.devices.needlesOn(old), 0)
  await assertWhole(world, kept, "in the end")
})

test("a mend that was paused, or whose layout is not the current one any more, removes no copy", async () => {
  const world = await open("ec:2+2")
  const kept = await writeSome(world)
  const old = deviceIdOf(1)
  const held = world.devices.needlesOn(old)
  const by = await world.devices.add(71)
  world.layouts.publish(replaceDevice(world.layouts.current, old, by, 2), undefined)
  const leftAfter = async (what: "append" | "read", meanwhile: () => void | Promise<void>) => {
    world.meddle = (which, _, device) => (which === what && device === by ? meanwhile() : undefined)
    const outcomes = await mendAll(world, kept)
    return [outcomes.filter(({ leftSurplus }) => leftSurplus).length, world.devices.needlesOn(old)]
  }
  const pause = () => world.clock.advance(SURPLUS_MS_MAX)
  const relayout = () => {
    const { current } = world.layouts
    world.layouts.publish({ ...current, version: current.version + 1 }, undefined)
  }
  assert.deepEqual(await leftAfter("append", pause), [held, held], "paused while it wrote")
  assert.deepEqual(await leftAfter("read", pause), [held, held], "paused while it read")
  assert.deepEqual(await leftAfter("read", relayout), [held, held], "the layout changed")
  assert.deepEqual(await leftAfter("read", () => undefined), [0, 0])
  await assertWhole(world, kept, "in the end")
})

test("a full disk stops mending, and a failing disk still lacks its shard", async () => {
  const world = await open("ec:2+1")
  const kept = await writeSome(world)
  const { current } = world.layouts
  world.devices.takeOffline(deviceIdOf(1))
  const by = await world.devices.add(80)
  world.layouts.publish(replaceDevice(current, deviceIdOf(1), by, 2), undefined)
  world.meddle = what => {
    if (what === "append") throw fail("deviceFull")
  }
  await assert.rejects(mendAll(world, kept), error => isFailure(error, "deviceFull"))
  world.meddle = what => {
    if (what === "append") throw fail("deviceFailed")
  }
  for (const { lacking, writtenBytes } of await mendAll(world, kept)) {
    assert.deepEqual(lacking, [by])
    assert.equal(writtenBytes, 0)
  }
  world.meddle = () => undefined
  world.down.add(by)
  for (const { waitingFor } of await mendAll(world, kept)) assert.deepEqual(waitingFor, [by])
  world.down.clear()
  await mendAll(world, kept)
  await assertWhole(world, kept, "after all")
})

test("a block is not unreadable while a device with a shard of it does not respond", async () => {
  const world = await open("ec:2+1")
  const kept = await writeSome(world)
  const { current } = world.layouts
  world.devices.takeOffline(deviceIdOf(1))
  const by = await world.devices.add(91)
  world.layouts.publish(replaceDevice(current, deviceIdOf(1), by, 2), undefined)
  world.meddle = (what, _, device) => {
    if (what === "read" && device === deviceIdOf(2)) throw fail("deviceFailed")
  }
  for (const { isUnreadable, lacking } of await mendAll(world, kept))
    assert.deepEqual([isUnreadable, lacking], [false, [by]])
  world.meddle = () => undefined
  await mendAll(world, kept)
  await assertWhole(world, kept, "once it responds")
})

test("a block beyond repair is reported as unreadable, and stays as it is", async () => {
  const world = await open("ec:2+1")
  const kept = await writeSome(world)
  for (const number of [1, 2]) {
    const { current } = world.layouts
    const old = deviceIdOf(number)
    world.devices.takeOffline(old)
    const by: DeviceId = await world.devices.add(90 + number)
    world.layouts.publish(replaceDevice(current, old, by, current.version + 1), undefined)
  }
  const held = world.devices.needlesOn(deviceIdOf(3))
  for (const outcome of await mendAll(world, kept)) assert.equal(outcome.isUnreadable, true)
  assert.equal(world.devices.needlesOn(deviceIdOf(3)), held)
  const [first] = kept
  assert.ok(first)
  const partition = partitionOf(first.extent.uploadId, 0, 0)
  assert.equal((await world.blocks.shardScanOf(partition)).length, 1)
})
