import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseDeviceId, parseIncarnation, parseVolumeId } from "@hayloft/base/ids.js"
import type { GroupHeader, VolumeHeader } from "./volume.js"
import {
  chainChecksum,
  decodeGroupHeader,
  decodeVolumeHeader,
  decodeVolumePosition,
  encodeGroupHeader,
  encodeVolumeHeader,
  encodeVolumePosition,
  firstPosition,
  needlesChecksumOf,
} from "./volume.js"

const VOLUME_HEADER_BYTES = 64
const VOLUME: VolumeHeader = {
  kind: "needles",
  deviceId: parseDeviceId("0123456789abcdef"),
  volumeId: parseVolumeId(9),
  incarnation: parseIncarnation(77),
  sealed: { volumeId: parseVolumeId(8), offsetBytes: 2 ** 32 + 4096, groups: 123, checksum: 0xfedc_ba98_7654_3210n },
}
const GROUP: GroupHeader = {
  deviceId: VOLUME.deviceId,
  volumeId: VOLUME.volumeId,
  needles: 3,
  sequence: 5,
  lengthBytes: 12_288,
  offsetBytes: 2 ** 33,
  previousChecksum: 0x0123_4567_89ab_cdefn,
  needlesChecksum: needlesChecksumOf([1n, 2n, 3n]),
}

const golden = (name: string): string =>
  readFileSync(
    new URL(`../../../../../../packages/engine/src/format/golden/${name}.hex`, import.meta.url),
    "utf8",
  ).replaceAll(/\s/g, "")

test("golden bytes of version 1: volume header and group header, both ways", () => {
  const page = encodeVolumeHeader(VOLUME)
  assert.equal(hexOf(page.subarray(0, VOLUME_HEADER_BYTES)), golden("volume-v1"))
  assert.ok(page.subarray(VOLUME_HEADER_BYTES).every(byte => byte === 0))
  assert.deepEqual(decodeVolumeHeader(page), VOLUME)
  assert.equal(hexOf(encodeGroupHeader(GROUP)), golden("group-v1"))
  assert.deepEqual(decodeGroupHeader(encodeGroupHeader(GROUP)), GROUP)
})

test("golden bytes of the header of a volume whose needles end, both ways", () => {
  const ending: VolumeHeader = { ...VOLUME, endsByMs: 1_800_000_000_123 }
  const page = encodeVolumeHeader(ending)
  assert.equal(hexOf(page.subarray(0, VOLUME_HEADER_BYTES)), golden("volume-v1-ends"))
  assert.deepEqual(decodeVolumeHeader(page), ending)
})

test("a first volume has no predecessor", () => {
  const first: VolumeHeader = { ...VOLUME, kind: "payloads", sealed: undefined }
  assert.deepEqual(decodeVolumeHeader(encodeVolumeHeader(first)), first)
})

test("every prefix and every flipped bit of the headers is refused, and so is a header of the other kind", () => {
  const cases = [
    {
      bytes: encodeVolumeHeader(VOLUME).subarray(0, VOLUME_HEADER_BYTES),
      decode: decodeVolumeHeader,
      other: decodeGroupHeader,
    },
    { bytes: encodeGroupHeader(GROUP), decode: decodeGroupHeader, other: decodeVolumeHeader },
  ]
  for (const { bytes, decode, other } of cases) {
    assert.notEqual(decode(bytes), undefined)
    assert.equal(other(bytes), undefined)
    for (let length = 0; length < bytes.length; length += 1) assert.equal(decode(bytes.subarray(0, length)), undefined)
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.equal(decode(flipped), undefined, `bit ${bit}`)
    }
  }
})

test("positions survive as marks and as the start of a chain", () => {
  const page = encodeVolumeHeader(VOLUME)
  const first = firstPosition(VOLUME.volumeId, page)
  assert.deepEqual(first, { volumeId: 9, offsetBytes: 4096, groups: 0, checksum: chainChecksum(page) })
  assert.deepEqual(decodeVolumePosition(encodeVolumePosition(first)), first)
  assert.throws(() => decodeVolumePosition(page))
})
