/** Scrub records: golden bytes, both ways. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import { decodeScrubRecord, encodeScrubRecord } from "./scrub-record.js"

const RECORD = {
  passStartedMs: 1_767_225_600_000,
  wholePassStartedMs: 0,
  state: {
    at: { volumeId: parseVolumeId(3), offsetBytes: 81_920, groups: 7, checksum: 0x55n },
    damaged: [],
  },
}
const GOLDEN =
  "9401cb4279b76daa80000000c42c484e53630101000000000000030000000700000000400100000000005500000000000000dfe3fd8b53a71eab"

test("scrub record v1 is unchanged, byte for byte, both ways", () => {
  assert.equal(hexOf(encodeScrubRecord(RECORD)), GOLDEN)
  assert.deepEqual(decodeScrubRecord(bytesOfHex(GOLDEN) ?? new Uint8Array(0)), RECORD)
})

test("a requested pass adds one member, which earlier releases ignore", () => {
  const requested = { ...RECORD, isRequested: true } as const
  const golden = `95${GOLDEN.slice(2)}01`
  assert.equal(hexOf(encodeScrubRecord(requested)), golden)
  assert.deepEqual(decodeScrubRecord(bytesOfHex(golden) ?? new Uint8Array(0)), requested)
})

test("a cut scrub record is refused", () => {
  const bytes = encodeScrubRecord(RECORD)
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(
      () => decodeScrubRecord(bytes.subarray(0, length)),
      error => isFailure(error, "corruptRecord"),
    )
  }
})
