/** The list of parts of a sealed version is read as a whole by its first reader, and not by every one. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parseMultipartId, parseUploadId } from "@hayloft/base/ids.js"
import { MANIFEST_SEGMENT_PARTS, MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { SegmentRecord } from "@hayloft/engine/format/records.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { CheckedManifests } from "./sealed-parts.js"

const PARTS = 10_000
const EXTENT: Omit<Extent, "part"> = {
  uploadId: parseUploadId("0".repeat(32)),
  policy: parsePolicy("ec:2+1"),
  generation: 1,
  exceptions: [],
  lengthBytes: 5 * MIB,
  blockBytes: 4 * MIB,
  isSealed: true as const,
}
const PART_BYTES = plainBytesOf(EXTENT)

function segmentOf(number: number): SegmentRecord {
  const first = number * MANIFEST_SEGMENT_PARTS
  const length = Math.min(MANIFEST_SEGMENT_PARTS, PARTS - first)
  const parts = Array.from({ length }, (_, i) => {
    const partNumber = first + i + 1
    const extent = { ...EXTENT, part: partNumber }
    return { partNumber, md5: new Uint8Array(16), modifiedMs: 0, checksumValue: undefined, extent }
  })
  return { offsetBytes: first * PART_BYTES, parts }
}

const record = () => ({
  head: { parts: PARTS, sizeBytes: PARTS * PART_BYTES },
  sealing: { key: { mode: "s3" }, secret: 1, salt: new Uint8Array(16), bind: new Uint8Array(16).fill(7) } as const,
})
const sourceOf = (uploaded: (number: number) => SegmentRecord) => ({
  uploaded,
  atOffset: () => assert.fail("the parts are an upload"),
})
const manifest = (upload: string) => ({
  bucketId: parseBucketId(1),
  key: objectKeyOfText("key"),
  parts: PARTS,
  lastOffset: undefined,
  multipartId: parseMultipartId(upload),
})

test("10,000 parts are read by the first reader only, and others get a turn meanwhile", async () => {
  const clock = new SimClock()
  const manifests = new CheckedManifests(clock)
  let reads = 0
  const read = (number: number): SegmentRecord => {
    reads += 1
    return segmentOf(number)
  }
  const first = Promise.resolve(manifests.check(record(), manifest("one"), sourceOf(read)))
  let readInATurn = 0
  clock.atEndOfTurn(() => (readInATurn = reads))
  await clock.runUntil(first)
  assert.ok(readInATurn < 8, `${readInATurn} segments are read in one turn`)
  assert.equal(reads, 40)
  assert.equal(
    manifests.check(record(), manifest("one"), sourceOf(read)),
    undefined,
    "a row that is fetched again is known",
  )
  assert.equal(reads, 40)
  await clock.runUntil(Promise.resolve(manifests.check(record(), manifest("two"), sourceOf(read))))
  assert.equal(reads, 80, "another list of parts is not")
})

test("a list that is wrong is refused again and again", async () => {
  const clock = new SimClock()
  const manifests = new CheckedManifests(clock)
  const wrong = (number: number): SegmentRecord => {
    const segment = segmentOf(number)
    return number === 39 ? { ...segment, parts: segment.parts.toReversed() } : segment
  }
  for (let attempt = 0; attempt < 2; attempt += 1)
    await assert.rejects(
      clock.runUntil(Promise.resolve(manifests.check(record(), manifest("one"), sourceOf(wrong)))),
      error => isFailure(error, "corruptSeal"),
    )
})
