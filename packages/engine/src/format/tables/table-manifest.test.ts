import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { RowSum } from "./row-sum.js"
import { fileSeed } from "./table-block.js"
import {
  decodeManifest,
  EMPTY_MANIFEST,
  encodeManifest,
  manifestHash,
  manifestIn,
  type Manifest,
} from "./table-manifest.js"

const DEVICE = parseDeviceId("fedcba9876543210")
const OTHER_DEVICE = parseDeviceId("0123456789abcdef")
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1")

const entry = {
  number: 7,
  level: 0,
  run: 41,
  sizeBytes: 8_400_000,
  rows: 30_000,
  tombstones: 12,
  replacing: 400,
  footerHash: "0123456789abcdef",
  firstKey: latin1("\x01a"),
  lastKey: latin1("\x02\xff"),
}
const MANIFEST: Manifest = {
  generation: 2 ** 33 + 1,
  previousHash: "fedcba9876543210",
  nextNumber: 9,
  tables: [
    { ...entry, from: undefined, merged: { rows: 0, sum: new RowSum() } },
    { ...entry, number: 8, level: 6, from: latin1("\x01m"), merged: { rows: 10, sum: new RowSum(1, 0xffff_ffff) } },
  ],
  marks: new Map([
    [rowKeyOf("log"), latin1("\x00\x01")],
    [rowKeyOf("tablet \xe9"), latin1("")],
  ]),
  damaged: [{ from: latin1("\x01b"), to: latin1("\x01c"), file: 8, reason: "a block of rows fails its checksum" }],
}

const golden = Buffer.from(
  bytesOfHex(
    readFileSync(
      new URL("../../../../../../packages/engine/src/format/golden/table-manifest-v1.hex", import.meta.url),
      "utf8",
    ).trim(),
  ) ?? [],
)
const isRefusal = (error: unknown): boolean => isFailure(error, "corruptRecord")

test("table manifest v1 is unchanged, byte for byte", () => {
  assert.equal(hexOf(encodeManifest(MANIFEST, DEVICE)), hexOf(golden))
  assert.deepEqual(decodeManifest(golden, DEVICE), MANIFEST)
  assert.deepEqual(decodeManifest(encodeManifest(EMPTY_MANIFEST, DEVICE), DEVICE), EMPTY_MANIFEST)
})

test("every prefix and every single flipped bit of a manifest is refused", () => {
  for (let length = 0; length < golden.length; length += 1) {
    assert.throws(() => decodeManifest(golden.subarray(0, length), DEVICE), isRefusal, `${length} bytes`)
  }
  assert.throws(() => decodeManifest(Buffer.concat([golden, Buffer.alloc(1)]), DEVICE), isRefusal)
  for (let bit = 0; bit < golden.length * 8; bit += 1) {
    const flipped = Buffer.from(golden)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => decodeManifest(flipped, DEVICE), isRefusal, `bit ${bit}`)
  }
})

test("a manifest file that was lengthened contains the manifest, and a shortened one does not", () => {
  for (const surplus of [0, 1, 5000]) {
    const found = manifestIn(Buffer.concat([golden, Buffer.alloc(surplus, 7)]))
    assert.deepEqual([decodeManifest(found, DEVICE), manifestHash(found)], [MANIFEST, manifestHash(golden)])
  }
  for (let length = 0; length < golden.length; length += 1) {
    assert.throws(() => decodeManifest(manifestIn(golden.subarray(0, length)), DEVICE), isRefusal, `${length} bytes`)
  }
})

test("a manifest of another device is refused", () => {
  assert.throws(() => decodeManifest(golden, OTHER_DEVICE), isRefusal)
})

test("a manifest of a later release is not reported as damaged", () => {
  const later = Buffer.from(golden)
  later.writeUInt16LE(3, 4)
  xxh64Into(later.subarray(0, -8), fileSeed(DEVICE, 0), later, later.length - 8)
  assert.throws(
    () => decodeManifest(later, DEVICE),
    error => isFailure(error, "invalidConfig"),
  )
})

test("the hash of a manifest identifies its content", () => {
  const other = encodeManifest({ ...MANIFEST, nextNumber: 10 }, DEVICE)
  assert.notEqual(manifestHash(other), manifestHash(golden))
  assert.equal(manifestHash(golden), manifestHash(encodeManifest(MANIFEST, DEVICE)))
})
