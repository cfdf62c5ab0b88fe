import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseDeviceId, parseUploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, shardCount, textOfPolicy } from "@hayloft/base/policy.js"
import { blockShape } from "@hayloft/engine/block/index.js"
import { EXTENT_EXCEPTIONS_MAX, type Extent, type ExtentException } from "@hayloft/engine/format/needles/extent.js"
import { planReencode, reencodedExtent, stretchesOf } from "./reencode-core.js"

const POLICIES = ["replica:1", "replica:2", "ec:2+1", "ec:4+2"].map(text => parsePolicy(text))
const WANTED = parsePolicy("ec:4+2")
const device = parseDeviceId("00000000000000d1")

/** Exceptions over this many blocks, in order, not overlapping. */
const exceptions = (blocks: number): fc.Arbitrary<readonly ExtentException[]> =>
  fc
    .array(
      fc.record({
        gap: fc.nat(3),
        length: fc.integer({ min: 1, max: 4 }),
        policy: fc.constantFrom(...POLICIES),
        generation: fc.nat(3),
        missing: fc.boolean(),
        placed: fc.boolean(),
      }),
      { maxLength: EXTENT_EXCEPTIONS_MAX },
    )
    .map(drawn => {
      let next = 0
      const made: ExtentException[] = []
      for (const { gap, length, policy, generation, missing, placed } of drawn) {
        const firstBlock = next + gap
        const lastBlock = firstBlock + length - 1
        if (lastBlock >= blocks) break
        next = lastBlock + 1
        const missingSlots = missing ? [shardCount(policy) - 1] : []
        made.push({ firstBlock, lastBlock, policy, generation, missingSlots, placedSlots: placed ? [[0, device]] : [] })
      }
      return made
    })

const extents: fc.Arbitrary<Extent> = fc.integer({ min: 1, max: 300 }).chain(blocks =>
  fc.record({
    uploadId: fc.constant(parseUploadId("0".repeat(32))),
    part: fc.constant(0),
    lengthBytes: fc.nat(16 * KIB - 1).map(short => blocks * 16 * KIB - short),
    blockBytes: fc.constant(16 * KIB),
    policy: fc.constantFrom(...POLICIES),
    generation: fc.nat(2),
    exceptions: exceptions(blocks),
  }),
)
const blocksOf = ({ lengthBytes, blockBytes }: Extent) =>
  Array.from({ length: Math.ceil(lengthBytes / blockBytes) }, (_, block) => block)

test("stretches contain each block once, as the extent describes it", () => {
  fc.assert(
    fc.property(extents, extent => {
      const seen: number[] = []
      for (const { firstBlock, lastBlock, policy, generation, missingSlots } of stretchesOf(extent)) {
        for (let block = firstBlock; block <= lastBlock; block += 1) {
          const shape = blockShape(extent, block)
          assert.deepEqual(
            [policy, generation, missingSlots],
            [shape.policy, shape.generation, shape.exception?.missingSlots ?? []],
          )
          seen.push(block)
        }
      }
      assert.deepEqual(seen, blocksOf(extent))
    }),
  )
})

test("a re-encoded extent has the wanted policy; re-encoded blocks have the new generation, the others keep theirs", () => {
  fc.assert(
    fc.property(extents, fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(300)), (extent, above, lateBlocks) => {
      const generation = above + Math.max(...stretchesOf(extent).map(stretch => stretch.generation))
      const plan = planReencode(extent, WANTED, () => false)
      const isOther = (block: number) => textOfPolicy(blockShape(extent, block).policy) !== textOfPolicy(WANTED)
      const others = blocksOf(extent).filter(isOther)
      if (plan === undefined) {
        const isTaken = others.some(block => blockShape(extent, block).generation >= generation)
        assert.ok(others.length === 0 || isTaken)
        return
      }
      const coded = new Set(
        plan.runs.flatMap(({ firstBlock, lastBlock }) => blocksOf(extent).slice(firstBlock, lastBlock + 1)),
      )
      for (const block of others) assert.ok(coded.has(block))
      for (const block of coded) assert.ok(blockShape(extent, block).generation < generation, "no id is reused")
      const late = new Map(lateBlocks.filter(block => coded.has(block)).map(block => [block, [2]]))
      const after = reencodedExtent(extent, WANTED, generation, plan, late)
      assert.ok(after.exceptions.length <= EXTENT_EXCEPTIONS_MAX)
      for (const block of blocksOf(extent)) {
        const [before, now] = [blockShape(extent, block), blockShape(after, block)]
        assert.equal(textOfPolicy(now.policy), textOfPolicy(WANTED))
        assert.equal(now.generation, coded.has(block) ? generation : before.generation)
        if (!coded.has(block)) assert.deepEqual(now.exception?.placedSlots ?? [], before.exception?.placedSlots ?? [])
        const named = now.exception?.missingSlots ?? []
        const known = coded.has(block) ? (late.get(block) ?? []) : (before.exception?.missingSlots ?? [])
        if (named.length > 0) assert.deepEqual(named, known)
      }
      assert.equal(
        planReencode(after, WANTED, () => false),
        undefined,
        "once is enough",
      )
    }),
    { numRuns: 300 },
  )
})

test("outdated exceptions are dropped without re-encoding a block", () => {
  const usual = { policy: WANTED, generation: 0 }
  const missing = { ...usual, firstBlock: 1, lastBlock: 2, missingSlots: [3], placedSlots: [] }
  const placed = { ...usual, firstBlock: 4, lastBlock: 4, missingSlots: [], placedSlots: [[0, device]] as const }
  const extent: Extent = {
    ...usual,
    uploadId: parseUploadId("0".repeat(32)),
    part: 0,
    lengthBytes: 6 * 16 * KIB,
    blockBytes: 16 * KIB,
    exceptions: [missing, placed],
  }
  assert.equal(
    planReencode(extent, WANTED, () => false),
    undefined,
  )
  const some = planReencode(extent, WANTED, block => block !== 4)
  assert.deepEqual(some?.runs, [])
  assert.deepEqual(some && reencodedExtent(extent, WANTED, 1, some, new Map()).exceptions, [placed])
  const all = planReencode(extent, WANTED, () => true)
  assert.deepEqual(all && reencodedExtent(extent, WANTED, 1, all, new Map()), { ...extent, exceptions: [] })
  assert.equal(
    planReencode({ ...extent, lengthBytes: 0, exceptions: [] }, parsePolicy("replica:1"), () => true),
    undefined,
  )
})
