/**
 * Sealing: how the bytes of an object are encrypted and authenticated, and where their segments are. See decision 56.
 *
 * A sealed block has its segments one after another; a full block of `blockBytes` has fewer bytes of plaintext than
 * that. `lengthBytes` of an extent is always the stored length; the length of the plaintext follows from it.
 *
 * Promises  A release that does not know sealing refuses every record that has it: format 2 of a version's head, of an
 *           upload and of a recovery header. So it never takes sealed bytes for plaintext.
 */
import { assert } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { isSealedLength, openedBytesOf, sealedBytesOf } from "@hayloft/base/encryption/segments.js"
import { SEAL_TAG_BYTES, SEGMENT_PLAIN_BYTES, SEGMENT_STORED_BYTES } from "@hayloft/base/encryption/segments.js"
import { packed } from "../encoding/fields.js"
import type { RecordReader } from "../encoding/pack.js"

/** The party that provides the secrets that the object's key is derived from, besides the secret of the bucket. */
export type SealingKey =
  /** Nobody. `atRest` is not shown to clients, `s3` is SSE-S3. */
  | { readonly mode: "atRest" | "s3" }
  /** SSE-KMS: a data key, as ciphertext of the KMS or by the number of a bucket key. */
  | {
      readonly mode: "kms"
      readonly keyArn: string
      readonly dataKey: Uint8Array | number
      /** Canonical JSON of the encryption context: the client's pairs, and that of S3. */
      readonly context: string | undefined
    }
  /** SSE-C: the client. `check` recognises its key. */
  | { readonly mode: "client"; readonly check: Uint8Array }

/** The sealing of the future version, as far as an upload knows it. */
export interface Sealing {
  readonly key: SealingKey
  /** Number of the bucket's secret. */
  readonly secret: number
  /** 16 bytes. */
  readonly salt: Uint8Array
}

/** The sealing of a version. `bind` ties the record to bucket, key and version. */
export interface BoundSealing extends Sealing {
  /** 16 bytes. */
  readonly bind: Uint8Array
}

/** Returns true if bytes that are sealed in these ways have the same key. */
export const isSameSealing = (a: Sealing | undefined, b: Sealing | undefined): boolean =>
  a === undefined || b === undefined
    ? a === b
    : a.key.mode === b.key.mode && a.secret === b.secret && equalBytes(a.salt, b.salt)

const [SALT_BYTES, BIND_BYTES, CHECK_BYTES] = [16, 16, 16]
/** Secrets and bucket keys are numbered in 4 bytes of a row key. */
const NUMBER_MAX = 0xffff_ffff
/** Numbers are on disk, and keys derive from them: append only. */
export const MODES: readonly SealingKey["mode"][] = ["atRest", "s3", "kms", "client"]

const packSealing = ({ key, secret, salt, bind }: Sealing & { readonly bind?: Uint8Array }): readonly unknown[] => [
  MODES.indexOf(key.mode),
  secret,
  salt,
  bind ?? null,
  packKey(key),
]

function packKey(key: SealingKey): readonly unknown[] | null {
  if (key.mode === "client") return [key.check]
  if (key.mode !== "kms") return null
  const { keyArn, dataKey, context } = key
  return typeof dataKey === "number"
    ? [keyArn, null, context ?? null, dataKey]
    : [keyArn, dataKey, context ?? null, null]
}

/** Throws `corruptRecord`. */
export function readSealing(row: RecordReader): Sealing {
  const { sealing, bind } = readMembers(row)
  if (bind !== undefined) throw corrupt("bind")
  return sealing
}

/** Throws `corruptRecord`. */
export function readBoundSealing(row: RecordReader): BoundSealing {
  const { sealing, bind } = readMembers(row)
  if (bind === undefined) throw corrupt("bind")
  return { ...sealing, bind }
}

export const SEALING = packed<Sealing>(packSealing, readSealing)
export const BOUND_SEALING = packed<BoundSealing>(packSealing, readBoundSealing)

function readMembers(row: RecordReader): { readonly sealing: Sealing; readonly bind: Uint8Array | undefined } {
  const mode = MODES[row.number()]
  if (mode === undefined) throw corrupt("mode")
  const secret = wholeNumber(row, "secret")
  const salt = bytesOf(row, SALT_BYTES, "salt")
  const bind = row.optional(() => bytesOf(row, BIND_BYTES, "bind"))
  const members = row.optional(() => row.row())
  return { sealing: { key: readKey(mode, members), secret, salt }, bind }
}

function readKey(mode: SealingKey["mode"], members: RecordReader | undefined): SealingKey {
  if (mode === "atRest" || mode === "s3") {
    if (members !== undefined) throw corrupt("key")
    return { mode }
  }
  if (members === undefined) throw corrupt("key")
  if (mode === "client") return { mode, check: bytesOf(members, CHECK_BYTES, "check") }
  const keyArn = members.text()
  const sealed = members.optional(() => members.bytes())
  const context = members.optional(() => members.text())
  const bucketKey = members.optional(() => wholeNumber(members, "bucketKey"))
  const dataKey = sealed ?? bucketKey
  if (dataKey === undefined || (sealed !== undefined && bucketKey !== undefined)) throw corrupt("dataKey")
  return { mode, keyArn, dataKey, context }
}

function bytesOf(row: RecordReader, length: number, field: string): Uint8Array {
  const bytes = row.bytes()
  if (bytes.length !== length) throw corrupt(field)
  return bytes
}

function wholeNumber(row: RecordReader, field: string): number {
  const value = row.number()
  if (!Number.isInteger(value) || value < 0 || value > NUMBER_MAX) throw corrupt(field)
  return value
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "sealing", field })

/** The members of an extent that say where its bytes are. */
interface Lengths {
  readonly lengthBytes: number
  readonly blockBytes: number
  readonly isSealed?: true
}

/** Returns true if the blocks of a sealed extent can have these lengths. */
export const areSealedLengths = ({ lengthBytes, blockBytes }: Lengths): boolean =>
  isSealedLength(blockBytes) && isSealedLength(lengthBytes % blockBytes)

/** The length of an extent's plaintext. */
export function plainBytesOf({ lengthBytes, blockBytes, isSealed }: Lengths): number {
  if (isSealed === undefined) return lengthBytes
  const blocks = Math.floor(lengthBytes / blockBytes)
  return blocks * openedBytesOf(blockBytes) + openedBytesOf(lengthBytes - blocks * blockBytes)
}

/** The length of a sealed extent with this much plaintext. */
export function storedBytesOf(plainBytes: number, blockBytes: number): number {
  assert(isSealedLength(blockBytes), "each segment of a full block has plaintext")
  const blocks = Math.floor(plainBytes / openedBytesOf(blockBytes))
  return blocks * blockBytes + sealedBytesOf(plainBytes - blocks * openedBytesOf(blockBytes))
}

interface SegmentPlace {
  readonly block: number
  /** In its block. */
  readonly segment: number
  /** In the extent. */
  readonly storedAt: number
  /** With the tag. */
  readonly storedBytes: number
  /** In the plaintext of the extent. */
  readonly plainAt: number
  /** No segment of the extent follows. */
  readonly isLast: boolean
}

/** The segment of a sealed extent that contains a byte of its plaintext. */
export function segmentOf({ lengthBytes, blockBytes }: Lengths, plainOffset: number): SegmentPlace {
  const blockPlainBytes = openedBytesOf(blockBytes)
  const block = Math.floor(plainOffset / blockPlainBytes)
  const segment = Math.floor((plainOffset - block * blockPlainBytes) / SEGMENT_PLAIN_BYTES)
  const storedAt = block * blockBytes + segment * SEGMENT_STORED_BYTES
  const end = Math.min(storedAt + SEGMENT_STORED_BYTES, (block + 1) * blockBytes, lengthBytes)
  const plainAt = block * blockPlainBytes + segment * SEGMENT_PLAIN_BYTES
  const isInside = plainOffset >= 0 && plainOffset - plainAt < end - storedAt - SEAL_TAG_BYTES
  assert(isInside, "the byte is in the extent")
  return { block, segment, storedAt, storedBytes: end - storedAt, plainAt, isLast: end === lengthBytes }
}

interface SegmentRange {
  /** Stored bytes of the extent. */
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** The segment that they begin with. */
  readonly first: SegmentPlace
  /** Plaintext of that segment in front of the range. */
  readonly skipBytes: number
}

/** The segments of a sealed extent that cover a range of its plaintext, of at least 1 byte. */
export function segmentRange(extent: Lengths, firstByte: number, lengthBytes: number): SegmentRange {
  assert(lengthBytes > 0, "a range has bytes")
  const first = segmentOf(extent, firstByte)
  const last = segmentOf(extent, firstByte + lengthBytes - 1)
  const end = last.storedAt + last.storedBytes
  return { offsetBytes: first.storedAt, lengthBytes: end - first.storedAt, first, skipBytes: firstByte - first.plainAt }
}
