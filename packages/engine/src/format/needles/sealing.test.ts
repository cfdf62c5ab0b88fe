/**
 * Sealing in records: golden bytes both ways, what is refused, and the places of segments, compared with a plain
 * model at every boundary.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketName, parseUploadId } from "@hayloft/base/ids.js"
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { isSealedLength } from "@hayloft/base/encryption/segments.js"
import { fc } from "@hayloft/base/testing-properties.js"
import type { Extent } from "./extent.js"
import { packRecord, RecordReader } from "../encoding/pack.js"
import { decodePart, decodeUpload, encodePart, encodeUpload } from "../records.js"
import { decodeRecoveryHeader, encodeRecoveryHeader } from "./recovery-header.js"
import { plainBytesOf, readBoundSealing, readSealing, segmentOf, segmentRange } from "./sealing.js"
import { storedBytesOf, type BoundSealing, type Sealing, type SealingKey } from "./sealing.js"
import {
  decodeListedVersion,
  decodeVersion,
  encodeVersion,
  NO_DETAILS,
  type VersionRecord,
} from "../objects/version-record.js"

const filled = (length: number, from: number) => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")

const sealing = (key: SealingKey): Sealing => ({ key, secret: 3, salt: filled(16, 1) })
const bound = (key: SealingKey): BoundSealing => ({ ...sealing(key), bind: filled(16, 60) })
const CLIENT: SealingKey = { mode: "client", check: filled(16, 90) }
const KMS: SealingKey = {
  mode: "kms",
  keyArn: "arn:aws:kms:eu-west-1:012345678901:key/k",
  dataKey: filled(20, 5),
  context: '{"aws:s3:arn":"arn:aws:s3:::photos/é"}',
}
const BUCKET_KEY: SealingKey = { mode: "kms", keyArn: "arn", dataKey: 0xffff_ffff, context: undefined }

const extent: Extent = {
  uploadId: parseUploadId("00000002000000070123456789abcdef"),
  part: 0,
  lengthBytes: storedBytesOf(9_000_000, 4 * MIB),
  blockBytes: 4 * MIB,
  policy: parsePolicy("ec:4+2"),
  generation: 1,
  exceptions: [],
  isSealed: true,
}
const version: VersionRecord = {
  head: {
    isMarker: false,
    isNull: false,
    hasDetails: false,
    isShared: false,
    isLocked: false,
    storageClass: "STANDARD",
    checksumAlgorithm: undefined,
    checksumType: undefined,
    sizeBytes: 9_000_000,
    modifiedMs: 1_767_225_600_000,
    order: 1_767_225_600_000_123,
    random: filled(8, 100),
    md5: filled(16, 200),
    parts: 0,
  },
  content: { kind: "extent", extent },
  checksumValue: undefined,
  details: NO_DETAILS,
  sealing: bound({ mode: "s3" }),
}
const inline: VersionRecord = {
  ...version,
  head: { ...version.head, sizeBytes: 5 },
  content: { kind: "inline" },
  sealing: bound({ mode: "atRest" }),
}
const locked: VersionRecord = {
  ...version,
  head: { ...version.head, isLocked: true },
  sealing: bound(KMS),
  lock: { retention: undefined, legalHold: true },
}
const upload = {
  initiatedMs: 1_767_225_600_000,
  checksum: undefined,
  details: NO_DETAILS,
  completion: undefined,
  sealing: sealing(CLIENT),
}
const part = { partNumber: 3, md5: filled(16, 9), modifiedMs: 1_767_225_600_001, checksumValue: undefined, extent }
const note = {
  bucket: parseBucketName("photos"),
  contentType: "image/jpeg",
  userMetadata: [],
  multipartId: "",
  plannedLengthBytes: extent.lengthBytes,
  sealed: { sealing: sealing(KMS), epoch: 2, sealedSecret: filled(60, 30) },
}

const sealedAs = parseUploadId("5e".repeat(16))
const rescuedPart = { ...part, extent: { ...extent, sealedAs } }
const rescuedNote = {
  ...note,
  sealed: { ...note.sealed, sealing: sealing(BUCKET_KEY), bucketKey: filled(125, 31), sealedAs },
}

interface Sample {
  readonly name: string
  readonly value: unknown
  readonly bytes: Uint8Array
  decode(bytes: Uint8Array): unknown
}

const ofVersion = (name: string, value: VersionRecord): Sample => ({
  name,
  value,
  bytes: encodeVersion(value),
  decode: decodeVersion,
})
const SAMPLES: readonly Sample[] = [
  ofVersion("version of blocks, SSE-S3", version),
  ofVersion("inline version, at rest", inline),
  ofVersion("version on legal hold, SSE-KMS", locked),
  ofVersion("inline version, SSE-KMS with a bucket key", { ...inline, sealing: bound(BUCKET_KEY) }),
  ofVersion("version of blocks, SSE-C", { ...version, sealing: bound(CLIENT) }),
  { name: "upload, SSE-C", value: upload, bytes: encodeUpload(upload), decode: decodeUpload },
  { name: "sealed part", value: part, bytes: encodePart(part), decode: decodePart },
  { name: "recovery header, SSE-KMS", value: note, bytes: encodeRecoveryHeader(note), decode: decodeRecoveryHeader },
  { name: "rescued part", value: rescuedPart, bytes: encodePart(rescuedPart), decode: decodePart },
  {
    name: "recovery header, rescued, SSE-KMS with a bucket key",
    value: rescuedNote,
    bytes: encodeRecoveryHeader(rescuedNote),
    decode: decodeRecoveryHeader,
  },
]

/** Buffers and plain arrays of bytes compare as equal, absent members and undefined ones as well. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  const members = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(members.map(([name, field]) => [name, plain(field)]))
}

function goldenOf(name: string): string {
  const text = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/sealing-v1.txt", import.meta.url),
    "utf8",
  )
  const line = text.split("\n").find(each => each.startsWith(`${name}: `))
  return line?.slice(name.length + 2) ?? ""
}

for (const { name, value, bytes, decode } of SAMPLES) {
  test(`${name}: unchanged, byte for byte, both ways`, () => {
    assert.equal(`${name}: ${hexOf(bytes)}`, `${name}: ${goldenOf(name)}`)
    assert.deepEqual(plain(decode(must(bytesOfHex(goldenOf(name)), "golden bytes are hex"))), plain(value))
  })

  test(`${name}: every prefix is refused, and a flipped bit gives a refusal or a value`, () => {
    for (let length = 0; length < bytes.length; length += 1) {
      assert.throws(
        () => decode(bytes.subarray(0, length)),
        error => isFailure(error),
      )
    }
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        decode(flipped)
      } catch (error) {
        assert.ok(isFailure(error), `bit ${bit}: ${String(error)}`)
      }
    }
  })
}

test("releases without sealing refuse sealed versions, uploads and recovery headers", () => {
  // They accept heads of format 1 with flags below 64, and records of format 1.
  for (const record of [version, inline, locked]) assert.deepEqual([...encodeVersion(record).subarray(0, 1)], [2])
  assert.throws(() => RecordReader.open("upload", encodeUpload(upload), 1), isCorrupt)
  assert.throws(() => RecordReader.open("recovery header", encodeRecoveryHeader(note), 1), isCorrupt)
})

test("a head whose format does not match its flags, or that a later release wrote, is refused", () => {
  const sealed = encodeVersion(inline)
  const { sealing: _, ...withoutSealing } = inline
  const unsealed = encodeVersion(withoutSealing)
  const classed = encodeVersion({ ...withoutSealing, head: { ...inline.head, storageClass: "GLACIER_IR" } })
  const wrong: readonly (readonly [Uint8Array, at: number, value: number])[] = [
    [sealed, 0, 1],
    [sealed, 0, 3],
    [sealed, 1, 0],
    [sealed, 3, 8],
    [unsealed, 0, 2],
    [unsealed, 1, 64],
    [unsealed, 1, 128],
    [unsealed, 3, 1],
    [classed, 0, 1],
    [classed, 3, 0],
    [classed, 3, 8],
  ]
  for (const [bytes, at, value] of wrong) {
    const changed = bytes.with(at, value)
    assert.throws(() => decodeVersion(changed), isCorrupt, `${at} = ${value}`)
    assert.throws(() => decodeListedVersion(changed), isCorrupt, `${at} = ${value}`)
  }
  // The head announces a sealing, and the record has none.
  assert.throws(() => decodeVersion(unsealed.with(0, 2).with(1, 64)), isCorrupt)
  // An expiry, and the record has none, or a sealing that the head does not announce.
  for (const changed of [sealed.with(1, 128 | 64), sealed.with(1, 128), classed.with(1, 128)])
    assert.throws(() => decodeVersion(changed), isCorrupt)
})

test("a sealing with a wrong member is refused", () => {
  const opened = (members: readonly unknown[]) => RecordReader.open("test", packRecord(1, [members]), 1).row()
  const [salt, bind, short] = [filled(16, 1), filled(16, 2), filled(15, 3)]
  assert.deepEqual(readBoundSealing(opened([1, 3, salt, bind, null])).key, { mode: "s3" })
  assert.throws(() => readSealing(opened([1, 3, salt, bind, null])), isCorrupt)
  assert.throws(() => readBoundSealing(opened([1, 3, salt, null, null])), isCorrupt)
  const wrong: readonly (readonly unknown[])[] = [
    [4, 3, salt, null, null],
    [-1, 3, salt, null, null],
    [1, -1, salt, null, null],
    [1, 2 ** 32, salt, null, null],
    [1, 0.5, salt, null, null],
    [1, 3, short, null, null],
    [1, 3, "salt", null, null],
    [1, 3, salt, null, [bind]],
    [0, 3, salt, null, []],
    [2, 3, salt, null, null],
    [2, 3, salt, null, ["arn", null, null, null]],
    [2, 3, salt, null, ["arn", bind, null, 1]],
    [2, 3, salt, null, ["arn", null, null, -1]],
    [2, 3, salt, null, ["arn", bind, 5, null]],
    [2, 3, salt, null, [5, bind, null, null]],
    [3, 3, salt, null, null],
    [3, 3, salt, null, [short]],
    [3, 3, salt, null, []],
  ]
  for (const members of wrong) assert.throws(() => readSealing(opened(members)), isCorrupt, JSON.stringify(members))
})

test("an extent that cannot consist of segments is refused", () => {
  const read = (change: Partial<Extent>) => decodePart(encodePart({ ...part, extent: { ...extent, ...change } }))
  const full = 65_552
  assert.equal(read({ lengthBytes: 0 }).extent.isSealed, true)
  for (const lengthBytes of [17, full, full + 17, 4 * MIB + 17]) assert.ok(read({ lengthBytes }))
  for (const lengthBytes of [1, 16, full + 1, full + 16, 4 * MIB + 16])
    assert.throws(() => read({ lengthBytes }), isCorrupt, `${lengthBytes}`)
  assert.throws(() => read({ blockBytes: full + 16, lengthBytes: 17 }), isCorrupt)
  const packed = encodePart(part)
  // The member `seal` is the last byte: any value but 1 was written by a later release.
  assert.equal(packed.at(-1), 1)
  for (const seal of [0, 2]) assert.throws(() => decodePart(packed.with(-1, seal)), isCorrupt)
})

test("inline versions with the same details keep sealings of their own", () => {
  const [one, two] = [1, 2].map(n => ({ ...inline, sealing: { ...bound({ mode: "s3" }), salt: filled(16, n) } }))
  const { sealing: _, ...none } = inline
  const records = [none, must(one, "a first"), none, must(two, "a second"), none]
  const encoded = records.map(encodeVersion)
  for (const [i, bytes] of encoded.entries()) assert.deepEqual(plain(decodeVersion(bytes)), plain(records[i]))
})

interface ModelSegment {
  readonly block: number
  readonly segment: number
  readonly storedAt: number
  readonly storedBytes: number
  readonly plainAt: number
  readonly plainBytes: number
}

/** Fills blocks with segments, one after another, as the decision says. */
function modelOf(plainBytes: number, blockBytes: number): readonly ModelSegment[] {
  const segments: ModelSegment[] = []
  for (let plainAt = 0, block = 0; plainAt < plainBytes; block += 1) {
    for (let at = 0, segment = 0; at < blockBytes && plainAt < plainBytes; segment += 1) {
      const taken = Math.min(65_536, blockBytes - at - 16, plainBytes - plainAt)
      const place = { block, segment, storedAt: block * blockBytes + at, storedBytes: taken + 16 }
      segments.push({ ...place, plainAt, plainBytes: taken })
      plainAt += taken
      at += taken + 16
    }
  }
  return segments
}

test("every byte of a sealed extent is in the segment where the model puts it", () => {
  const P = 4 * MIB - 16 * 64
  const boundaries = [1, 65_535, 65_536, 65_537, 131_072, P - 1, P, P + 1, 2 * P - 1, 2 * P, 2 * P + 65_537]
  for (const blockBytes of [4 * MIB, 1 * MIB, 64 * 1024, 100_000, 4096, 65_552 * 2]) {
    assert.equal(storedBytesOf(0, blockBytes), 0)
    for (const plainBytes of blockBytes < MIB ? boundaries.slice(0, 5) : boundaries) {
      const model = modelOf(plainBytes, blockBytes)
      const lengthBytes = storedBytesOf(plainBytes, blockBytes)
      const last = must(model.at(-1), "it has bytes")
      assert.equal(lengthBytes, last.storedAt + last.storedBytes)
      assert.equal(plainBytesOf({ lengthBytes, blockBytes, isSealed: true }), plainBytes)
      assert.equal(plainBytesOf({ lengthBytes, blockBytes }), lengthBytes, "one that is not sealed is its plaintext")
      for (const { plainBytes: bytes, ...place } of model) {
        const expected = { ...place, isLast: place.storedAt === last.storedAt }
        for (const offset of [place.plainAt, place.plainAt + bytes - 1])
          assert.deepEqual(segmentOf({ lengthBytes, blockBytes }, offset), expected)
      }
      assert.throws(() => segmentOf({ lengthBytes, blockBytes }, plainBytes))
    }
  }
})

test("the segments of a range cover it, and nothing more", () => {
  const lengths = fc.record({
    plainBytes: fc.integer({ min: 1, max: 3_000_000 }),
    blockBytes: fc.integer({ min: 17, max: 1_200_000 }),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    of: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  const property = fc.property(lengths, ({ plainBytes, blockBytes, at, of }) => {
    fc.pre(isSealedLength(blockBytes) && plainBytes / blockBytes < 500)
    const extent = { lengthBytes: storedBytesOf(plainBytes, blockBytes), blockBytes }
    const first = Math.min(plainBytes - 1, Math.floor(at * plainBytes))
    const length = Math.max(1, Math.floor(of * (plainBytes - first)))
    const covering = modelOf(plainBytes, blockBytes).filter(
      segment => segment.plainAt < first + length && segment.plainAt + segment.plainBytes > first,
    )
    const begin = must(covering[0], "it has bytes")
    const range = segmentRange(extent, first, length)
    assert.equal(range.offsetBytes, begin.storedAt)
    assert.equal(
      range.lengthBytes,
      covering.reduce((sum, segment) => sum + segment.storedBytes, 0),
    )
    assert.equal(range.first.block, begin.block)
    assert.equal(range.first.segment, begin.segment)
    assert.equal(range.skipBytes, first - begin.plainAt)
  })
  fc.assert(property, { numRuns: 500 })
})

test("every block size that can be configured can be sealed", () => {
  for (let blockBytes = BLOCK_BYTES_MIN; blockBytes <= BLOCK_BYTES_MAX; blockBytes += SUB_BLOCK_BYTES)
    assert.ok(isSealedLength(blockBytes), `${blockBytes}`)
  assert.equal(plainBytesOf({ lengthBytes: 4 * MIB, blockBytes: 4 * MIB, isSealed: true }), 4_193_280)
})
