/** Bodies of version records: those that are packed and read in a short way are like all others. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { packRecord } from "../encoding/pack.js"
import { decodeVersion, encodeVersion, NO_DETAILS, type VersionDetails, type VersionRecord } from "./version-record.js"

const HEAD_BYTES = 54

const INLINE: VersionRecord = {
  head: {
    isMarker: false,
    isNull: true,
    hasDetails: false,
    isShared: false,
    isLocked: false,
    storageClass: "STANDARD",
    checksumAlgorithm: "CRC64NVME",
    checksumType: "FULL_OBJECT",
    sizeBytes: 5,
    modifiedMs: 1_767_225_600_000,
    order: 1_767_225_600_000_123,
    random: new Uint8Array(8),
    md5: new Uint8Array(16),
    parts: 0,
  },
  content: { kind: "inline" },
  checksumValue: undefined,
  details: NO_DETAILS,
}

const DETAILS: VersionDetails = {
  headers: [["contentType", "image/jpeg"]],
  userMetadata: [["camera", "\xe9"]],
  tags: [["year", "2026"]],
}

test("an inline version with a checksum of any length is packed like other records, and read back", () => {
  for (let length = 0; length <= 45; length += 1) {
    const checksumValue = "x".repeat(length)
    for (const details of [NO_DETAILS, DETAILS]) {
      const encoded = encodeVersion({ ...INLINE, checksumValue, details })
      const packed = packRecord(1, [[1], checksumValue, [details.headers, details.userMetadata, details.tags]])
      assert.equal(hexOf(encoded.subarray(HEAD_BYTES)), hexOf(packed))
      const { content, checksumValue: read, details: ofClient } = decodeVersion(encoded)
      assert.deepEqual({ content, read, ofClient }, { content: INLINE.content, read: checksumValue, ofClient: details })
      for (const end of [58, 59, 59 + length, encoded.length - 1])
        assert.throws(
          () => decodeVersion(encoded.subarray(0, end)),
          error => isFailure(error, "corruptRecord"),
        )
    }
  }
})
