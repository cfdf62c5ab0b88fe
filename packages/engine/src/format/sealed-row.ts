/**
 * Sealed rows: what the columns `value` and `head` of a row in a database contain in a store with `--encrypt-at-rest`.
 *
 * Layout: a mark (1: 0xc1, with which no plain value begins), a random nonce (12), the value encrypted with AES-256-GCM,
 * and a tag (16). The tag also covers where the bytes are: family (2), column (1: 0 the value, 1 the head), version of
 * the row (8), all big-endian, and the row's key. So bytes that somebody moves to another row, or to another column, do
 * not open, and neither do those of an earlier version of the same row under the present version's number.
 *
 * Readable   Family, key and version of a row, since statements search by them and compare them; counters, which
 *            statements add up. Payloads are sealed as bodies are.
 * Refuses    With `corruptRow`: bytes that are not sealed, and those that do not open.
 */
import { openWithNonce, sealWithNonce } from "@hayloft/base/encryption/aes-gcm.js"
import { FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { RowCipher } from "@hayloft/base/encryption/row-cipher.js"

/** MessagePack never uses it, and the binary heads of versions begin with their format. */
const MARK = 0xc1
const COLUMNS = ["value", "head"] as const
const PLACE_BYTES = 2 + 1 + 8

/** The place where the bytes are. */
export interface SealedPlace {
  readonly family: Family
  readonly key: RowKey
  readonly column: (typeof COLUMNS)[number]
  readonly version: bigint
}

export function sealColumn(cipher: RowCipher, place: SealedPlace, plain: Uint8Array): Uint8Array {
  const gcm = { key: cipher.keyOf(place.version), nonce: cipher.nonce(), aad: placeBytes(place) }
  const sealed = sealWithNonce(plain, gcm)
  const bytes = Buffer.allocUnsafe(1 + sealed.length)
  bytes[0] = MARK
  bytes.set(sealed, 1)
  return bytes
}

export function openColumn(cipher: RowCipher, place: SealedPlace, bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== MARK) throw damaged(place, "is not encrypted, in a store that encrypts everything")
  const gcm = { key: cipher.keyOf(place.version), aad: placeBytes(place) }
  const plain = openWithNonce(bytes.subarray(1), gcm)
  if (plain === undefined) throw damaged(place, "does not open: it was changed, or moved from another row")
  return plain
}

/** Additional data of one column. */
function placeBytes({ family, key, column, version }: SealedPlace): Uint8Array {
  const bytes = Buffer.allocUnsafe(PLACE_BYTES + key.length)
  bytes.writeUInt16BE(FAMILIES[family], 0)
  bytes.writeUInt8(COLUMNS.indexOf(column), 2)
  bytes.writeBigInt64BE(version, 3)
  bytes.write(key, PLACE_BYTES, "latin1")
  return bytes
}

const damaged = ({ family, key, column }: SealedPlace, what: string): Failure =>
  fail("corruptRow", {
    message: `the ${column} of a row of family ${family} ${what}`,
    family,
    rowKey: Buffer.from(key, "latin1").toString("hex"),
  })
