/** Bytes that MinIO has not written: each parser refuses them with a code, or reads something; nothing else happens. */
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { before, test } from "node:test"
import { Crc } from "@hayloft/base/simd/crc.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { parseBucketMetadata } from "./bucket-metadata.js"
import { ChecksumCheck, parseChecksums } from "./checksums.js"
import { parseDriveFormat } from "./drive-format.js"
import { DiskFailure } from "./failure.js"
import { parseIdentityFile } from "./identities.js"
import { parseXlJson } from "./legacy-object.js"
import { MessageReader } from "./message-pack.js"
import { decodeBlock, decompressed } from "./snappy.js"
import { unpackFolders } from "./testing-folders.js"
import { parseXlMeta } from "./xl-meta.js"

const RUNS = 300
let metadata: Buffer = Buffer.alloc(0)
let format = ""

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-minio-"))
  await unpackFolders("four-disks", folder)
  metadata = await readFile(join(folder, "disk1/versions/doc/xl.meta"))
  format = await readFile(join(folder, "disk1/.minio.sys/format.json"), "utf8")
  await rm(folder, { recursive: true })
})

/** Runs a parser; only a coded failure may come of it. */
function survives(parse: () => unknown): void {
  try {
    parse()
  } catch (error) {
    assert.ok(error instanceof DiskFailure, String(error))
  }
}

/** The bytes with some of them changed, and perhaps cut. */
const broken = (bytes: () => Uint8Array): fc.Arbitrary<Buffer> =>
  fc
    .record({
      changes: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
        minLength: 1,
        maxLength: 6,
      }),
      keep: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 3 }),
    })
    .map(({ changes, keep }) => {
      const copy = Buffer.from(bytes())
      for (const [at, value] of changes) if (copy.length > 0) copy[Math.floor(at * (copy.length - 1))] = value
      return keep === null ? copy : copy.subarray(0, Math.floor(keep * copy.length))
    })

const check = (bytes: fc.Arbitrary<Uint8Array>, parse: (bytes: Uint8Array) => unknown): void =>
  fc.assert(
    fc.property(bytes, value => survives(() => parse(value))),
    { numRuns: RUNS },
  )

test("xl.meta, whole, and its parts without the checksum that would find all changes", () => {
  check(fc.uint8Array({ maxLength: 200 }), parseXlMeta)
  check(
    broken(() => metadata),
    parseXlMeta,
  )
  // The form 1.0 has no checksum: the versions of this file as it would have had them.
  const list = new MessageReader(new MessageReader(metadata, 8).byteString())
  list.count()
  list.count()
  const versions = Array.from({ length: list.count() }, () => {
    list.byteString()
    return list.byteString()
  })
  const plain = Buffer.concat([
    Buffer.from("XL2 1   "),
    Buffer.from([0x81, 0xa8]),
    Buffer.from("Versions"),
    Buffer.from([0x90 + versions.length]),
    ...versions,
  ])
  assert.equal(parseXlMeta(plain).length, 5)
  check(
    broken(() => plain),
    parseXlMeta,
  )
})

test("MessagePack: lengths beyond the bytes, nesting, and kinds that do not exist", () => {
  check(fc.uint8Array({ maxLength: 100 }), bytes => new MessageReader(bytes).value())
  for (const bytes of [
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0xff, 0xff, 0xff, 0xff],
    [0xc6, 0xff, 0xff, 0xff, 0xff],
    [0xc1],
    [],
    Array.from({ length: 100 }, () => 0x91),
  ])
    assert.throws(() => new MessageReader(Uint8Array.from(bytes)).value(), { code: "damaged" })
  assert.throws(() => parseXlMeta(Buffer.from("XL2 \u0001\u0000\u0004\u0000\u00c4")), { code: "unknownForm" })
})

test("MessagePack: each kind of value", () => {
  const value = (...bytes: readonly number[]) => new MessageReader(Uint8Array.from(bytes)).value()
  assert.deepEqual(
    [value(0x7f), value(0xff), value(0xc0), value(0xc3), value(0xd1, 0xff, 0xfe), value(0xcd, 1, 0)],
    [127, -1, null, true, -2, 256],
  )
  assert.equal(value(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 2n ** 64n - 1n)
  assert.equal(value(0xd3, 0, 0, 0, 0, 0, 0, 1, 0), 256)
  assert.equal(value(0xa2, 0xc3, 0xa4), "ä")
  assert.deepEqual(value(0x92, 1, 0x81, 0xa1, 0x61, 2), [1, new Map([["a", 2]])])
  assert.equal(value(0xc7, 12, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7), 1_000_000_007)
  assert.equal(value(0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0), 0.5)
})

test("format.json, xl.json, settings and checksums", () => {
  assert.equal(parseDriveFormat(format).sets[0]?.length, 4)
  check(
    broken(() => Buffer.from(format)),
    bytes => parseDriveFormat(Buffer.from(bytes).toString("utf8")),
  )
  const json =
    '{"version":"1.0.1","format":"xl","stat":{"size":1,"modTime":"2019-08-01T10:20:30Z"},"erasure":{"data":1,"parity":1,"blockSize":10,"index":1,"distribution":[1,2],"checksum":[{"name":"part.1","algorithm":"sha256","hash":"00"}]},"meta":{"etag":"a"},"parts":[{"number":1,"size":1,"actualSize":-1}]}'
  assert.equal(parseXlJson(json).parts[0]?.plainBytes, 1)
  check(
    broken(() => Buffer.from(json)),
    bytes => parseXlJson(Buffer.from(bytes).toString("utf8")),
  )
  check(fc.uint8Array({ maxLength: 60 }), bytes =>
    parseBucketMetadata(Buffer.concat([Buffer.from([1, 0, 1, 0]), bytes])),
  )
  check(fc.uint8Array({ maxLength: 60 }), parseChecksums)
})

test("files of identities: of all kinds, old ones, sealed ones, and broken ones", () => {
  const parse = (path: string, content: string) => parseIdentityFile(path, Buffer.from(content))
  assert.deepEqual(parse("policies/old/policy.json", '{"Version":"2012-10-17","Statement":[]}'), {
    kind: "policy",
    name: "old",
    document: { Version: "2012-10-17", Statement: [] },
  })
  assert.deepEqual(parse("policydb/groups/a/b.json", '{"policy":"one, two,"}'), {
    kind: "attached",
    to: "group",
    name: "a/b",
    policies: ["one", "two"],
  })
  assert.equal(parse("sts/TEMPORARY/identity.json", "{}"), undefined)
  assert.throws(() => parseIdentityFile("users/a/identity.json", Buffer.from([0xff, 0xfe])), { code: "sealed" })
  assert.throws(() => parse("users/a/identity.json", "{}"), { code: "damaged" })
  assert.throws(() => parse("groups/a/members.json", "nonsense"), { code: "damaged" })
  const key =
    '{"credentials":{"accessKey":"a","secretKey":"b","status":"off","sessionToken":"a.e30.b","parentUser":"p"}}'
  assert.ok(parse("service-accounts/a/identity.json", key))
  check(
    broken(() => Buffer.from(key)),
    bytes => parseIdentityFile("service-accounts/a/identity.json", bytes),
  )
})

test("a stored checksum of all bytes, and one of checksums of parts", () => {
  const crc32 = (text: string): Buffer => Buffer.from(text, "hex")
  const bytes = Buffer.from("123456789")
  const verify = (stored: Buffer, ...parts: readonly Uint8Array[]): void => {
    const check = new ChecksumCheck(parseChecksums(stored))
    for (const part of parts) {
      check.update(part)
      check.endPart()
    }
    check.end()
  }
  verify(Buffer.concat([Buffer.from([8]), crc32("cbf43926")]), bytes)
  // A checksum of all bytes of an upload in two parts: bits 3, 6 and 9.
  verify(
    Buffer.concat([Buffer.from([0xc8, 0x04]), crc32("cbf43926"), Buffer.from([2])]),
    bytes.subarray(0, 4),
    bytes.subarray(4),
  )
  assert.throws(() => verify(Buffer.concat([Buffer.from([8]), crc32("cbf43927")]), bytes), /not those of its CRC32/)
  // A CRC-64 is one of all bytes without that bit, too: bits 6, 7 and 8.
  const crc64 = new Crc("CRC64NVME")
  crc64.update(bytes)
  const sums = Buffer.alloc(16)
  const ofAll = Buffer.concat([Buffer.from([0xc0, 0x03]), crc64.digest(), Buffer.from([2]), sums])
  verify(ofAll, bytes.subarray(0, 4), bytes.subarray(4))
  // A checksum of those of two parts, which are there, too: bits 3, 6 and 7.
  const parts = Buffer.concat([crc32("cbf43926"), crc32("cbf43926")])
  const ofParts = new Crc("CRC32")
  ofParts.update(parts)
  const composite = (digest: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([0xc8, 0x01]), digest, Buffer.from([2]), parts])
  verify(composite(ofParts.digest()), bytes, bytes)
  assert.throws(() => verify(composite(crc32("00000000")), bytes, bytes), /not those of its CRC32/)
})

/** A frame with its length. */
const frame = (kind: number, ...body: readonly number[]): Buffer =>
  Buffer.from([kind, body.length & 0xff, body.length >> 8, 0, ...body])
const BEGIN = frame(0xff, ...Buffer.from("S2sTwO"))

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function plain(bytes: Uint8Array, size = 5): Promise<string> {
  const all: Uint8Array[] = []
  for await (const piece of decompressed(pieces(bytes, size))) all.push(piece)
  return Buffer.concat(all).toString()
}

test("Snappy and S2: literals, copies, repeats, padding, an index and a second stream", async () => {
  // "abcdabcdabcdabcdx": a literal of 4, a copy with a near offset, the repeat of it, a literal.
  const block = [17, 0x0c, 0x61, 0x62, 0x63, 0x64, 0x01, 4, 0x11, 0, 0x00, 0x78]
  assert.equal(Buffer.from(decodeBlock(Uint8Array.from(block))).toString(), "abcdabcdabcdabcdx")
  // "123456789" has the CRC-32C e3069283, masked 0x78a...: a plain chunk.
  const crc = 0xe3069283
  const masked = Buffer.alloc(4)
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0)
  const chunk = frame(1, ...masked, ...Buffer.from("123456789"))
  const streams = Buffer.concat([BEGIN, chunk, frame(0xfe, 0, 0, 0), frame(0x99, 1, 2, 3), BEGIN, chunk])
  for (const size of [1, 5, 100]) assert.equal(await plain(streams, size), "123456789123456789")
  assert.equal(await plain(Buffer.alloc(0)), "")
  for (const wrong of [
    streams.subarray(0, -1),
    chunk,
    Buffer.concat([BEGIN, frame(1, 0, 0, 0, 0, 1)]),
    Buffer.concat([BEGIN, frame(2, 0)]),
    Buffer.concat([BEGIN, Buffer.from([0, 0xff, 0xff, 0xff])]),
    frame(0xff, ...Buffer.from("sNaPpX")),
  ])
    await assert.rejects(plain(wrong), { code: "damaged" })
})

test("Snappy and S2: no block reaches outside of itself", () => {
  check(fc.uint8Array({ maxLength: 60 }), decodeBlock)
  check(
    fc.tuple(fc.nat(100), fc.uint8Array({ maxLength: 60 })).map(([length, rest]) => Uint8Array.from([length, ...rest])),
    decodeBlock,
  )
})
