/** Blocks over a mixture of local and remote devices, while nodes are cut off, hang, crash and return. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { OWNER } from "../block/testing-blocks.js"
import type { Extent } from "../format/needles/extent.js"
import { planNext } from "../placement/index.js"
import { MixedBlocks } from "./testing-remote.js"

const BLOCK_BYTES = 256 * KIB
/** A device here, and one on each of five other nodes. */
const SIX = ["", "b", "c", "d", "e", "f"]

const open = (nodes: readonly string[] = SIX) => MixedBlocks.open({ policy: "ec:4+2", blockBytes: BLOCK_BYTES, nodes })

async function assertReads(world: MixedBlocks, extent: Extent, bytes: Uint8Array): Promise<void> {
  const { random } = world.shards
  assert.ok(Buffer.from(bytes).equals(await world.read(extent)), "the whole body")
  for (let i = 0; i < 6; i += 1) {
    const from = random.below(bytes.length)
    const length = 1 + random.below(Math.min(100 * KIB, bytes.length - from))
    assert.ok(
      Buffer.from(bytes.subarray(from, from + length)).equals(await world.read(extent, from, length)),
      "a range",
    )
  }
}

test("a body is written over local and remote devices, read whole and in ranges, and removed", async () => {
  const world = await open()
  const bytes = world.shards.random.bytes(5 * BLOCK_BYTES + 777)
  const { extent, hints } = await world.write(bytes)
  assert.deepEqual(hints, [])
  await assertReads(world, extent, bytes)
  assert.deepEqual(await world.scan(), await world.truth())
  for (let block = 0; block < 6; block += 1) {
    assert.equal(await world.nodes.run(Promise.resolve(world.blocks.isAssigned(extent, block))), true)
  }
  await world.nodes.run(world.blocks.remove(extent))
  assert.deepEqual((await world.truth()).groups, [])
  assert.deepEqual(world.damaged, [])
  await world.nodes.close()
})

type Cut = (world: MixedBlocks) => void
const CUTS: Readonly<Record<string, Cut>> = {
  "is cut off": ({ nodes }) => nodes.network.partition(["here"], ["b"]),
  "does not hear us": ({ nodes }) => nodes.network.cut("here", "b"),
  "is not heard": ({ nodes }) => nodes.network.cut("b", "here"),
  crashes: ({ nodes }) => nodes.network.crash("b"),
  "has a device that hangs": world => {
    const hung = world.devicesOn("b")
    world.shards.meddle = (_, __, device) => (hung.includes(device) ? new Promise<void>(() => undefined) : undefined)
  },
}

for (const [how, cut] of Object.entries(CUTS)) {
  test(`while one node ${how}, writes succeed with hints and reads rebuild`, async () => {
    const world = await open()
    const bytes = world.shards.random.bytes(3 * BLOCK_BYTES)
    const before = await world.write(bytes)
    const startedMs = world.clock.monotonicMs()
    cut(world)
    const during = await world.write(bytes)
    const lacking = new Set(during.hints.map(({ deviceId }) => deviceId))
    assert.deepEqual([...lacking].sort(), [...world.devicesOn("b")].sort(), "the shards of that node are noted")
    await assertReads(world, before.extent, bytes)
    await assertReads(world, during.extent, bytes)
    const tookMs = world.clock.monotonicMs() - startedMs
    assert.ok(tookMs < 60_000, `a cut delays, and blocks nothing: ${tookMs}`)
    assert.deepEqual(world.damaged, [], "an unreachable shard is not a damaged one")
    await world.nodes.close()
  })
}

test("a node that was cut off is written again within seconds of its return, and repair gives it what it lacks", async () => {
  const world = await open()
  world.nodes.network.partition(["here"], ["c"])
  const bytes = world.shards.random.bytes(2 * BLOCK_BYTES)
  const { extent } = await world.write(bytes)
  await world.clock.advance(20_000)
  const [device] = world.devicesOn("c").map(id => must(world.devices.get(id), "a device"))
  assert.equal(device?.isWritable, false)
  assert.ok(isFailure(world.nodes.node("c").remote.trouble, "peerUnreachable"))
  world.nodes.network.healAll()
  await world.clock.advance(8_000)
  assert.equal(device?.isWritable, true)
  assert.equal(world.nodes.node("c").remote.trouble, undefined)
  const live = { extent, owner: OWNER, recoveryHeader: () => Uint8Array.of(1) }
  for (const group of (await world.scan()).groups) {
    const mended = await world.nodes.run(world.blocks.mend(group, live))
    assert.deepEqual([mended.writtenShards, mended.lacking, mended.isUnreadable], [1, [], false])
  }
  for (const { shards } of (await world.truth()).groups) assert.equal(shards.length, 6)
  assert.deepEqual((await world.write(bytes)).hints, [])
  await world.nodes.close()
})

test("shards move between devices of all nodes when the layout changes, and no copy stays behind", async () => {
  const world = await open(["", "", "b", "b", "c", "c", "d", "d"])
  const bytes = world.shards.random.bytes(8 * BLOCK_BYTES)
  const { extent } = await world.write(bytes)
  const { layouts } = world.shards
  const { current } = layouts
  const weighted = [...world.devices.keys()].map((id, i) => ({ id, weight: 1 + 3 * (i % 2) }))
  layouts.publish(planNext(current, weighted, current.width, current.version + 1), current)
  const live = { extent, owner: OWNER, recoveryHeader: () => Uint8Array.of(1) }
  let removed = 0
  for (const group of (await world.scan()).groups) {
    removed += (await world.nodes.run(world.blocks.mend(group, live))).removed
  }
  assert.ok(removed > 0)
  for (const { shards } of (await world.truth()).groups) assert.equal(shards.length, 6)
  for (let block = 0; block < 8; block += 1) {
    assert.equal(await world.nodes.run(Promise.resolve(world.blocks.isAssigned(extent, block))), true)
  }
  await assertReads(world, extent, bytes)
  await world.nodes.close()
})

test("a full device of another node refuses blocks, and is tried again once it has space", async () => {
  const world = await open()
  const [id] = world.devicesOn("b")
  const device = must(world.devices.get(must(id, "two devices")), "in use")
  world.shards.devices.full.add(device.id)
  await world.clock.advance(2_500)
  assert.equal(device.isFull, true)
  const bytes = world.shards.random.bytes(100 * KIB)
  await assert.rejects(world.write(bytes), error => isFailure(error, "deviceFull"))
  world.shards.devices.full.delete(device.id)
  await world.clock.advance(2_500)
  assert.deepEqual((await world.write(bytes)).hints, [])
  await world.nodes.close()
})

test("a corrupt shard on another node is rebuilt, and noted as damage of its device", async () => {
  const world = await open()
  const bytes = world.shards.random.bytes(BLOCK_BYTES)
  const { extent } = await world.write(bytes)
  const shards = (await world.truth()).groups[0]?.shards ?? []
  const isRemote = (id: DeviceId): boolean => world.devices.get(id) !== world.shards.devices.live.get(id)
  const bad = must(
    shards.find(({ slot, deviceId }) => slot < 4 && isRemote(deviceId)),
    "a data shard on another node",
  ).deviceId
  for (const byte of [20_000, 40_000, 60_000]) {
    world.shards.disk.flipBit(`/d${parseInt(bad, 16)}/0000000001.volume`, 8 * byte)
  }
  assert.ok(Buffer.from(bytes).equals(await world.read(extent)))
  assert.deepEqual(new Set(world.damaged), new Set([bad]))
  const [group] = (await world.scan()).groups
  const { slot } = must(
    group?.shards.find(({ deviceId }) => deviceId === bad),
    "listed",
  )
  const id = { ...must(group, "a block"), slot }
  assert.equal(await world.nodes.run(Promise.resolve(world.blocks.markSuspect({ deviceId: bad, id }))), true)
  const found = must((await world.scan()).groups[0], "the block")
  assert.deepEqual(
    found.damaged.map(({ deviceId }) => deviceId),
    [bad],
  )
  const live = { extent, owner: OWNER, recoveryHeader: () => Uint8Array.of(1) }
  assert.equal((await world.nodes.run(world.blocks.mend(found, live))).writtenShards, 1)
  assert.deepEqual((await world.scan()).groups[0]?.damaged, [])
  await world.nodes.close()
})
