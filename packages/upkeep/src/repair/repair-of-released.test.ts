/** Blocks that only rows waiting for the collector name: they are kept for the retention, and say nothing of the store. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { deviceIdOf as deviceOf } from "@hayloft/engine/block/testing-blocks.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { REPAIR_LIMITS } from "./repair-limits.js"
import { noSignal, open, type World } from "./testing-repair.js"

/** A store whose released bytes are kept for longer than the test. */
async function openKeeping(text: string, devices: number): Promise<World> {
  const world = await open(text, devices)
  world.retention = { now: () => ({ isDue: () => false, after: () => undefined }) }
  return world.restart(2)
}

/** A part, and what releases it. */
async function putPart(world: World): Promise<() => Promise<void>> {
  const { multipart } = world.services
  const { home: bucket } = world
  const key = objectKeyOfText("large")
  const { multipartId } = await multipart.create(plainUpload(bucket, key))
  const target = { bucket, key, multipartId }
  const body = sourceOf(world.random.bytes(300 * KIB))
  await world.clock.runUntil(multipart.putPart({ ...target, partNumber: 1, body, signal: noSignal }))
  return () => multipart.abort(target)
}

async function settle(world: World): Promise<void> {
  await world.settle("collector")
  for (let round = 0; round < 3; round += 1) {
    await world.clock.advance(20 * REPAIR_LIMITS.reencodedQuietMs * 2 ** round)
    await world.settle()
  }
}

test("shards that were placed elsewhere while a device was away stay there, and hold up nothing", async () => {
  const world = await openKeeping("replica:2", 3)
  const away = deviceOf(1)
  world.takeOffline(away)
  const release = await putPart(world)
  await release()
  world.bringBack(away)
  await settle(world)
  const { repair } = world.services
  assert.deepEqual(repair.shardScan().misplacedBlocks, [])
  assert.equal(repair.report().moving.partitionsRemaining, 0)
  assert.equal(world.stateOf(away), "active")
  assert.ok(world.needles > 0, "they are kept")
})

test("shards for which a narrower layout has no device leave a removed device all the same", async () => {
  const world = await openKeeping("ec:2+2", 4)
  const release = await putPart(world)
  await release()
  await settle(world)
  const leaver = deviceOf(4)
  const had = world.needles
  assert.ok(world.devices.needlesOn(leaver) > 0)
  world.policy = parsePolicy("ec:2+1")
  world.decommission(leaver, 3)
  await settle(world)
  assert.deepEqual([world.devices.needlesOn(leaver), world.needles], [0, had], "nothing is lost with the device")
  assert.equal(world.services.repair.report().moving.partitionsRemaining, 0)
})

test("single copies of an earlier policy do not count once re-encoding has left them", async () => {
  const world = await openKeeping("replica:2", 3)
  world.policy = parsePolicy("replica:1")
  const release = await putPart(world)
  await settle(world)
  world.policy = parsePolicy("replica:2")
  const { repair } = world.services
  await settle(world)
  assert.ok(repair.shardScan().singleCopyBlocks > 0, "a part of an upload in progress counts")
  await release()
  await settle(world)
  assert.equal(repair.shardScan().singleCopyBlocks, 0)
  assert.ok(world.needles > 0, "they are kept")
})
