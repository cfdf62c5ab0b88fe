import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import { xxh64 } from "../simd/xxh64.js"
import { decodeNodeIdentity, encodeNodeIdentity } from "./node-identity.js"

const SAMPLE = {
  privateKey: Uint8Array.from({ length: 32 }, (_, i) => i),
  certificate: Uint8Array.from({ length: 21 }, (_, i) => 0xf0 - i),
}

test("node identity v1 is unchanged, byte for byte, both ways", () => {
  const url = new URL("../../../src/format/golden/node-identity-v1.hex", import.meta.url)
  const golden = readFileSync(url, "utf8").replaceAll(/\s/g, "")
  assert.equal(hexOf(encodeNodeIdentity(SAMPLE)), golden)
  assert.deepEqual(decodeNodeIdentity(bytesOfHex(golden) ?? new Uint8Array(0)), SAMPLE)
})

test("every prefix and every single flipped bit of a node identity is refused", () => {
  const bytes = encodeNodeIdentity(SAMPLE)
  const refuses = (damaged: Uint8Array): void => {
    assert.throws(
      () => decodeNodeIdentity(damaged),
      error => isFailure(error, "corruptRecord"),
    )
  }
  for (let length = 0; length < bytes.length; length += 1) refuses(bytes.subarray(0, length))
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = bytes.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refuses(flipped)
  }
  refuses(Uint8Array.of(...bytes, 0))
})

/** The bytes with a change, and the checksum that fits it. */
function changed(change: (view: DataView) => void): Uint8Array {
  const bytes = encodeNodeIdentity(SAMPLE)
  const view = new DataView(bytes.buffer)
  change(view)
  view.setBigUint64(bytes.length - 8, xxh64(bytes.subarray(0, bytes.length - 8)), true)
  return bytes
}

test("a node identity whose length disagrees is refused, and one of a later release is not reported as damaged", () => {
  assert.throws(
    () => decodeNodeIdentity(changed(view => view.setUint16(6, 20, true))),
    error => isFailure(error, "corruptRecord"),
  )
  assert.throws(
    () => decodeNodeIdentity(changed(view => view.setUint16(4, 2, true))),
    error => isFailure(error, "invalidConfig"),
  )
})
