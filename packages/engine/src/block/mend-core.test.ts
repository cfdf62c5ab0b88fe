import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseDeviceId, parsePartitionId, parseUploadId, type DeviceId } from "@hayloft/base/ids.js"
import { parsePolicy, shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { planMend, targetsOf } from "./mend-core.js"
import type { BlockGroup } from "./shard-scan-core.js"
import { standingOf } from "./testing-standing.js"

const device = (number: number): DeviceId => parseDeviceId(number.toString(16).padStart(16, "0"))
const DEVICES = Array.from({ length: 9 }, (_, i) => device(i + 1))
const groupOf = (shards: readonly (readonly [slot: number, device: DeviceId])[]): BlockGroup => ({
  partition: parsePartitionId(0),
  uploadId: parseUploadId("0".repeat(32)),
  part: 0,
  block: 0,
  generation: 0,
  shape: undefined,
  shards: shards.map(([slot, deviceId]) => ({ slot, deviceId, bodyBytes: 64 })),
  damaged: [],
})

const scenes = fc
  .constantFrom("replica:1", "replica:2", "replica:3", "ec:2+1", "ec:2+2", "ec:4+2", "ec:4+3")
  .map(text => parsePolicy(text))
  .chain(policy =>
    fc.record({
      policy: fc.constant(policy),
      slots: fc.shuffledSubarray(DEVICES, { minLength: shardCount(policy), maxLength: 7 }),
      shards: fc.uniqueArray(fc.tuple(fc.nat(shardCount(policy) - 1), fc.constantFrom(...DEVICES)), {
        selector: ([slot, id]) => `${slot} ${id}`,
        maxLength: 12,
      }),
      placed: fc.uniqueArray(fc.tuple(fc.nat(shardCount(policy) - 1), fc.constantFrom(...DEVICES)), {
        selector: ([slot]) => slot,
        maxLength: 4,
      }),
      down: fc.subarray(DEVICES, { maxLength: 4 }),
    }),
  )

/** The shards of a block after a plan was carried out. */
function after(group: BlockGroup, plan: ReturnType<typeof planMend>): BlockGroup {
  const written = plan.writes.map(({ slot, to }) => ({ slot, deviceId: to, bodyBytes: 64 }))
  const kept = group.shards.filter(
    shard => !plan.surplus.some(({ slot, deviceId }) => slot === shard.slot && deviceId === shard.deviceId),
  )
  return { ...group, shards: [...kept, ...written].sort((a, b) => a.slot - b.slot) }
}

test("every shard gets its own device of the partition, and the reference's choice counts if possible", () => {
  fc.assert(
    fc.property(scenes, ({ policy, slots, shards, placed }) => {
      const exception = { firstBlock: 0, lastBlock: 0, policy, generation: 0, missingSlots: [], placedSlots: placed }
      const targets = targetsOf(groupOf(shards), { policy, exception }, slots)
      assert.equal(targets.length, shardCount(policy))
      assert.equal(new Set(targets).size, targets.length, "no device twice")
      for (const target of targets) assert.ok(target !== undefined && slots.includes(target))
      const isClear = new Set(placed.map(([, id]) => id)).size === placed.length
      if (isClear) for (const [slot, id] of placed) if (slots.includes(id)) assert.equal(targets[slot], id)
      if (placed.length === 0) assert.deepEqual(targets, slots.slice(0, targets.length))
    }),
  )
})

test("a completed plan leaves nothing to do, and never removes the last copy of a shard", () => {
  fc.assert(
    fc.property(scenes, ({ policy, slots, shards, down }) => {
      const isWritable = (id: DeviceId) => !down.includes(id)
      const group = groupOf(shards)
      const shape = { policy, exception: undefined }
      const plan = planMend(group, shape, slots, isWritable)
      for (const { to } of plan.writes) assert.ok(isWritable(to))
      const done = after(group, plan)
      const again = planMend(done, shape, slots, isWritable)
      assert.deepEqual(again, { writes: [], surplus: [], waitingFor: plan.waitingFor })
      const before = new Set(shards.map(([slot]) => slot))
      for (const slot of before) assert.ok(done.shards.some(shard => shard.slot === slot))
      for (const { slot, deviceId, onceOn } of plan.surplus) {
        assert.notEqual(deviceId, onceOn)
        assert.equal(onceOn, slots[slot])
      }
      if (down.length > 0) return
      const layout = { version: 1, width: slots.length, devices: slots, table: Uint8Array.from(slots.keys()) }
      const standing = standingOf(done, policy, layout)
      assert.deepEqual(standing.lacking, [])
      assert.equal(standing.strays, 0)
      assert.equal(standing.spareShards, shardCount(policy) - shardsNeeded(policy))
    }),
  )
})

test("a copy elsewhere is the source of the shard, and stays while the right device cannot be written", () => {
  const policy = parsePolicy("ec:2+1")
  const slots = DEVICES.slice(0, 3)
  const group = groupOf([
    [0, device(1)],
    [1, device(7)],
    [1, device(8)],
  ])
  const plan = planMend(group, { policy, exception: undefined }, slots, () => true)
  assert.deepEqual(plan.writes, [
    { slot: 1, to: device(2), from: [device(7), device(8)] },
    { slot: 2, to: device(3), from: [] },
  ])
  assert.deepEqual(
    plan.surplus.map(({ deviceId }) => deviceId),
    [device(7), device(8)],
  )
  const later = planMend(group, { policy, exception: undefined }, slots, id => id === device(1))
  assert.deepEqual(later, { writes: [], surplus: [], waitingFor: [device(2), device(3)] })
})
