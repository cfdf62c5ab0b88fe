/** Stores over devices in memory for tests of repair, and what must be true of them in the end. */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, tolerance } from "@hayloft/base/policy.js"
import { ALL_NEEDLES } from "@hayloft/engine/block/index.js"
import { standingOf } from "@hayloft/engine/block/testing-standing.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { StoreWorld } from "../testing-services.js"
import { REPAIR_LIMITS } from "./repair-limits.js"

const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
export const open = (text: string, devices?: number, blockBytes?: number, behind?: (disk: Disk) => Disk) =>
  StoreWorld.open(new TestDevices(makeRows, behind), makeCodec, parsePolicy(text), devices, blockBytes)
export type World = StoreWorld<TestDevices>

export const noSignal = new AbortController().signal
export type Bodies = Map<string, Uint8Array>

export async function putSome(world: World, bodies: Bodies, count: number, stem = "key"): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const bytes = world.random.bytes(5_000 + world.random.below(60 * KIB))
    await world.put(`${stem}${i}`, bytes)
    bodies.set(`${stem}${i}`, bytes)
  }
}

export async function assertAll(world: World, bodies: Bodies, when: string): Promise<void> {
  for (const [key, bytes] of bodies) assert.ok((await world.get(key)).equals(bytes), `${key} ${when}`)
}

/** Every referenced block is whole and on its assigned devices, and no other block exists. */
export async function assertWhole(world: World, bodies: Bodies, when: string): Promise<void> {
  await world.clock.advance(REPAIR_LIMITS.checkEveryMs)
  await world.settle()
  await world.removeAborted()
  const { groups } = await world.blocks.shardScan(ALL_NEEDLES.start)
  for (const group of groups) {
    const { lacking, strays, spareShards } = standingOf(
      group,
      must(group.shape, "indexed").policy,
      world.layouts.current,
    )
    assert.deepEqual([lacking, strays, spareShards], [[], 0, tolerance(world.policy)], when)
  }
  const blocks = [...bodies.values()].reduce((sum, bytes) => sum + Math.ceil(bytes.length / (16 * KIB)), 0)
  assert.equal(groups.length, blocks, `${when}: only referenced blocks exist`)
  const shardScan = world.services.repair.shardScan()
  assert.ok(shardScan.isComplete)
  for (const [device, flags] of shardScan.lacking) assert.ok(!flags.includes(1), `${when}: ${device}`)
  assert.deepEqual(shardScan.misplacedBlocks, [], when)
  const bytes = [...bodies.values()].reduce((sum, body) => sum + body.length, 0)
  assert.equal(
    shardScan.policies.reduce((sum, use) => sum + use.bytes, 0),
    bytes,
    when,
  )
}
