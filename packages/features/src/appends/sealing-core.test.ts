/** Whatever the lengths of appends are, the open end stays short, and bytes are copied a few times only. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseUploadId } from "@hayloft/base/ids.js"
import { COMMAND_ROWS_MAX } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { PartRecord, SegmentRecord } from "@hayloft/engine/format/records.js"
import { bytesOfParts, HINTS_PER_COMMAND } from "@hayloft/objects/door/rows.js"
import { planSealing } from "./sealing-core.js"

const BLOCK_BYTES = 4 * 1024 * 1024
const OPEN_PARTS = 32

const partOf = (lengthBytes: number): PartRecord => ({
  partNumber: 1,
  md5: new Uint8Array(16),
  modifiedMs: 0,
  checksumValue: undefined,
  extent: {
    uploadId: parseUploadId("0".repeat(32)),
    part: 0xffff,
    lengthBytes,
    blockBytes: BLOCK_BYTES,
    policy: parsePolicy("replica:2"),
    generation: 0,
    exceptions: [],
  },
})

/** Appends bytes of these lengths, and does what is planned. */
function played(appends: number, lengthOf: (i: number) => number) {
  const segments: SegmentRecord[] = []
  let [total, copied, longest, mostRows] = [0, 0, 0, 0]
  for (let i = 0; i < appends; i += 1) {
    const part = partOf(lengthOf(i))
    const last = segments.at(-1)
    if (last?.isOpen && last.parts.length < OPEN_PARTS)
      segments[segments.length - 1] = { ...last, parts: [...last.parts, part] }
    else segments.push({ offsetBytes: total, parts: [part], isOpen: true })
    total += lengthOf(i)
    if (i % OPEN_PARTS !== 0) continue
    for (let plan = planSealing(segments, BLOCK_BYTES); plan; plan = planSealing(segments, BLOCK_BYTES)) {
      const [first] = plan
      assert.ok(first)
      const rows = plan.reduce((sum, { parts }) => sum + 1 + parts.length, 0)
      mostRows = Math.max(mostRows, rows)
      const bytes = plan.reduce((sum, { parts }) => sum + bytesOfParts(parts), 0)
      const merged = { offsetBytes: first.offsetBytes, parts: [partOf(bytes)] }
      segments.splice(segments.indexOf(first), plan.length, bytes < BLOCK_BYTES ? { ...merged, isOpen: true } : merged)
      copied += bytes
    }
    longest = Math.max(longest, segments.filter(({ isOpen }) => isOpen).length)
  }
  let at = 0
  for (const { offsetBytes, parts } of segments) {
    assert.equal(offsetBytes, at)
    at += bytesOfParts(parts)
  }
  assert.equal(at, total)
  return { longest, mostRows, copiesPerByte: copied / total }
}

for (const [name, appends, lengthOf] of [
  ["one byte", 40_000, () => 1],
  ["about a kilobyte for each segment", 30_000, i => (Math.floor(i / OPEN_PARTS) % 2 === 0 ? 28 : 35)],
  ["a hundred kilobytes", 2_000, () => 100_000],
  ["a few long ones among short ones", 10_000, i => (i % 400 === 0 ? 200_000 : 10)],
  ["growing", 4_000, i => 1 + i],
] as const satisfies readonly (readonly [string, number, (i: number) => number])[]) {
  test(`appends of ${name}`, () => {
    const { longest, mostRows, copiesPerByte } = played(appends, lengthOf)
    assert.ok(mostRows + HINTS_PER_COMMAND < COMMAND_ROWS_MAX, `a command replaces ${mostRows} rows`)
    assert.ok(longest <= 300, `${longest} open segments`)
    assert.ok(copiesPerByte <= 6, `${copiesPerByte} copies of each byte`)
  })
}
