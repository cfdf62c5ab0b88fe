/** What no row names goes, whatever holds up some of it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "../base/assert.js"
import { fail, isFailure } from "../base/failures.js"
import { parseLogSequence } from "../base/ids.js"
import { KIB } from "../base/limits.js"
import { parsePolicy } from "../base/policy.js"
import { changed, deviceIdOf, TestDevices } from "../block/testing.js"
import { Rows } from "../device/index.js"
import { makeCodec } from "../erasure/index.js"
import { MemoryStores } from "../seams/store/memory.js"
import { StoreWorld } from "./testing.js"

const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const noSignal = new AbortController().signal

test("refused uploads on a disk without room for their removal wait, and no others do", async () => {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("replica:1"), 3)
  world.tablet.before = name => {
    if (name === "PutVersion") throw fail("stopping")
  }
  for (let i = 0; i < 12; i += 1) {
    await assert.rejects(world.put(`key${i}`, world.random.bytes(10 * KIB)), error => isFailure(error, "stopping"))
  }
  const full = deviceIdOf(2)
  const device = must(world.devices.live.get(full), "three devices")
  const refusing = changed(device.volumes, { remove: () => Promise.reject(fail("deviceFull")) })
  world.devices.live.set(full, { ...device, volumes: refusing })
  const had = world.devices.needlesOn(full)
  assert.ok(had > 0 && had < world.needles)
  for (let steps = 0; steps < 40; steps += 1) await world.chore("orphans").step(noSignal)
  assert.deepEqual([world.needles, world.devices.needlesOn(full)], [had, had], "only what is there is left")
  world.devices.live.set(full, device)
  await world.settle("orphans")
  assert.deepEqual([world.needles, world.tablet.rows("voids")], [0, 0])
})
