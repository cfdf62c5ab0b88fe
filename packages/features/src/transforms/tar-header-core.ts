/**
 * Headers of tar archives: one block of 512 bytes, and the records of a PAX extended header.
 *
 * Reads ustar and PAX (POSIX.1-2017, pax), GNU and old GNU, star's prefix, and those of Unix V7. Names are bytes,
 * since headers do not state an encoding.
 *
 * The package `tar` (7.5.23) decodes headers as well, but not for an index: it decodes names as UTF-8, so that other
 * names lose bytes and two of them become one; it puts the prefix of the header before a path from a PAX record; it
 * takes "12x" for a number, passes over PAX records that are broken or contain a line feed, and does not tell that a
 * file is sparse.
 *
 * Refuses   A wrong checksum, a number that is none, a broken record: `invalidRequest` with the offset.
 * Limits    Sizes below 2^53. A time that is none, or more than 31,000 years from 1970, is read as 1970.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { TAR_MODIFIED_MS_MAX } from "@hayloft/engine/format/objects/tar-index.js"

export const BLOCK_BYTES = 512

const NUL = 0
const BLANK = 0x20
const LINE_FEED = 0x0a
const EQUALS = 0x3d
const [ZERO, SEVEN, NINE] = [0x30, 0x37, 0x39]
const [BASE_256, BASE_256_NEGATIVE] = [0x80, 0xff]
const SECOND_MS = 1000

interface Field {
  readonly at: number
  readonly bytes: number
}

const NAME: Field = { at: 0, bytes: 100 }
const SIZE: Field = { at: 124, bytes: 12 }
const MODIFIED: Field = { at: 136, bytes: 12 }
const SUM: Field = { at: 148, bytes: 8 }
const TYPE_AT = 156
const TARGET: Field = { at: 157, bytes: 100 }
const MAGIC_AT = 257
const USTAR_MAGIC = Buffer.from("ustar\0")
const GNU_MAGIC = Buffer.from("ustar  \0")
const PREFIX: Field = { at: 345, bytes: 155 }
/** The prefix field of star is shorter, since times follow it. */
const STAR_PREFIX_BYTES = 131
const STAR_MAGIC_AT = 508
const STAR_MAGIC = Buffer.from("tar\0")
/** Fields of a sparse file of GNU tar: whether more blocks of its map follow, and the size of the whole file. */
const SPARSE_MORE_AT = 482
const SPARSE_SIZE: Field = { at: 483, bytes: 12 }
/** The same in each of these blocks. */
const MORE_SPARSE_MORE_AT = 504

/** A header as it is, before extended headers. Its bytes are part of the block. */
export interface TarHeader {
  /** A letter or digit; "0" for that of Unix V7, a zero byte. */
  readonly type: string
  readonly path: Uint8Array
  readonly linkTarget: Uint8Array
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Set only for a sparse file of GNU tar. */
  readonly sparse: { readonly sizeBytes: number; readonly hasMore: boolean } | undefined
}

export const brokenAt = (offsetBytes: number, what: string): Failure =>
  fail("invalidRequest", { message: `the tar archive is broken at offset ${offsetBytes}: ${what}` })

const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0

export function isZeroBlock(block: Uint8Array): boolean {
  for (const each of block) if (each !== 0) return false
  return true
}

/** Returns true if the block has the checksum of a header. Some old programs have added up signed bytes. */
export function hasChecksum(block: Uint8Array): boolean {
  const stated = octalOf(block, SUM)
  let [sum, high] = [SUM.bytes * BLANK, 0]
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    if (at === SUM.at) at += SUM.bytes
    const each = byte(block, at)
    sum += each
    high += each >>> 7
  }
  return stated === sum || stated === sum - 256 * high
}

/** Throws unless the block, which is at this offset, is a header. */
export function parseTarHeader(block: Uint8Array, offsetBytes: number): TarHeader {
  if (!hasChecksum(block)) throw brokenAt(offsetBytes, "the checksum of the header is wrong")
  const typeByte = byte(block, TYPE_AT)
  const type = typeByte === NUL ? "0" : String.fromCharCode(typeByte)
  return {
    type,
    path: pathOf(block),
    linkTarget: textOf(block, TARGET),
    sizeBytes: sizeOf(block, SIZE, offsetBytes),
    modifiedMs: timeMs(secondsOf(block)),
    sparse: type === "S" && isAt(block, MAGIC_AT, GNU_MAGIC) ? sparseOf(block, offsetBytes) : undefined,
  }
}

const sparseOf = (block: Uint8Array, offsetBytes: number) => ({
  sizeBytes: sizeOf(block, SPARSE_SIZE, offsetBytes),
  hasMore: byte(block, SPARSE_MORE_AT) !== 0,
})

/** Returns true if one more block of a sparse file's map follows this one. */
export const hasMoreSparse = (block: Uint8Array): boolean => byte(block, MORE_SPARSE_MORE_AT) !== 0

function isAt(block: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i += 1) if (block[at + i] !== text[i]) return false
  return true
}

/** The bytes of a field, up to a zero byte. */
function textOf(block: Uint8Array, { at, bytes }: Field): Uint8Array {
  let end = at
  while (end < at + bytes && block[end] !== NUL) end += 1
  return block.subarray(at, end)
}

function pathOf(block: Uint8Array): Uint8Array {
  const name = textOf(block, NAME)
  if (!isAt(block, MAGIC_AT, USTAR_MAGIC)) return name
  const isOfStar = isAt(block, STAR_MAGIC_AT, STAR_MAGIC)
  const prefix = textOf(block, isOfStar ? { at: PREFIX.at, bytes: STAR_PREFIX_BYTES } : PREFIX)
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name])
}

/** Octal digits between blanks, up to a zero byte or a blank. Undefined: something else; an empty field is 0. */
function octalOf(block: Uint8Array, { at, bytes }: Field): number | undefined {
  const end = at + bytes
  let from = at
  while (from < end && block[from] === BLANK) from += 1
  let value = 0
  for (let i = from; i < end; i += 1) {
    const digit = byte(block, i)
    if (digit === NUL || digit === BLANK) return value
    if (digit < ZERO || digit > SEVEN) return undefined
    value = value * 8 + (digit - ZERO)
  }
  return value
}

/** A number in octal digits, or in bytes after one with the highest bit. Undefined: it is none, or not exact. */
function numberOf(block: Uint8Array, field: Field): number | undefined {
  const { at, bytes } = field
  const lead = byte(block, at)
  if (lead < BASE_256) return octalOf(block, field)
  if (lead !== BASE_256 && lead !== BASE_256_NEGATIVE) return undefined
  let value = 0n
  for (let i = at + 1; i < at + bytes; i += 1) value = value * 256n + BigInt(byte(block, i))
  const number = Number(lead === BASE_256 ? value : BigInt.asIntN(8 * (bytes - 1), value))
  return Number.isSafeInteger(number) ? number : undefined
}

function sizeOf(block: Uint8Array, field: Field, offsetBytes: number): number {
  const size = numberOf(block, field)
  if (size === undefined || size < 0) throw brokenAt(offsetBytes, "the size in the header is no number")
  return size
}

const secondsOf = (block: Uint8Array): number => numberOf(block, MODIFIED) ?? 0

function timeMs(seconds: number): number {
  // Adding 0 makes a negative zero a positive one.
  const ms = Math.floor(seconds * SECOND_MS) + 0
  return Math.abs(ms) <= TAR_MODIFIED_MS_MAX ? ms : 0
}

/** Properties of a member that PAX records state; the others are undefined. */
export interface PaxFields {
  readonly path?: Uint8Array | undefined
  readonly linkTarget?: Uint8Array | undefined
  readonly sizeBytes?: number | undefined
  readonly modifiedMs?: number | undefined
  /** It is a sparse file of GNU tar. */
  readonly isSparse?: boolean | undefined
  readonly sparsePath?: Uint8Array | undefined
  readonly sparseSizeBytes?: number | undefined
}

interface PaxRecord {
  readonly key: string
  readonly value: Uint8Array
}

/** Returns `before` with the records of an extended header, which is at this offset. An empty value removes a field. */
export function parsePax(data: Uint8Array, offsetBytes: number, before: PaxFields): PaxFields {
  let fields = before
  for (const { key, value } of recordsOf(data, offsetBytes)) {
    fields = { ...fields, ...fieldsOf(key, value, offsetBytes) }
  }
  return fields
}

function fieldsOf(key: string, value: Uint8Array, offsetBytes: number): PaxFields {
  const name = (): Uint8Array | undefined => {
    if (value.includes(NUL)) throw brokenAt(offsetBytes, `"${key}" of an extended header has a zero byte`)
    return value.length === 0 ? undefined : Uint8Array.from(value)
  }
  const number = (pattern: RegExp): number | undefined => {
    const text = Buffer.from(value).toString("latin1")
    if (text === "") return undefined
    const found = pattern.test(text) ? Number(text) : NaN
    if (!Number.isFinite(found)) throw brokenAt(offsetBytes, `"${key}" of an extended header is no number`)
    return found
  }
  const size = (): number | undefined => {
    const found = number(/^\d+$/)
    if (found !== undefined && !Number.isSafeInteger(found)) {
      throw brokenAt(offsetBytes, `"${key}" of an extended header is larger than any object`)
    }
    return found
  }
  if (key.startsWith("GNU.sparse.")) return { isSparse: true, ...sparseFieldsOf(key, name, size) }
  if (key === "path") return { path: name() }
  if (key === "linkpath") return { linkTarget: name() }
  if (key === "size") return { sizeBytes: size() }
  if (key !== "mtime") return {}
  const seconds = number(/^-?\d+(?:\.\d*)?$/)
  return { modifiedMs: seconds === undefined ? undefined : timeMs(seconds) }
}

function sparseFieldsOf(
  key: string,
  name: () => Uint8Array | undefined,
  size: () => number | undefined,
): Pick<PaxFields, "sparsePath" | "sparseSizeBytes"> {
  if (key === "GNU.sparse.name") return { sparsePath: name() }
  return key === "GNU.sparse.size" || key === "GNU.sparse.realsize" ? { sparseSizeBytes: size() } : {}
}

/** Each record is its length in decimal digits, a blank, the key, "=", the value and a line feed. */
function* recordsOf(data: Uint8Array, offsetBytes: number): Generator<PaxRecord, void> {
  let at = 0
  // Some programs fill the rest with zero bytes.
  while (at < data.length && data[at] !== NUL) {
    let [digits, lengthBytes] = [at, 0]
    for (; byte(data, digits) >= ZERO && byte(data, digits) <= NINE; digits += 1) {
      lengthBytes = lengthBytes * 10 + byte(data, digits) - ZERO
    }
    const end = at + lengthBytes
    const equals = data.indexOf(EQUALS, digits)
    const isRecord =
      digits > at && data[digits] === BLANK && end <= data.length && equals > digits + 1 && equals < end - 1
    if (!isRecord || data[end - 1] !== LINE_FEED) {
      throw brokenAt(offsetBytes, "a record of the extended header is malformed")
    }
    const key = Buffer.from(data.subarray(digits + 1, equals)).toString("utf8")
    yield { key, value: data.subarray(equals + 1, end - 1) }
    at = end
  }
}
