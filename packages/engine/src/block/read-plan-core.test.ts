import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseUploadId } from "@hayloft/base/ids.js"
import { KIB, MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { blockShape, PIECE_BYTES_MAX, ReadPlan, type ExtentRange, type PlannedPiece } from "./read-plan-core.js"

const extents = fc.record({
  uploadId: fc.constant(parseUploadId("0".repeat(32))),
  part: fc.constant(0),
  lengthBytes: fc.integer({ min: 1, max: 30 * MIB }),
  blockBytes: fc.constantFrom(128 * KIB, 1 * MIB, 4 * MIB),
  policy: fc
    .constantFrom("ec:2+1", "ec:4+2", "ec:4+3", "ec:8+3", "replica:1", "replica:3")
    .map(text => parsePolicy(text)),
  generation: fc.constant(0),
  exceptions: fc.constant([]),
})

/** All pieces, the first of one sub-block, as readers request them. */
function planRead(ranges: readonly ExtentRange[]): PlannedPiece[] {
  const plan = new ReadPlan(ranges)
  const pieces: PlannedPiece[] = []
  for (;;) {
    const next = plan.next(pieces.length === 0 ? SUB_BLOCK_BYTES : PIECE_BYTES_MAX)
    if (next === undefined) return pieces
    pieces.push(next)
  }
}

test("pieces cover a range once, in order, each inside one shard and of bounded length", () => {
  const ranges = extents.chain(extent =>
    fc.tuple(fc.constant(extent), fc.nat(extent.lengthBytes - 1), fc.nat(extent.lengthBytes)),
  )
  fc.assert(
    fc.property(ranges, ([extent, offsetBytes, length]) => {
      const lengthBytes = Math.min(length, extent.lengthBytes - offsetBytes)
      let at = offsetBytes
      for (const [i, { piece }] of planRead([{ extent, offsetBytes, lengthBytes }]).entries()) {
        const { shardBytes, policy, lengthBytes: blockLength } = blockShape(extent, piece.block)
        const inBlock = policy.kind === "replica" ? piece.offsetBytes : piece.slot * shardBytes + piece.offsetBytes
        assert.equal(piece.block * extent.blockBytes + inBlock, at)
        assert.ok(piece.lengthBytes > 0 && piece.lengthBytes <= (i === 0 ? SUB_BLOCK_BYTES : PIECE_BYTES_MAX))
        assert.ok(piece.offsetBytes + piece.lengthBytes <= shardBytes)
        assert.ok(inBlock + piece.lengthBytes <= blockLength)
        at += piece.lengthBytes
      }
      assert.equal(at, offsetBytes + lengthBytes)
    }),
    { numRuns: 300 },
  )
})

test("of several ranges only the first begins with a short piece", () => {
  const policy = parsePolicy("ec:4+3")
  const uploadId = parseUploadId("0".repeat(32))
  const extentOf = (part: number) => {
    return { uploadId, part, lengthBytes: 9 * MIB, blockBytes: 4 * MIB, policy, generation: 0, exceptions: [] }
  }
  const ranges = [1, 2].map(part => ({ extent: extentOf(part), offsetBytes: 0, lengthBytes: 2 * MIB }))
  const pieces = planRead(ranges).map(({ extent, piece }) => [extent.part, piece.lengthBytes])
  assert.deepEqual(pieces, [
    [1, SUB_BLOCK_BYTES],
    [1, MIB - SUB_BLOCK_BYTES],
    [1, MIB],
    [2, MIB],
    [2, MIB],
  ])
})

test("returned pieces are read again, in pieces of other lengths", () => {
  const lengths = fc.array(fc.constantFrom(SUB_BLOCK_BYTES, 4 * SUB_BLOCK_BYTES, PIECE_BYTES_MAX), { minLength: 1 })
  const lucks = fc.array(fc.nat(9), { minLength: 20, maxLength: 60 })
  fc.assert(
    fc.property(fc.array(extents, { minLength: 1, maxLength: 3 }), lengths, lucks, (all, long, luck) => {
      const plan = new ReadPlan(all.map(extent => ({ extent, offsetBytes: 0, lengthBytes: extent.lengthBytes })))
      const read: PlannedPiece[] = []
      let ahead: PlannedPiece[] = []
      for (let i = 0; ; i += 1) {
        const next = plan.next(long[i % long.length] ?? 0)
        if (next !== undefined) ahead.push(next)
        const number = luck[i] ?? 9
        if (number < 3 && next !== undefined) {
          plan.back(ahead)
          ahead = []
        } else if (number > 6 || next === undefined) read.push(...ahead.splice(0, 1))
        if (next === undefined && ahead.length === 0) break
      }
      const bytes = (pieces: readonly PlannedPiece[]) => pieces.reduce((sum, { piece }) => sum + piece.lengthBytes, 0)
      assert.deepEqual(
        all.map(extent => bytes(read.filter(piece => piece.extent === extent))),
        all.map(({ lengthBytes }) => lengthBytes),
      )
      const ends = new Map<unknown, number>()
      for (const { extent, piece } of read) {
        const { policy, shardBytes } = blockShape(extent, piece.block)
        const inBlock = policy.kind === "replica" ? piece.offsetBytes : piece.slot * shardBytes + piece.offsetBytes
        assert.equal(piece.block * extent.blockBytes + inBlock, ends.get(extent) ?? 0, "in order, without a gap")
        ends.set(extent, (ends.get(extent) ?? 0) + piece.lengthBytes)
      }
    }),
    { numRuns: 200, seed: 1 },
  )
})
