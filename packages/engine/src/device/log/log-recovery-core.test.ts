/** Checks where a commit log ends, and when a start refuses because acknowledged batches are missing or damaged. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureDetails } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import type { LogBatchHeader } from "../../format/device/log-batch.js"
import {
  checkBehindEnd,
  checkChains,
  checkKnown,
  continuesAcross,
  continuesWithin,
  liveSegments,
  newestSegment,
  twinsOf,
  type SegmentHead,
} from "./log-recovery-core.js"

const DEVICE = parseDeviceId("00000000000000d1")
const OTHER_DEVICE = parseDeviceId("00000000000000d2")
const sequence = parseLogSequence

/** Batch 7 of the log, the second of segment 3; its checksum is 7000 plus its sequence. */
function header(change: Partial<LogBatchHeader> = {}): LogBatchHeader {
  const at = change.sequence ?? sequence(7)
  return {
    deviceId: DEVICE,
    segment: 3,
    offsetBytes: 4096,
    sequence: at,
    previous: 7000n + BigInt(at) - 1n,
    durableUpTo: sequence(at - 1),
    cutUpTo: sequence(0),
    recordCount: 1,
    payloadBytes: 10,
    payloadChecksum: 1n,
    checksum: 7000n + BigInt(at),
    ...change,
  }
}
const head = (path: string, first: LogBatchHeader): SegmentHead => ({ path, first })
const segmentFrom = (segment: number, first: number, change: Partial<LogBatchHeader> = {}): SegmentHead =>
  head(`/log/${segment}`, header({ segment, offsetBytes: 0, sequence: sequence(first), ...change }))

function refusal(action: () => unknown): { kind: string; details: FailureDetails } {
  try {
    action()
  } catch (error) {
    if (isFailure(error)) return { kind: error.kind, details: error.details }
    throw error
  }
  return assert.fail("it was accepted")
}

test("a batch continues the log within a segment only if everything about it fits", () => {
  const before = header()
  const next = header({ sequence: sequence(8), offsetBytes: 8192 })
  assert.equal(continuesWithin(before, next, 8192), true)
  const misfits: Partial<LogBatchHeader>[] = [
    { deviceId: OTHER_DEVICE },
    { segment: 4 },
    { segment: 2 },
    { offsetBytes: 4096 },
    { sequence: sequence(7) },
    { sequence: sequence(9) },
    { previous: 1n },
  ]
  for (const misfit of misfits) assert.equal(continuesWithin(before, { ...next, ...misfit }, 8192), false)
  assert.equal(continuesWithin(before, next, 12288), false)
})

test("the first batch of a later segment continues the log only if everything about it fits", () => {
  const before = header()
  const next = header({ segment: 4, sequence: sequence(8), offsetBytes: 0 })
  assert.equal(continuesAcross(before, next), true)
  assert.equal(continuesAcross(before, { ...next, segment: 9 }), true, "segments may be skipped")
  const misfits: Partial<LogBatchHeader>[] = [
    { segment: 3 },
    { segment: 2 },
    { sequence: sequence(7) },
    { sequence: sequence(9) },
    { previous: 1n },
    { offsetBytes: 4096 },
  ]
  for (const misfit of misfits) assert.equal(continuesAcross(before, { ...next, ...misfit }), false)
})

test("the newest segment is the one with the highest number, wherever its file is listed", () => {
  const [first, second, third] = [segmentFrom(1, 1), segmentFrom(2, 4), segmentFrom(3, 6)]
  assert.equal(newestSegment([], DEVICE), undefined)
  assert.equal(newestSegment([first], DEVICE), first)
  assert.equal(newestSegment([second, third, first], DEVICE), third)
  assert.equal(newestSegment([third, first, second], DEVICE), third)
  const twin = { ...third, path: "/log/twin" }
  assert.equal(newestSegment([third, twin], DEVICE), third)
})

test("a log of another device is refused, with the file that shows it", () => {
  const strange = segmentFrom(2, 4, { deviceId: OTHER_DEVICE })
  const { kind, details } = refusal(() => newestSegment([segmentFrom(1, 1), strange], DEVICE))
  assert.equal(kind, "foreignFolder")
  assert.deepEqual([details["path"], details["found"], details["deviceId"]], ["/log/2", OTHER_DEVICE, DEVICE])
})

test("files that begin with the same batch are twins; other segments and the file itself are not", () => {
  const segment = segmentFrom(3, 6)
  const twin = { ...segment, path: "/log/twin" }
  assert.deepEqual(twinsOf([segmentFrom(2, 4), segment, twin], segment), [twin])
  assert.deepEqual(twinsOf([segmentFrom(2, 4), segment], segment), [])
})

test("two files that hold different batches of one segment are damage, and both are named", () => {
  const segment = segmentFrom(3, 6)
  const other = head("/log/other", { ...segment.first, checksum: 1n })
  const { kind, details } = refusal(() => twinsOf([segment, other], segment))
  assert.equal(kind, "corruptLog")
  assert.deepEqual([details["path"], details["other"]], ["/log/3", "/log/other"])
})

test("the live segments are those from the first batch above the cut, oldest first", () => {
  const heads = [segmentFrom(3, 8), segmentFrom(1, 1), segmentFrom(2, 4)]
  const liveAt = (cutUpTo: number) =>
    liveSegments(heads, header({ segment: 3, sequence: sequence(9), cutUpTo: sequence(cutUpTo) })).map(
      ({ first }) => first.segment,
    )
  assert.deepEqual(liveAt(0), [1, 2, 3])
  assert.deepEqual(liveAt(2), [1, 2, 3])
  assert.deepEqual(liveAt(3), [2, 3], "batches up to the third are no longer needed")
  assert.deepEqual(liveAt(6), [2, 3])
  assert.deepEqual(liveAt(7), [3])
  assert.deepEqual(liveAt(9), [3])
})

test("a live segment that is missing is damage, with its number and the cut", () => {
  const last = header({ segment: 3, sequence: sequence(9), cutUpTo: sequence(2) })
  const { kind, details } = refusal(() => liveSegments([segmentFrom(1, 1), segmentFrom(3, 8)], last))
  assert.equal(kind, "corruptLog")
  assert.deepEqual([details["segment"], details["cut"]], [2, 2])
})

const chainTo = (segment: number, last: number, change: Partial<LogBatchHeader> = {}) => ({
  last: header({ segment, sequence: sequence(last), ...change }),
  endBytes: 12288,
})

test("segments whose batches lead to each other are accepted, however many", () => {
  checkChains([], [])
  checkChains([segmentFrom(1, 1)], [chainTo(1, 3)])
  checkChains([segmentFrom(1, 1), segmentFrom(2, 4), segmentFrom(5, 6)], [chainTo(1, 3), chainTo(2, 5), chainTo(5, 9)])
})

test("the last batch of a segment may be repeated at the front of the next", () => {
  checkChains([segmentFrom(1, 1), segmentFrom(2, 3)], [chainTo(1, 3), chainTo(2, 5)])
  const misfits: [number, Partial<LogBatchHeader>][] = [
    [3, {}],
    [2, { previous: 1n }],
    [2, { offsetBytes: 4096 }],
    [2, { sequence: sequence(2) }],
  ]
  for (const [segment, misfit] of misfits) {
    const again = segmentFrom(segment, 3, misfit)
    const { kind } = refusal(() => checkChains([segmentFrom(1, 1), again], [chainTo(1, 3), chainTo(segment, 5)]))
    assert.equal(kind, "corruptLog")
  }
})

test("a gap between segments is damage: where it begins, the last intact batch, and what had been durable", () => {
  const next = segmentFrom(3, 8, { durableUpTo: sequence(5) })
  const live = [segmentFrom(1, 1), segmentFrom(2, 4), next]
  const { kind, details } = refusal(() => checkChains(live, [chainTo(1, 3), chainTo(2, 5), chainTo(3, 9)]))
  assert.equal(kind, "corruptLog")
  assert.deepEqual(details, { path: "/log/2", offsetBytes: 12288, lastIntact: 5, durableUpTo: 7 })
  const knowsMore = segmentFrom(2, 8, { durableUpTo: sequence(20) })
  const other = refusal(() => checkChains([segmentFrom(1, 1), knowsMore], [chainTo(1, 3), chainTo(2, 9)]))
  assert.equal(other.details["durableUpTo"], 20)
})

test("a batch behind the end rejects that end only if it is of this log and proves that more was durable", () => {
  const end = { segment: 3, sequence: sequence(7) }
  const place = { path: "/log/3", offsetBytes: 8192 }
  const witness = header({ sequence: sequence(9), offsetBytes: 8192, durableUpTo: sequence(8) })
  const check = (change: Partial<LogBatchHeader>) => checkBehindEnd(end, DEVICE, { ...witness, ...change }, place)
  assert.deepEqual(
    refusal(() => check({})),
    { kind: "corruptLog", details: { path: "/log/3", offsetBytes: 8192, lastIntact: 7, durableUpTo: 8 } },
  )
  assert.equal(refusal(() => check({ segment: 4 })).kind, "corruptLog")
  check({ durableUpTo: sequence(7) })
  check({ deviceId: OTHER_DEVICE })
  check({ offsetBytes: 4096 })
  check({ segment: 2 })
})

test("the log may not end before the batches that a checkpoint or a clean stop shows to be durable", () => {
  const end = { segment: 3, sequence: sequence(7) }
  checkKnown(end, sequence(6))
  checkKnown(end, sequence(7))
  const { kind, details } = refusal(() => checkKnown(end, sequence(8)))
  assert.equal(kind, "corruptLog")
  assert.deepEqual([details["endsWith"], details["durableUpTo"]], [7, 8])
})
