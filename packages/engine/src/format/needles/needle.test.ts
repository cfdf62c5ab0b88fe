import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseBucketId,
  parseDeviceId,
  parsePartitionId,
  parseUploadId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import { xxh64Into } from "@hayloft/base/simd/xxh64.js"
import type { NeedleHeader, NeedleId, NeedleNames, PayloadHeader, ShardHeader, TombstoneHeader } from "./needle.js"
import {
  decodeNeedleHeader,
  decodeNeedlePlace,
  decodeShardShape,
  encodeNeedleHeader,
  encodeNeedlePlace,
  isUnnamed,
  needleHeaderLength,
  needleIdOfKey,
  needleKeyOf,
  needleKeysOfPartition,
  needleSeed,
  NEEDLE_HEADER_BYTES_MAX,
  payloadHeaderBytes,
  TOMBSTONE_BYTES,
  payloadSeed,
} from "./needle.js"
import { partitionOf } from "./partition.js"

const uploadId = parseUploadId("00112233445566778899aabbccddeeff")
const ID: NeedleId = {
  partition: partitionOf(uploadId, 7, 1234),
  uploadId,
  part: 7,
  block: 1234,
  generation: 2,
  slot: 5,
}
const BODY = Uint8Array.from({ length: 65_536 + 128 }, (_, i) => (i * 31) % 256)

const SHARD: ShardHeader = {
  kind: "shard",
  id: ID,
  owner: { bucketId: parseBucketId(2 ** 40 + 3), key: objectKeyOfText("photos/kött.jpg") },
  policy: { kind: "ec", k: 4, m: 2, matrix: "cauchy" },
  blockLengthBytes: 262_000,
  recoveryHeader: Uint8Array.from([0x93, 1, 2, 3]),
  bodyBytes: BODY.length,
  checksums: subBlockChecksums(BODY, needleSeed(ID)),
}
const PAYLOAD: PayloadHeader = {
  kind: "payload",
  family: "current",
  key: rowKeyOf("\0\x01tablet\0photos/a"),
  bodyBytes: 11,
  checksums: subBlockChecksums(BODY.subarray(0, 11), payloadSeed("current", rowKeyOf("\0\x01tablet\0photos/a"))),
}
const TOMBSTONE: TombstoneHeader = { kind: "tombstone", id: ID }

const golden = (name: string): string =>
  readFileSync(
    new URL(`../../../../../../packages/engine/src/format/golden/${name}.hex`, import.meta.url),
    "utf8",
  ).replaceAll(/\s/g, "")
const refused = (bytes: Uint8Array): void =>
  assert.throws(
    () => decodeNeedleHeader(bytes),
    error => isFailure(error, "corruptNeedle"),
  )

test("all tombstones have one length", () => {
  assert.equal(encodeNeedleHeader(TOMBSTONE).length, TOMBSTONE_BYTES)
})

for (const header of [SHARD, PAYLOAD, TOMBSTONE]) {
  test(`${header.kind}: golden bytes of version 1, both ways`, () => {
    const bytes = golden(`needle-${header.kind}-v1`)
    assert.equal(hexOf(encodeNeedleHeader(header)), bytes)
    assert.deepEqual(decodeNeedleHeader(bytesOfHex(bytes) ?? BODY), header)
  })

  test(`${header.kind}: every prefix and every flipped bit is refused`, () => {
    const bytes = encodeNeedleHeader(header)
    for (let length = 0; length < bytes.length; length += 1) refused(bytes.subarray(0, length))
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      refused(flipped)
    }
  })
}

test("a header is found at the front of longer bytes", () => {
  const bytes = encodeNeedleHeader(SHARD)
  const longer = new Uint8Array(bytes.length + 500).fill(9)
  longer.set(bytes)
  assert.equal(needleHeaderLength(longer), bytes.length)
  assert.deepEqual(decodeNeedleHeader(longer), SHARD)
})

test("arbitrary fields survive a round trip", () => {
  const ids: fc.Arbitrary<NeedleId> = fc.record(
    {
      partition: fc.nat(0xffff).map(parsePartitionId),
      uploadId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(bytes => parseUploadId(hexOf(bytes))),
      part: fc.nat(10_000),
      block: fc.nat(0xffff_ffff),
      generation: fc.nat(0xffff),
      slot: fc.nat(31),
    },
    { noNullPrototype: true },
  )
  const shards: fc.Arbitrary<NeedleHeader> = fc
    .tuple(ids, fc.nat(200_000), fc.string({ minLength: 1, maxLength: 200 }), fc.uint8Array({ minLength: 1 }))
    .map(([id, bodyBytes, key, recoveryHeader]) => ({
      ...SHARD,
      id,
      owner: { bucketId: parseBucketId(bodyBytes), key: objectKeyOfText(key) },
      policy: bodyBytes % 2 === 0 ? { kind: "replica", copies: 3 } : { kind: "ec", k: 8, m: 3, matrix: "vandermonde" },
      recoveryHeader,
      bodyBytes,
      checksums: subBlockChecksums(new Uint8Array(bodyBytes), 1n),
    }))
  fc.assert(
    fc.property(shards, header => assert.deepEqual(decodeNeedleHeader(encodeNeedleHeader(header)), header)),
    { numRuns: 50 },
  )
  fc.assert(fc.property(ids, id => assert.deepEqual(needleIdOfKey(needleKeyOf(id)), id)))
})

test("hostile lengths are refused before anything of that length is allocated", () => {
  const bytes = encodeNeedleHeader(SHARD)
  const forge = (change: (view: DataView) => void): Uint8Array => {
    const forged = bytes.slice()
    change(new DataView(forged.buffer))
    xxh64Into(forged.subarray(0, -8), 0n, forged, forged.length - 8)
    return forged
  }
  const hostile = [
    forge(view => view.setUint32(8, 0xffff_ffff, true)),
    forge(view => view.setUint32(8, 0, true)),
    forge(view => view.setUint32(12, 0xffff_ffff, true)),
    forge(view => view.setUint32(64, 0xffff_ffff, true)),
    forge(view => view.setUint16(52, 0xffff, true)),
    forge(view => view.setUint16(54, 0xffff, true)),
    forge(view => view.setUint8(43, 9)),
    forge(view => view.setUint8(44, 200)),
    forge(view => view.setUint8(5, 77)),
    forge(view => view.setUint8(6, 2)),
    forge(view => view.setBigUint64(56, 2n ** 63n, true)),
  ]
  for (const forged of hostile) refused(forged)
  assert.ok(NEEDLE_HEADER_BYTES_MAX < 32 * 1024)
})

test("index keys order by partition, then upload, and a partition is one range of them", () => {
  const key = (partition: number, change: Partial<NeedleId> = {}): string =>
    needleKeyOf({ ...ID, ...change, partition: parsePartitionId(partition) })
  const ordered = [
    key(1),
    key(255),
    key(256, { block: 1 }),
    key(256, { block: 256 }),
    key(256, { block: 65_536 }),
    key(65_535),
  ]
  assert.deepEqual([...ordered].sort(), ordered)
  assert.ok(ordered.every(({ length }) => length === 27))
  for (const partition of [1, 255, 256, 65_535]) {
    const { start, end } = needleKeysOfPartition(parsePartitionId(partition))
    const inside = ordered.filter(each => each >= start && each < end)
    assert.deepEqual(
      inside,
      ordered.filter(each => needleIdOfKey(rowKeyOf(each)).partition === partition),
    )
  }
})

test("seeds differ for every part of an id, and between needles and payloads", () => {
  const others = [{ part: 8 }, { block: 1235 }, { generation: 3 }, { slot: 4 }].map(change =>
    needleSeed({ ...ID, ...change }),
  )
  const seeds = [
    needleSeed(ID),
    ...others,
    payloadSeed("current", rowKeyOf("a")),
    payloadSeed("versions", rowKeyOf("a")),
  ]
  assert.equal(new Set(seeds).size, seeds.length)
  assert.equal(needleSeed(ID), NEEDLE_SEED)
  assert.equal(payloadSeed("current", rowKeyOf("a")), PAYLOAD_SEED)
})
// Frozen: every checksum on disk depends on them.
const NEEDLE_SEED = 0xd683_d54b_3652_b453n
const PAYLOAD_SEED = 0xb932_c064_c299_dcf2n

test("the length of a payload's header is known from its key and length", () => {
  assert.equal(encodeNeedleHeader(PAYLOAD).length, payloadHeaderBytes(PAYLOAD.key, PAYLOAD.bodyBytes, false))
})

const PLACE = { volume: 4_000_000_000, offsetBytes: 2 ** 45 + 7, headerBytes: 333, bodyBytes: 64 * 1024 * 1024 }

test("places and shapes survive the index; others are refused", () => {
  for (const policy of ["replica:1", "replica:3", "ec:4+2", "ec:2+1/xor", "ec:8+3/vandermonde"].map(text =>
    parsePolicy(text),
  )) {
    const shape = { policy, blockLengthBytes: 3_000_001 }
    const bytes = encodeNeedlePlace(PLACE, shape)
    assert.deepEqual(decodeNeedlePlace(bytes), PLACE)
    assert.deepEqual(decodeShardShape(bytes), shape)
  }
  const shape = { policy: SHARD.policy, blockLengthBytes: 1 }
  const hostile = encodeNeedlePlace({ ...PLACE, bodyBytes: 0xffff_ffff }, shape)
  for (const bytes of [hostile, new Uint8Array(0), new Uint8Array(19), new Uint8Array(27)]) {
    assert.throws(
      () => decodeNeedlePlace(bytes),
      error => isFailure(error, "corruptRow"),
    )
  }
  const noPolicy = encodeNeedlePlace(PLACE, shape).fill(0, 20, 24)
  const longBlock = encodeNeedlePlace(PLACE, { ...shape, blockLengthBytes: 0xffff_ffff })
  for (const bytes of [noPolicy, longBlock, new Uint8Array(21)]) {
    assert.throws(
      () => decodeShardShape(bytes),
      error => isFailure(error, "corruptRow"),
    )
  }
})

test("golden index values: version 2 both ways, version 1 read without a shape", () => {
  const shape = { policy: SHARD.policy, blockLengthBytes: SHARD.blockLengthBytes }
  assert.equal(hexOf(encodeNeedlePlace(PLACE, shape)), golden("needle-place-v2"))
  const first = bytesOfHex(golden("needle-place-v1")) ?? BODY
  assert.deepEqual(decodeNeedlePlace(first), PLACE)
  assert.equal(decodeShardShape(first), undefined)
})

/** Its nonces are known. */
const cipherOf = (fill = 1, acceptsPlain = false): DeviceCipher =>
  new DeviceCipher(deviceKeysOf(new Uint8Array(32).fill(fill), parseDeviceId("0123456789abcdef"), acceptsPlain), {
    bytes: count => new Uint8Array(count).fill(6),
  })

for (const header of [SHARD, PAYLOAD]) {
  test(`${header.kind}: golden bytes of version 2, both ways, without a name in them`, () => {
    const encoded = encodeNeedleHeader(header, cipherOf())
    assert.equal(hexOf(encoded), golden(`needle-${header.kind}-v2`))
    assert.deepEqual(decodeNeedleHeader(encoded, cipherOf()), header)
    assert.ok(!Buffer.from(encoded).includes("photos"))
  })

  test(`${header.kind}: encrypted names open only with their key, in their header, unchanged`, () => {
    const encoded = encodeNeedleHeader(header, cipherOf())
    const refusedWith = (bytes: Uint8Array, names: NeedleNames): void =>
      assert.throws(
        () => decodeNeedleHeader(bytes, names),
        error => isFailure(error, "corruptNeedle"),
      )
    refusedWith(encoded, cipherOf(2))
    // With a checksum that fits: a changed head, and changed names.
    for (const at of [20, 40, 57, 75, 100]) {
      const forged = Uint8Array.from(encoded)
      forged[at] = (forged[at] ?? 0) ^ 1
      xxh64Into(forged.subarray(0, -8), 0n, forged, forged.length - 8)
      refusedWith(forged, cipherOf())
    }
    for (let length = 0; length < encoded.length; length += 1) refusedWith(encoded.subarray(0, length), undefined)
  })
}

test("plain names are refused where a cipher exists, except on a device that is being converted", () => {
  for (const header of [SHARD, PAYLOAD]) {
    const plain = encodeNeedleHeader(header)
    assert.throws(
      () => decodeNeedleHeader(plain, cipherOf()),
      error => isFailure(error, "corruptNeedle") && error.details["reason"] === "not encrypted",
    )
    assert.deepEqual(decodeNeedleHeader(plain, cipherOf(1, true)), header)
    assert.deepEqual(decodeNeedleHeader(encodeNeedleHeader(header, cipherOf(1, true)), cipherOf()), header)
  }
  assert.deepEqual(decodeNeedleHeader(encodeNeedleHeader(TOMBSTONE), cipherOf()), TOMBSTONE)
})

test("a header without names shows what reads need, and refuses to show names", () => {
  const shard = decodeNeedleHeader(encodeNeedleHeader(SHARD, cipherOf()))
  assert.ok(shard.kind === "shard" && isUnnamed(shard))
  assert.deepEqual([shard.id, shard.policy, shard.checksums], [SHARD.id, SHARD.policy, SHARD.checksums])
  for (const read of [() => shard.owner, () => shard.recoveryHeader]) {
    assert.throws(read, error => isFailure(error, "wrongMasterKey"))
  }
  const encoded = encodeNeedleHeader(PAYLOAD, cipherOf())
  assert.equal(encoded.length, payloadHeaderBytes(PAYLOAD.key, PAYLOAD.bodyBytes, true))
  assert.deepEqual(decodeNeedleHeader(encoded, { expected: PAYLOAD.key }), PAYLOAD)
  const tombstone = encodeNeedleHeader(TOMBSTONE, cipherOf())
  assert.deepEqual(tombstone, encodeNeedleHeader(TOMBSTONE))
})
