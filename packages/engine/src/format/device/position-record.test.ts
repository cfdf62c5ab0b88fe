/** Position records: golden bytes, both ways. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import { decodePositionRecord, encodePositionRecord } from "./position-record.js"

const RECORD = { deviceId: parseDeviceId("0123456789abcdef"), logged: parseLogSequence(77_000), generation: 12 }
const GOLDEN = "484c504f010000000123456789abcdefc82c0100000000000c000000000000006f4d99e21588e36b"

test("position record v1 is unchanged, byte for byte, both ways", () => {
  assert.equal(hexOf(encodePositionRecord(RECORD)), GOLDEN)
  assert.deepEqual(decodePositionRecord(bytesOfHex(GOLDEN) ?? new Uint8Array(0)), RECORD)
})

test("a cut or flipped position record is refused", () => {
  const bytes = encodePositionRecord(RECORD)
  const isRefused = (error: unknown) => isFailure(error, "corruptRecord")
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => decodePositionRecord(bytes.subarray(0, length)), isRefused)
    const flipped = bytes.slice()
    flipped[length] = (flipped[length] ?? 0) ^ 4
    assert.throws(() => decodePositionRecord(flipped), isRefused)
  }
})
