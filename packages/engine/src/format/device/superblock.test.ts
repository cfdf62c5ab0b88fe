import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation, parseStoreId } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { decodeSuperblock, encodeSuperblock, FORMAT_EPOCH_MAX } from "./superblock.js"

const SAMPLE = {
  storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
  deviceId: parseDeviceId("fedcba9876543210"),
  incarnation: parseIncarnation(77),
  createdMs: 1_767_225_600_123,
  formatEpoch: 1,
}

test("superblock v1 is unchanged, byte for byte", () => {
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/superblock-v1.hex", import.meta.url),
    "utf8",
  ).trim()
  assert.equal(hexOf(encodeSuperblock(SAMPLE)), golden)
  assert.deepEqual(decodeSuperblock(bytesOfHex(golden) ?? new Uint8Array(0)), SAMPLE)
})

test("every prefix and every single flipped bit of a superblock is refused", () => {
  const bytes = encodeSuperblock(SAMPLE)
  const refuses = (damaged: Uint8Array): void => {
    assert.throws(
      () => decodeSuperblock(damaged),
      error => isFailure(error, "corruptRecord"),
    )
  }
  for (let length = 0; length < bytes.length; length += 1) refuses(bytes.subarray(0, length))
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = bytes.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refuses(flipped)
  }
})

test("a superblock of a later release is not reported as damaged", () => {
  const bytes = encodeSuperblock({ ...SAMPLE, formatEpoch: FORMAT_EPOCH_MAX + 1 })
  assert.throws(
    () => decodeSuperblock(bytes),
    error => isFailure(error, "invalidConfig"),
  )
  bytes[4] = 2
  new DataView(bytes.buffer).setBigUint64(56, xxh64(bytes.subarray(0, 56)), true)
  assert.throws(
    () => decodeSuperblock(bytes),
    error => isFailure(error, "invalidConfig"),
  )
})
