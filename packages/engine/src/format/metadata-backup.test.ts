import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  parseDeviceId,
  parseIncarnation,
  parsePosition,
  parseStoreId,
  parseTabletId,
  parseUploadId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import {
  decodeMetadataChunk,
  isDecidedBelow,
  MetadataChunkWriter,
  type MetadataChunkHeader,
  type MetadataRecord,
} from "./metadata-backup.js"

const HEADER: MetadataChunkHeader = {
  storeId: parseStoreId("000102030405060708090a0b0c0d0e0f"),
  tabletId: parseTabletId(1),
  incarnation: parseIncarnation(3),
  fromPosition: parsePosition(2 ** 40 + 5),
  atPosition: parsePosition(2 ** 40 + 77),
  startedMs: 1_767_225_600_000,
  decidedBelow: "000000030000002a",
  number: 2,
  isLast: true,
  recordsBefore: 2 ** 33 + 1,
}
const RECORDS: readonly MetadataRecord[] = [
  { family: "names", key: rowKeyOf("photos"), value: Uint8Array.of(0x92, 1, 7), payload: undefined },
  { family: "current", key: rowKeyOf("\0\xffrow\0"), value: Uint8Array.of(1, 2, 3), payload: Uint8Array.of(9, 8) },
  { family: "versions", key: rowKeyOf("\0\xffrow\0\x01"), value: new Uint8Array(0), payload: new Uint8Array(0) },
]

function chunkOf(header: MetadataChunkHeader, records: readonly MetadataRecord[], cipher?: DeviceCipher): Uint8Array {
  const writer = new MetadataChunkWriter(cipher)
  for (const record of records) writer.add(record)
  const chunk = writer.finish(header)
  assert.equal(chunk.length, writer.lengthBytes)
  return chunk
}

const golden = (version = 1): string =>
  readFileSync(
    new URL(`../../../../../packages/engine/src/format/golden/metadata-backup-v${version}.hex`, import.meta.url),
    "utf8",
  ).replaceAll(/\s/g, "")

const plain = (records: readonly MetadataRecord[]) =>
  records.map(record => ({ ...record, value: hexOf(record.value), payload: record.payload && hexOf(record.payload) }))

test("a chunk of version 1 is unchanged, byte for byte, both ways", () => {
  assert.equal(hexOf(chunkOf(HEADER, RECORDS)), golden())
  const { header, records } = decodeMetadataChunk(bytesOfHex(golden()) ?? new Uint8Array(0))
  assert.deepEqual(header, HEADER)
  assert.deepEqual(plain(records), plain(RECORDS))
})

/** Its nonces are known. */
const cipherOf = (fill = 1, acceptsPlain = false): DeviceCipher =>
  new DeviceCipher(deviceKeysOf(new Uint8Array(32).fill(fill), parseDeviceId("0123456789abcdef"), acceptsPlain), {
    bytes: count => new Uint8Array(count).fill(7),
  })

test("an encrypted chunk is unchanged, byte for byte, both ways, and needs its key and its header", () => {
  const chunk = chunkOf(HEADER, RECORDS, cipherOf())
  assert.equal(hexOf(chunk), golden(2))
  assert.ok(!Buffer.from(chunk).includes("photos"))
  const { header, records } = decodeMetadataChunk(chunk, cipherOf())
  assert.deepEqual(header, HEADER)
  assert.deepEqual(plain(records), plain(RECORDS))
  assert.throws(
    () => decodeMetadataChunk(chunk),
    error => isFailure(error, "wrongMasterKey"),
  )
  const forged = Buffer.from(chunk)
  forged.writeUInt32LE(3, 64)
  forged.writeBigUInt64LE(xxh64(forged.subarray(0, -8), 0x6d62_6163_6b75_70n), forged.length - 8)
  for (const [bytes, cipher] of [[chunk, cipherOf(2)] as const, [forged, cipherOf()] as const]) {
    assert.throws(
      () => decodeMetadataChunk(bytes, cipher),
      error => isFailure(error, "corruptRecord"),
    )
  }
})

test("a plain chunk is refused where a cipher exists, except while the store is being converted", () => {
  assert.throws(
    () => decodeMetadataChunk(chunkOf(HEADER, RECORDS), cipherOf()),
    error => isFailure(error, "corruptRecord"),
  )
  assert.deepEqual(decodeMetadataChunk(chunkOf(HEADER, RECORDS), cipherOf(1, true)).header, HEADER)
})

test("a chunk without records, and one that is not the last", () => {
  const header = { ...HEADER, isLast: false, number: 0, recordsBefore: 0 }
  const chunk = decodeMetadataChunk(chunkOf(header, []))
  assert.deepEqual(chunk, { header, records: [] })
})

test("every prefix, every flipped bit and anything appended is refused", () => {
  const chunk = chunkOf(HEADER, RECORDS)
  const refused = (bytes: Uint8Array): void =>
    assert.throws(
      () => decodeMetadataChunk(bytes),
      error => isFailure(error, "corruptRecord"),
    )
  for (let length = 0; length < chunk.length; length += 1) refused(chunk.subarray(0, length))
  for (let bit = 0; bit < 8 * chunk.length; bit += 1) {
    const flipped = chunk.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refused(flipped)
  }
  refused(Buffer.concat([chunk, Buffer.alloc(1)]))
})

test("an upload is decided if its incarnation and number are below the mark", () => {
  const uploadOf = (life: number, number: number) =>
    parseUploadId(`${life.toString(16).padStart(8, "0")}${number.toString(16).padStart(8, "0")}ffffffffffffffff`)
  assert.equal(isDecidedBelow(uploadOf(3, 41), HEADER.decidedBelow), true)
  assert.equal(isDecidedBelow(uploadOf(3, 42), HEADER.decidedBelow), false)
  assert.equal(isDecidedBelow(uploadOf(2, 4_000_000_000), HEADER.decidedBelow), true)
  assert.equal(isDecidedBelow(uploadOf(4, 0), HEADER.decidedBelow), false)
})
