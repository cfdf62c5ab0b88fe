/** A large body on slow or failing devices is still written: hints cover what its extent cannot list. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseUploadId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { EXTENT_EXCEPTIONS_MAX } from "../format/needles/extent.js"
import { describeBody } from "./describe-core.js"
import { planWrite } from "./write-plan-core.js"

const policy = parsePolicy("ec:2+1")
const slots = ["a", "b", "c"].map(letter => parseDeviceId(letter.repeat(16)))
const request = { uploadId: parseUploadId("0".repeat(32)), part: 0, blockBytes: MIB, policy }
const BLOCKS = 5_000

function written(block: number, missingSlots: readonly number[], placed = false) {
  const placedSlots = placed ? [[block % 3, slots[0] ?? parseDeviceId("d".repeat(16))] as const] : []
  const plan = { policy, targets: slots, placedSlots, missingSlots: [], lacking: [], durableMin: 3 }
  return { block, slots, missingSlots, plan }
}

test("blocks that all had a late shard are described, and every late shard has a hint", () => {
  const blocks = Array.from({ length: BLOCKS }, (_, block) => written(block, [block % 3]))
  const { extent, hints } = describeBody(request, BLOCKS * MIB, blocks)
  assert.equal(extent.exceptions.length, EXTENT_EXCEPTIONS_MAX)
  assert.ok(hints.length > BLOCKS * 0.9, `${hints.length} hints; only blocks of one partition share one`)
})

test("a run of blocks that lack the same shard is one exception", () => {
  const blocks = Array.from({ length: 200 }, (_, block) => written(block, block < 150 ? [1] : []))
  const { exceptions } = describeBody(request, 200 * MIB, blocks).extent
  assert.deepEqual(
    exceptions.map(({ firstBlock, lastBlock, missingSlots }) => [firstBlock, lastBlock, missingSlots]),
    [[0, 149, [1]]],
  )
})

test("blocks on other devices are always listed, before late shards, in order; too many are refused", () => {
  const late = Array.from({ length: 400 }, (_, block) => written(block, [block % 3], block % 10 === 5))
  const { exceptions } = describeBody(request, 400 * MIB, late).extent
  assert.equal(exceptions.length, EXTENT_EXCEPTIONS_MAX)
  assert.equal(exceptions.filter(({ placedSlots }) => placedSlots.length > 0).length, 40)
  assert.ok(exceptions.every(({ firstBlock }, i) => i === 0 || firstBlock > (exceptions[i - 1]?.lastBlock ?? 0)))
  const elsewhere = Array.from({ length: 100 }, (_, block) => written(block, [], true))
  assert.throws(
    () => describeBody(request, 100 * MIB, elsewhere),
    error => isFailure(error, "deviceFailed"),
  )
})

test("a body of any length with too few writable devices is one exception", () => {
  const blocks = Array.from({ length: BLOCKS }, (_, block) => {
    const order = [0, 1, 2].map(slot => slots[(slot + block) % 3] ?? parseDeviceId("d".repeat(16)))
    const plan = planWrite(
      policy,
      order.map(id => ({ id, isWritable: id !== slots[2] })),
    )
    return { block, plan, missingSlots: [], slots: order }
  })
  const { extent, hints } = describeBody(request, BLOCKS * MIB, blocks)
  const { exceptions } = extent
  assert.ok(
    hints.every(({ deviceId }) => deviceId === slots[2]) && hints.length > BLOCKS * 0.9,
    "the device that is down has hints for all",
  )
  assert.equal(exceptions.length, 1)
  const [only] = exceptions
  assert.deepEqual(only?.placedSlots, [
    [0, slots[0]],
    [1, slots[1]],
  ])
  assert.deepEqual([only?.firstBlock, only?.lastBlock, only?.policy.kind], [0, BLOCKS - 1, "replica"])
})
