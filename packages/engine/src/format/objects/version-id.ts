/**
 * Ids that contain an order: version ids and multipart upload ids are 16 bytes in base32 (RFC 4648
 * extended hex, 26 characters, so that text order is byte order).
 *
 * A version id is the complemented order (newest first) and 64 random bits: one seek finds its row.
 * A multipart id is the start order itself and 64 random bits: uploads list by their start.
 */
import type { MultipartId, VersionId } from "@hayloft/base/ids.js"
import { parseMultipartId, parseVersionId } from "@hayloft/base/ids.js"
import { fail } from "@hayloft/base/failures.js"

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
const ID_BYTES = 16
const ID_CHARACTERS = 26
export const RANDOM_BYTES = 8

function encodeBase32(bytes: Uint8Array): string {
  let text = ""
  let held = 0
  let bits = 0
  for (const byte of bytes) {
    held = ((held & 0x1f) << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += DIGITS[(held >>> bits) & 0x1f]
    }
  }
  return bits > 0 ? text + DIGITS[(held << (5 - bits)) & 0x1f] : text
}

/** The 16 bytes of an id. Throws `invalidArgument` if the text is not such an id. */
export function bytesOfVersionId(text: string): Uint8Array {
  const bytes = new Uint8Array(ID_BYTES)
  let held = 0
  let bits = 0
  let at = 0
  for (const character of text) {
    const digit = DIGITS.indexOf(character)
    if (digit < 0 || text.length !== ID_CHARACTERS) throw fail("invalidArgument", { message: "the id is malformed" })
    held = ((held & 0xff) << 5) | digit
    bits += 5
    if (bits >= 8 && at < ID_BYTES) {
      bits -= 8
      bytes[at] = (held >>> bits) & 0xff
      at += 1
    }
  }
  if (at !== ID_BYTES || encodeBase32(bytes) !== text) throw fail("invalidArgument", { message: "the id is malformed" })
  return bytes
}

function idBytes(order: number, random: Uint8Array, complemented: boolean): Uint8Array {
  const bytes = new Uint8Array(ID_BYTES)
  const view = new DataView(bytes.buffer)
  const high = Math.floor(order / 0x1_0000_0000)
  const low = order % 0x1_0000_0000
  view.setUint32(0, complemented ? ~high >>> 0 : high)
  view.setUint32(4, complemented ? ~low >>> 0 : low)
  bytes.set(random.subarray(0, RANDOM_BYTES), 8)
  return bytes
}

export const NULL_VERSION: VersionId = parseVersionId("null")

export const versionIdOf = (order: number, random: Uint8Array): VersionId =>
  parseVersionId(encodeBase32(idBytes(order, random, true)))

function orderIn(bytes: Uint8Array, complemented: boolean): number {
  const view = new DataView(bytes.buffer)
  const [high, low] = [view.getUint32(0), view.getUint32(4)]
  return complemented ? (~high >>> 0) * 0x1_0000_0000 + (~low >>> 0) : high * 0x1_0000_0000 + low
}

/** The order and the random bits in a version id. Throws `invalidArgument`. */
export function partsOfVersionId(id: VersionId): { order: number; random: Uint8Array } {
  const bytes = bytesOfVersionId(id)
  const order = orderIn(bytes, true)
  if (!Number.isSafeInteger(order)) throw fail("invalidArgument", { message: "the version id is malformed" })
  return { order, random: bytes.subarray(8) }
}

export const multipartIdOf = (startOrder: number, random: Uint8Array): MultipartId =>
  parseMultipartId(encodeBase32(idBytes(startOrder, random, false)))

/** The order that the id was made with. Throws `invalidArgument`. */
export const orderOfMultipartId = (id: MultipartId): number => orderIn(bytesOfVersionId(id), false)

/** The multipart id whose 16 bytes begin a row suffix. */
export function multipartIdOfSuffix(suffix: string): MultipartId {
  const bytes = new Uint8Array(ID_BYTES)
  for (let i = 0; i < ID_BYTES; i += 1) bytes[i] = suffix.charCodeAt(i)
  return parseMultipartId(encodeBase32(bytes))
}

/** Returns true if the text can be one of our multipart ids; no other text identifies an upload. */
export function isMultipartId(text: string): boolean {
  try {
    bytesOfVersionId(text)
    return true
  } catch {
    return false
  }
}
