import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import {
  batchBytes,
  decodeLogBatchHeader,
  decodeLogBatchRecords,
  decryptLogged,
  encodeLogBatch,
  isWholeLogBatch,
  LOG_HEADER_BYTES,
  LOG_PAGE_BYTES,
  LOG_SEALED_AT,
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
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/log-batch-v1.hex", import.meta.url),
    "utf8",
  ).trim()
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

/** Its nonces are known. */
const cipherOf = (device = HEAD.deviceId): DeviceCipher => {
  let drawn = 0
  return new DeviceCipher(deviceKeysOf(new Uint8Array(32).fill(1), device), {
    bytes: count => new Uint8Array(count).fill((drawn += 1)),
  })
}

test("log batch v2 is unchanged, byte for byte, and contains no record", () => {
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/log-batch-v2.hex", import.meta.url),
    "utf8",
  ).trim()
  const { bytes, header } = encodeLogBatch(HEAD, RECORDS, undefined, cipherOf())
  assert.equal(hexOf(bytes.subarray(0, LOG_HEADER_BYTES + header.payloadBytes)), golden)
  assert.deepEqual(decodeLogBatchHeader(bytes), header)
  assert.deepEqual(
    decodeLogBatchRecords(header, bytes, cipherOf())?.map(record => hexOf(record.bytes)),
    RECORDS.map(record => hexOf(record)),
  )
  assert.ok(!Buffer.from(bytes).includes("third"))
})

test("a part of an encrypted record is read without the rest of its batch", () => {
  const records = [new Uint8Array(100).fill(3), Uint8Array.from({ length: 300 }, (_, i) => i % 256)]
  const { bytes, recordOffsets, nonce } = encodeLogBatch(HEAD, records, undefined, cipherOf())
  const at = (recordOffsets[1] ?? 0) + 77
  const sealed = { nonce: nonce ?? new Uint8Array(0), fromBytes: HEAD.offsetBytes + LOG_SEALED_AT }
  const key = cipherOf().logKey(HEAD.segment)
  const part = decryptLogged(bytes.subarray(at, at + 50), HEAD.offsetBytes + at, sealed, key)
  assert.deepEqual(Uint8Array.from(part), records[1]?.subarray(77, 127))
})

test("an encrypted batch that was forged, moved or of another device does not open", () => {
  const seal = (head: LogBatchHead): Uint8Array => encodeLogBatch(head, RECORDS, undefined, cipherOf()).bytes
  const open = (bytes: Uint8Array, cipher: DeviceCipher | undefined = cipherOf()): unknown => {
    const header = decodeLogBatchHeader(bytes)
    assert.ok(header)
    return decodeLogBatchRecords(header, bytes, cipher)
  }
  /** With checksums that fit. */
  const forged = (bytes: Uint8Array, change: (view: DataView) => void): Uint8Array => {
    const copy = Buffer.from(bytes)
    const view = new DataView(copy.buffer, copy.byteOffset, copy.length)
    change(view)
    view.setBigUint64(64, xxh64(copy.subarray(80, 80 + view.getUint32(28, true))), true)
    view.setBigUint64(72, xxh64(copy.subarray(0, 72)), true)
    return copy
  }
  assert.ok(open(forged(seal(HEAD), () => undefined)))
  const fails = (bytes: Uint8Array, cipher?: DeviceCipher): void =>
    assert.throws(
      () => open(bytes, cipher),
      error => isFailure(error, "corruptSeal"),
    )
  fails(forged(seal(HEAD), view => view.setUint8(100, view.getUint8(100) ^ 1)))
  fails(forged(seal(HEAD), view => view.setUint32(24, 0, true)))
  fails(forged(seal(HEAD), view => view.setUint32(16, 8, true)))
  fails(forged(seal(HEAD), view => view.setUint32(28, view.getUint32(28, true) - 1, true)))
  fails(seal(HEAD), cipherOf(parseDeviceId("00000000000000aa")))
  assert.throws(
    () => decodeLogBatchRecords(decodeLogBatchHeader(seal(HEAD)) ?? assert.fail(), seal(HEAD)),
    error => isFailure(error, "wrongMasterKey"),
  )
})

test("every single flipped bit of an encrypted batch is refused without a key", () => {
  const { bytes, header } = encodeLogBatch(HEAD, RECORDS, undefined, cipherOf())
  for (let bit = 0; bit < (LOG_HEADER_BYTES + header.payloadBytes) * 8; bit += 1) {
    const flipped = bytes.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const found = decodeLogBatchHeader(flipped)
    assert.ok(found === undefined || !isWholeLogBatch(found, flipped), `bit ${bit}`)
  }
})
