/** Tests of what is put back of uploads that a rolled-back database does not know, and what is only listed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName, parseUploadId, type UploadId } from "@hayloft/base/ids.js"
import { OFFSET_PART } from "@hayloft/base/limits.js"
import { decideKey, isLater, type KeyAfterRollback, type NewerUpload } from "./newer-core.js"

const idOf = (incarnation: number, counter: number): UploadId =>
  parseUploadId(incarnation.toString(16).padStart(8, "0") + counter.toString(16).padStart(8, "0") + "0".repeat(16))

interface Shape {
  readonly part?: number
  readonly multipartId?: string
  readonly isWhole?: boolean
  readonly hasHeader?: boolean
  readonly isStart?: boolean
}

function upload(uploadId: UploadId, given: Shape = {}) {
  const { part = 0, multipartId = "", isWhole = true, hasHeader = true, isStart = false } = given
  const header = { bucket: parseBucketName("bucket"), contentType: "", userMetadata: [], plannedLengthBytes: 9 }
  const shape = { lengthBytes: 9, blockBytes: 9, policy: { kind: "replica", copies: 2 }, generation: 0, exceptions: [] }
  const found: NewerUpload = {
    uploadId,
    part,
    header: hasHeader ? { ...header, multipartId } : undefined,
    body: isWhole
      ? { kind: "whole", extent: { uploadId, part, ...shape, policy: { kind: "replica", copies: 2 } }, shards: [] }
      : { kind: "incomplete", reason: "1 of 2 blocks have too few shards left", isStart },
  }
  return found
}

const FACTS: KeyAfterRollback = { versioning: "never", present: undefined, multipart: [] }
const [A1, A2, A3, B1] = [idOf(7, 1), idOf(7, 2), idOf(7, 3), idOf(8, 1)]

const putBack = (
  facts: Partial<KeyAfterRollback>,
  uploads: readonly NewerUpload[],
  isAllRead = true,
): readonly UploadId[] =>
  decideKey({ ...FACTS, ...facts }, uploads, isAllRead).flatMap(({ upload: { uploadId }, reason }) =>
    reason === undefined ? [uploadId] : [],
  )

test("a single complete upload is put back, over an object of another process or of an earlier upload", () => {
  assert.deepEqual(putBack({}, [upload(A2)]), [A2])
  assert.deepEqual(putBack({ present: A1 }, [upload(A2)]), [A2])
  assert.deepEqual(putBack({ present: B1 }, [upload(A2)]), [A2])
})

test("nothing is put over a newer object", () => {
  assert.deepEqual(putBack({ present: A3 }, [upload(A2)]), [])
  assert.ok(isLater(A3, A2) && !isLater(A2, A3) && !isLater(B1, A1) && !isLater(A1, B1))
})

test("of several uploads of one process the newest is put back, and in a versioned bucket all in their order", () => {
  const uploads = [upload(A3), upload(A1), upload(A2)]
  assert.deepEqual(putBack({}, uploads), [A3])
  assert.deepEqual(putBack({ versioning: "suspended" }, uploads), [A3])
  assert.deepEqual(putBack({ versioning: "enabled" }, uploads), [A1, A2, A3])
})

test("uploads of several processes have no order: none is put back", () => {
  assert.deepEqual(putBack({}, [upload(A1), upload(B1)]), [])
  assert.deepEqual(putBack({ versioning: "enabled" }, [upload(A1), upload(B1)]), [])
})

test("an incomplete upload was not acknowledged, unless devices were not read", () => {
  const uploads = [upload(A1), upload(A2, { isWhole: false })]
  assert.deepEqual(putBack({}, uploads), [A1])
  assert.deepEqual(putBack({}, uploads, false), [])
  assert.deepEqual(putBack({}, [upload(A1)], false), [A1])
})

test("without its bucket or its recovery header an upload is only listed", () => {
  assert.deepEqual(putBack({ versioning: undefined }, [upload(A1)]), [])
  assert.deepEqual(putBack({}, [upload(A1, { hasHeader: false })]), [])
})

test("parts are put back into an open multipart upload, each by itself", () => {
  const parts = [
    upload(A1, { part: 1, multipartId: "m" }),
    upload(A2, { part: 2, multipartId: "m" }),
    upload(A3, { part: 2, multipartId: "m" }),
  ]
  const open = { multipartId: "m", isSealed: false, parts: [{ partNumber: 1, uploadId: idOf(7, 9) }] }
  assert.deepEqual(putBack({ multipart: [open] }, parts), [A3])
  assert.deepEqual(putBack({ multipart: [{ ...open, parts: [] }] }, parts), [A1, A3])
  assert.deepEqual(putBack({ multipart: [{ ...open, isSealed: true }] }, parts), [])
  assert.deepEqual(putBack({}, parts), [])
})

test("nothing is put back where an object of segments may be newer", () => {
  const run = { isWhole: false, isStart: true }
  assert.deepEqual(putBack({ doubt: "its bucket is deduplicated" }, [upload(A1)]), [])
  assert.deepEqual(putBack({}, [upload(A1), upload(A2, run)]), [])
  assert.deepEqual(putBack({}, [upload(A1), upload(B1, run)]), [])
  assert.deepEqual(putBack({}, [upload(A1, run), upload(A2)]), [A2])
  // The parts may have been completed after it, and bytes appended to it.
  assert.deepEqual(putBack({}, [upload(A1, { part: 1, multipartId: "m" }), upload(A2)]), [])
  assert.deepEqual(putBack({ versioning: "enabled" }, [upload(A1), upload(A2, { part: OFFSET_PART })]), [])
  const open = { multipartId: "m", isSealed: false, parts: [] }
  const parts = [upload(A1, { part: 1, multipartId: "m" }), upload(A2)]
  assert.deepEqual(putBack({ doubt: "a multipart upload is open", multipart: [open] }, parts), [A1])
})
