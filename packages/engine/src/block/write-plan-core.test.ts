import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import { decideAck, planWrite } from "./write-plan-core.js"

const policies = fc.oneof(
  fc.integer({ min: 1, max: 5 }).map((copies): Policy => ({ kind: "replica", copies })),
  fc.record({ k: fc.integer({ min: 2, max: 8 }), m: fc.integer({ min: 1, max: 4 }) }).map(({ k, m }): Policy => {
    return { kind: "ec", k, m, matrix: "cauchy" }
  }),
)
const scenes = policies.chain(policy =>
  fc.record({
    policy: fc.constant(policy),
    writable: fc.array(fc.boolean(), { minLength: shardCount(policy), maxLength: shardCount(policy) }),
  }),
)
const slotsOf = (writable: readonly boolean[]) =>
  writable.map((isWritable, i) => ({ id: parseDeviceId(i.toString(16).padStart(16, "0")), isWritable }))

test("a plan writes to distinct writable devices, and lists missing slots and slots placed elsewhere", () => {
  fc.assert(
    fc.property(scenes, ({ policy, writable }) => {
      const liveCount = writable.filter(is => is).length
      fc.pre(liveCount > 0)
      const slots = slotsOf(writable)
      const plan = planWrite(policy, slots)
      const written = plan.targets.flatMap(target => target ?? [])
      assert.equal(new Set(written).size, written.length)
      for (const target of written) assert.ok(slots.some(({ id, isWritable }) => id === target && isWritable))
      const needed = shardsNeeded(policy)
      if (liveCount === writable.length || liveCount >= needed + 1) {
        assert.equal(plan.policy, policy)
        assert.deepEqual(
          plan.missingSlots,
          slots.flatMap(({ isWritable }, slot) => (isWritable ? [] : [slot])),
        )
        assert.deepEqual(plan.placedSlots, [])
      } else {
        assert.equal(written.length, shardCount(plan.policy))
        assert.deepEqual(plan.missingSlots, [])
        for (const [slot, target] of plan.targets.entries()) {
          const placed = plan.placedSlots.find(([of]) => of === slot)?.[1]
          assert.equal(placed ?? slots[slot]?.id, target)
        }
      }
    }),
  )
})

test("an acknowledged block survives the loss of one more device while two are online", () => {
  fc.assert(
    fc.property(scenes, ({ policy, writable }) => {
      const liveCount = writable.filter(is => is).length
      fc.pre(liveCount > 1 && shardCount(policy) > 1)
      const plan = planWrite(policy, slotsOf(writable))
      assert.ok(plan.durableMin - 1 >= shardsNeeded(plan.policy), JSON.stringify(plan))
      assert.ok(plan.durableMin <= plan.targets.filter(target => target !== undefined).length)
    }),
  )
})

test("a block is acknowledged when all writes have ended, or enough are durable and the straggler time is over", () => {
  const plan = { durableMin: 5 }
  const verdictOf = (durable: number, failed: number, pending: number, stragglerOver = false) =>
    decideAck(plan, { durable, failed, pending, stragglerOver })
  assert.equal(verdictOf(6, 0, 0), "ack")
  assert.equal(verdictOf(5, 1, 0), "ack")
  assert.equal(verdictOf(5, 0, 1), "wait")
  assert.equal(verdictOf(5, 0, 1, true), "ack")
  assert.equal(verdictOf(4, 0, 2, true), "wait")
  assert.equal(verdictOf(4, 1, 1), "wait")
  assert.equal(verdictOf(3, 2, 1), "fail")
  assert.equal(verdictOf(0, 2, 4), "fail")
})
