/** A range of a multipart object reads only its parts, in objects of one part and of a thousand. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseBucketId, parseUploadId } from "@hayloft/base/ids.js"
import { MANIFEST_SEGMENT_PARTS } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { encodeSegment, type PartRecord } from "@hayloft/engine/format/records.js"
import { objectRowKey, segmentRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import type { ExtentRange } from "@hayloft/engine/block/index.js"
import { endOfSegment, extentsOfSegment, partByNumber, segmentAt, type ManifestAddress } from "./manifest-core.js"

const bucketId = parseBucketId(1)
const key = objectKeyOfText("parts")
const multipartId = multipartIdOf(1, new Uint8Array(8))

/** An object with parts of different lengths; part numbers have gaps. */
function object(parts: number) {
  const lengths = Array.from({ length: parts }, (_, i) => 1 + ((i * 7919) % 1000))
  const records = lengths.map((lengthBytes, i): PartRecord => {
    const uploadId = parseUploadId(i.toString(16).padStart(32, "0"))
    const policy = parsePolicy("ec:2+1")
    const extent = {
      uploadId,
      part: 3 * i + 1,
      lengthBytes,
      blockBytes: 131_072,
      policy,
      generation: 0,
      exceptions: [],
    }
    return { partNumber: 3 * i + 1, md5: new Uint8Array(16), modifiedMs: 0, checksumValue: undefined, extent }
  })
  const rows = new Map<string, MetadataRow>()
  let offsetBytes = 0
  for (let at = 0; at < parts; at += MANIFEST_SEGMENT_PARTS) {
    const segment = { offsetBytes, parts: records.slice(at, at + MANIFEST_SEGMENT_PARTS) }
    const rowKey = segmentRowKey(objectRowKey(bucketId, key), multipartId, at / MANIFEST_SEGMENT_PARTS)
    rows.set(rowKey, { value: encodeSegment(segment), payload: undefined })
    offsetBytes = segment.parts.reduce((sum, part) => sum + part.extent.lengthBytes, offsetBytes)
  }
  let reads = 0
  const view: RowView = {
    get: (_, rowKey) => {
      reads += 1
      return rows.get(rowKey)
    },
    range: () => [],
  }
  const address = { bucketId, key, multipartId, parts, lastOffset: undefined }
  return { lengths, view, address, sizeBytes: offsetBytes, readsSoFar: () => reads }
}

/** Reads from segment to segment, like a reader. */
function extentsOfRange(view: RowView, address: ManifestAddress, first: number, lengthBytes: number) {
  const found: ExtentRange[] = []
  for (let at = first; at < first + lengthBytes;) {
    const segment = segmentAt(view, address, at)
    found.push(...extentsOfSegment(segment, at, first + lengthBytes - at))
    at = endOfSegment(segment)
  }
  return found
}

for (const parts of [1, 2, 256, 257, 1000]) {
  test(`${parts} parts: ranges are mapped to the parts that contain them`, () => {
    const { lengths, view, address, sizeBytes } = object(parts)
    fc.assert(
      fc.property(fc.nat(sizeBytes - 1), fc.nat(sizeBytes), (first, length) => {
        const lengthBytes = Math.min(length, sizeBytes - first)
        const found = extentsOfRange(view, address, first, lengthBytes)
        let at = 0
        const expected: (readonly [number, number, number])[] = []
        for (const [i, of] of lengths.entries()) {
          const [from, to] = [Math.max(first, at), Math.min(first + lengthBytes, at + of)]
          if (from < to) expected.push([i, from - at, to - from])
          at += of
        }
        assert.deepEqual(
          found.map(({ extent, offsetBytes, lengthBytes: of }) => [parseInt(extent.uploadId, 16), offsetBytes, of]),
          expected,
        )
      }),
      { numRuns: 60 },
    )
  })

  test(`${parts} parts: a part is found by its number, a part beyond the end is refused`, () => {
    const { lengths, view, address } = object(parts)
    let at = 0
    for (const [i, length] of lengths.entries()) {
      if (i % 50 === 0 || i === parts - 1) {
        const { part, offsetBytes } = must(partByNumber(view, address, i + 1), "the part exists")
        assert.deepEqual(["extent" in part && parseInt(part.extent.uploadId, 16), offsetBytes], [i, at])
      }
      at += length
    }
    for (const partNumber of [0, parts + 1]) {
      assert.equal(partByNumber(view, address, partNumber), undefined)
    }
  })
}

test("a short range in a large object reads few segments", () => {
  const { view, address, sizeBytes, readsSoFar } = object(5_000)
  const before = readsSoFar()
  assert.equal(extentsOfRange(view, address, sizeBytes - 10, 10).length > 0, true)
  assert.ok(readsSoFar() - before <= 8, `${readsSoFar() - before} of 20 segments`)
})
