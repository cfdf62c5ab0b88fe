/** Sealed rows: golden bytes both ways, and bytes that were changed, moved, or never sealed. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { RowCipher, rowsKeyOf } from "@hayloft/base/encryption/row-cipher.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { openColumn, sealColumn, type SealedPlace } from "./sealed-row.js"

const AT_REST_KEY = new Uint8Array(32).fill(7)
const PLACE: SealedPlace = {
  family: "current",
  key: rowKeyOf("\0\0\0\0\0\0\0\x01photos/h\xe9ron\0"),
  column: "value",
  version: 0x1_2345_6789_0123n,
}
const PLAIN = Uint8Array.from({ length: 40 }, (_, at) => at)

/** Nonces that differ. */
function cipherOf(key = AT_REST_KEY): RowCipher {
  let drawn = 0
  return new RowCipher(rowsKeyOf(key), {
    bytes(count) {
      const bytes = Buffer.alloc(count)
      bytes.writeUInt32BE((drawn += 1))
      return bytes
    },
  })
}

const refused =
  (what: RegExp) =>
  (error: unknown): boolean =>
    isFailure(error, "corruptRow") && what.test(error.message)
const DOES_NOT_OPEN = refused(/the (value|head) of a row of family \w+ does not open/)

test("golden bytes, both ways", () => {
  const golden = readFileSync(
    new URL("../../../../../packages/engine/src/format/golden/sealed-row-v1.hex", import.meta.url),
    "utf8",
  ).trim()
  assert.equal(hexOf(sealColumn(cipherOf(), PLACE, PLAIN)), golden)
  assert.deepEqual(new Uint8Array(openColumn(cipherOf(), PLACE, must(bytesOfHex(golden), "hex"))), PLAIN)
})

test("values of every length open where they are, also empty ones, and are not in the bytes", () => {
  const cipher = cipherOf()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.bigInt({ min: 1n, max: 2n ** 62n }), (plain, version) => {
      const place = { ...PLACE, version }
      const sealed = sealColumn(cipher, place, plain)
      assert.deepEqual(new Uint8Array(openColumn(cipher, place, sealed)), plain)
      if (plain.length >= 8) assert.equal(Buffer.from(sealed).indexOf(plain), -1)
      assert.notDeepEqual(sealColumn(cipher, place, plain), sealed, "a nonce of its own")
    }),
  )
})

test("a value that was moved to another row, column or version does not open", () => {
  const cipher = cipherOf()
  const sealed = sealColumn(cipher, PLACE, PLAIN)
  const elsewhere: readonly Partial<SealedPlace>[] = [
    { family: "versions" },
    { column: "head" },
    { key: rowKeyOf(`${PLACE.key}x`) },
    // Under the same key, and under another one.
    { version: PLACE.version + 1n },
    { version: PLACE.version + (1n << 20n) },
  ]
  for (const change of elsewhere) {
    assert.throws(() => openColumn(cipher, { ...PLACE, ...change }, sealed), DOES_NOT_OPEN, Object.keys(change).join())
  }
  assert.throws(() => openColumn(cipherOf(new Uint8Array(32)), PLACE, sealed), DOES_NOT_OPEN)
})

test("each changed or missing byte is noticed", () => {
  const cipher = cipherOf()
  const sealed = sealColumn(cipher, PLACE, PLAIN)
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Uint8Array.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.throws(() => openColumn(cipher, PLACE, changed), refused(at === 0 ? /is not encrypted/ : /does not open/))
    assert.throws(
      () => openColumn(cipher, PLACE, sealed.subarray(0, at)),
      refused(at === 0 ? /is not encrypted/ : /does not open/),
    )
  }
})

test("a value that was never sealed is refused by name", () => {
  assert.throws(
    () => openColumn(cipherOf(), PLACE, Uint8Array.of(0x93, 1, 2, 3)),
    refused(/family current is not encr/),
  )
})
