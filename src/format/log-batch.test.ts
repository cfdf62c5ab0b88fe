import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fc } from "../base/testing-properties.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { parseDeviceId, parseLogSequence } from "../base/ids.js"
import {
  batchBytes,
  decodeLogBatchHeader,
  decodeLogBatchRecords,
  encodeLogBatch,
  LOG_HEADER_BYTES,
  LOG_PAGE_BYTES,
  payloadBytesOf,
} from "./log-batch.js"
import type { LogBatchHead } from "./log-batch.js"

const HEAD: LogBatchHead = {
  deviceId: parseDeviceId("0123456789abcdef"),
  segment: 7,
  offsetBytes: 8192,
  sequence: parseLogSequence(1_000_000_007),
  previous: 0xfedc_ba98_7654_3210n,
  durableUpTo: parseLogSequence(1_000_000_006),
  cutUpTo: parseLogSequence(999_999_000),
}
const RECORDS = ["first", "", "a third record"].map(text => new TextEncoder().encode(text))

/** The decoded records of whole batch bytes, or undefined if anything is refused. */
function decoded(bytes: Uint8Array): string[] | undefined {
  const header = decodeLogBatchHeader(bytes)
  const records = header && decodeLogBatchRecords(header, bytes)
  return records?.map(record => hexOf(record.bytes))
}

test("log batch v1 is unchanged, byte for byte", () => {
  const golden = readFileSync(new URL("../../../src/format/golden/log-batch-v1.hex", import.meta.url), "utf8").trim()
  const { bytes } = encodeLogBatch(HEAD, RECORDS)
  const used = LOG_HEADER_BYTES + payloadBytesOf(RECORDS)
  assert.equal(hexOf(bytes.subarray(0, used)), golden)
  assert.ok(bytes.subarray(used).every(byte => byte === 0))
  assert.equal(bytes.length, LOG_PAGE_BYTES)
  const header = decodeLogBatchHeader(bytesOfHex(golden) ?? bytes)
  assert.ok(header)
  const { recordCount, payloadBytes, payloadChecksum, checksum, ...head } = header
  assert.deepEqual(head, HEAD)
  assert.equal(recordCount, 3)
  assert.equal(payloadBytes, payloadBytesOf(RECORDS))
  assert.notEqual(payloadChecksum, checksum)
})

test("encoded records are decoded, at the returned offsets", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }), records => {
      const { bytes, header: encoded, recordOffsets } = encodeLogBatch(HEAD, records)
      assert.equal(bytes.length, batchBytes(payloadBytesOf(records)))
      const header = decodeLogBatchHeader(bytes)
      assert.ok(header)
      assert.deepEqual(header, encoded)
      const read = decodeLogBatchRecords(header, bytes) ?? []
      assert.deepEqual(
        read.map(record => hexOf(record.bytes)),
        records.map(record => hexOf(record)),
      )
      assert.deepEqual(
        read.map(record => record.offsetBytes),
        recordOffsets,
      )
    }),
    { numRuns: 100 },
  )
})

test("every prefix of a log batch is refused", () => {
  const { bytes } = encodeLogBatch(HEAD, RECORDS)
  const used = LOG_HEADER_BYTES + payloadBytesOf(RECORDS)
  assert.ok(decoded(bytes.subarray(0, used)))
  for (let length = 0; length < used; length += 1) assert.equal(decoded(bytes.subarray(0, length)), undefined)
})

test("every single flipped bit of a log batch is refused", () => {
  const { bytes } = encodeLogBatch(HEAD, RECORDS)
  const used = LOG_HEADER_BYTES + payloadBytesOf(RECORDS)
  for (let bit = 0; bit < used * 8; bit += 1) {
    const flipped = bytes.slice(0, used)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.equal(decoded(flipped), undefined, `bit ${bit}`)
  }
})

test("noise is refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 400 }), bytes => decoded(bytes) === undefined),
    { numRuns: 500 },
  )
})
