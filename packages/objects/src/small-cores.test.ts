/** Conditions, ranges and combined checksums: small rules with many corners. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parsePartitionId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { evaluateCopySource, evaluateRead, evaluateWrite } from "./commands/conditions-core.js"
import type { Conditions } from "./contract.js"
import { combineCrcs } from "./commands/crc-combine-core.js"
import { ALL_HINTS, hintsOfPartition } from "./commands/missing-shard-hints-core.js"
import { resolveRange } from "./queries/range-core.js"
import { hintRowKey } from "./commands/version-commands-core.js"

const SECOND = 1_767_225_600_000
/** Within its second: HTTP shows whole seconds only. */
const subject = { etag: "abc", modifiedMs: SECOND + 700, sizeBytes: 4 }

test("reads: If-Match takes precedence over If-Unmodified-Since, If-None-Match over If-Modified-Since", () => {
  const cases: readonly (readonly [Conditions, string | undefined])[] = [
    [{}, undefined],
    [{ ifMatch: ["abc"] }, undefined],
    [{ ifMatch: ["x", "abc"] }, undefined],
    [{ ifMatch: ["*"] }, undefined],
    [{ ifMatch: ["x"] }, "preconditionFailed"],
    [{ ifNoneMatch: ["abc"] }, "notModified"],
    [{ ifNoneMatch: ["*"] }, "notModified"],
    [{ ifNoneMatch: ["x"] }, undefined],
    [{ ifModifiedSinceMs: SECOND }, "notModified"],
    [{ ifModifiedSinceMs: SECOND - 1000 }, undefined],
    [{ ifUnmodifiedSinceMs: SECOND }, undefined],
    [{ ifUnmodifiedSinceMs: SECOND - 1000 }, "preconditionFailed"],
    [{ ifMatch: ["abc"], ifUnmodifiedSinceMs: SECOND - 1000 }, undefined],
    [{ ifMatch: ["x"], ifUnmodifiedSinceMs: SECOND }, "preconditionFailed"],
    [{ ifNoneMatch: ["x"], ifModifiedSinceMs: SECOND }, undefined],
    [{ ifNoneMatch: ["abc"], ifModifiedSinceMs: SECOND - 1000 }, "notModified"],
    [{ ifMatch: ["x"], ifNoneMatch: ["abc"] }, "preconditionFailed"],
  ]
  for (const [conditions, kind] of cases) {
    assert.equal(evaluateRead(conditions, subject)?.kind, kind, JSON.stringify(conditions))
    const copyKind = kind === undefined ? undefined : "preconditionFailed"
    assert.equal(evaluateCopySource(conditions, subject)?.kind, copyKind, `copy ${JSON.stringify(conditions)}`)
  }
})

test("writes: an absent object matches nothing, a present one its own ETag", () => {
  assert.equal(evaluateWrite({ ifMatch: ["abc"] }, undefined)?.kind, "noSuchKey")
  assert.equal(evaluateWrite({ ifMatch: ["*"] }, undefined)?.kind, "noSuchKey")
  assert.equal(evaluateWrite({ ifMatch: ["abc"] }, subject), undefined)
  assert.equal(evaluateWrite({ ifMatch: ["x"] }, subject)?.kind, "preconditionFailed")
  assert.equal(evaluateWrite({ ifNoneMatch: ["*"] }, undefined), undefined)
  assert.equal(evaluateWrite({ ifNoneMatch: ["*"] }, subject)?.kind, "preconditionFailed")
  assert.equal(evaluateWrite({ ifNoneMatch: ["abc"] }, subject)?.kind, "preconditionFailed")
  assert.equal(evaluateWrite({ ifNoneMatch: ["x"] }, subject), undefined)
  assert.equal(evaluateWrite({ ifUnmodifiedSinceMs: 0, ifModifiedSinceMs: 2 * SECOND }, subject), undefined)
  assert.equal(evaluateWrite({ ifMatchSize: 4, ifMatchModifiedMs: SECOND }, subject), undefined)
  assert.equal(evaluateWrite({ ifMatchSize: 0 }, subject)?.kind, "preconditionFailed")
  assert.equal(evaluateWrite({ ifMatchModifiedMs: SECOND + 1000 }, subject)?.kind, "preconditionFailed")
  assert.equal(evaluateWrite({ ifMatch: ["x"], ifMatchSize: 4 }, subject)?.kind, "preconditionFailed")
  assert.equal(evaluateWrite({ ifMatchSize: 4, ifMatchModifiedMs: SECOND }, undefined), undefined)
})

test("ranges are cut to the object, and refused with its size if they contain no byte of it", () => {
  const range = (first: number, last: number | undefined, size: number) =>
    resolveRange({ kind: "fromTo", first, last }, size)
  const suffix = (lengthBytes: number, size: number) => resolveRange({ kind: "suffix", lengthBytes }, size)
  assert.deepEqual(range(0, 0, 10), { first: 0, lengthBytes: 1 })
  assert.deepEqual(range(9, 100, 10), { first: 9, lengthBytes: 1 })
  assert.deepEqual(range(3, undefined, 10), { first: 3, lengthBytes: 7 })
  assert.deepEqual(suffix(3, 10), { first: 7, lengthBytes: 3 })
  assert.deepEqual(suffix(30, 10), { first: 0, lengthBytes: 10 })
  for (const refused of [() => range(10, 12, 10), () => range(0, 5, 0), () => suffix(0, 10), () => suffix(5, 0)]) {
    assert.throws(refused, error => isFailure(error, "invalidRange") && typeof error.details["sizeBytes"] === "number")
  }
})

test("the CRC of parts combined is the CRC of their bytes", () => {
  const compute = new InlineCompute(makeCodec, { slabBytes: 65_536, poolBytes: 1_048_576 })
  const crc = (checksum: "CRC32" | "CRC32C" | "CRC64NVME", bytes: Uint8Array) => {
    const { checksum: value } = compute.hash({ md5: false, sha256: false, checksum }, bytes)
    assert.ok(value)
    return value
  }
  const parts = fc.array(fc.uint8Array({ maxLength: 3_000, size: "max" }), { minLength: 1, maxLength: 6 })
  for (const algorithm of ["CRC32", "CRC32C", "CRC64NVME"] as const) {
    fc.assert(
      fc.property(parts, list => {
        const combined = combineCrcs(
          algorithm,
          list.map(bytes => ({ value: crc(algorithm, bytes), lengthBytes: bytes.length })),
        )
        assert.deepEqual(Buffer.from(combined), Buffer.from(crc(algorithm, Buffer.concat(list))))
      }),
      { numRuns: 60 },
    )
  }
})

test("the key range of a partition's hints contains only its own, also for the first and last partition", () => {
  const deviceId = parseDeviceId("ffffffffffffffff")
  for (const number of [0, 1, 255, 256, PARTITIONS - 2, PARTITIONS - 1]) {
    const { start, end } = hintsOfPartition(number)
    for (const other of [0, 1, 254, 255, 256, 257, PARTITIONS - 2, PARTITIONS - 1]) {
      const key = hintRowKey({ partition: parsePartitionId(other), deviceId })
      assert.equal(key >= start && key < end, other === number, `${other} in ${number}`)
      assert.ok(key >= ALL_HINTS.start && key < ALL_HINTS.end)
    }
  }
})
