/**
 * Rows of deduplication: the digests of blocks, and the index by which a block of the same bytes is found. A digest is a
 * keyed hash (`DIGEST_BYTES`), whose key belongs to one bucket and one storage class. See decision 87.
 */
import { assert } from "../base/assert.js"
import { concatBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import {
  parseMultipartId,
  rowKeyOf,
  type BucketId,
  type MultipartId,
  type ObjectKey,
  type RowKey,
} from "../base/ids.js"
import { numberOfClass, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { appendedRowKey, bucketRowKey, multipartRowKey, suffixRange } from "./row-key.js"

/** HMAC-SHA-256. */
const DIGEST_BYTES = 32

/** Digests as one buffer. Throws `corruptRecord`. */
export function checkDigests(bytes: Uint8Array): Uint8Array {
  if (bytes.length % DIGEST_BYTES !== 0) throw fail("corruptRecord", { what: "digests", lengthBytes: bytes.length })
  return bytes
}

export const countOfDigests = (bytes: Uint8Array): number => bytes.length / DIGEST_BYTES

/** Returns a view of each digest. Throws `corruptRecord`. */
export function splitDigests(bytes: Uint8Array): readonly Uint8Array[] {
  const count = countOfDigests(checkDigests(bytes))
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES))
}

/** The digests of neighbouring blocks of segments (family `blockDigests`). The bytes are the segments' own, and never change. */
export interface BlockDigestsRecord {
  readonly storageClass: StorageClass
  /** The number of parts of the upload that made the segments; 0 if no upload did. */
  readonly uploadedParts: number
  readonly blockBytes: number
  /** The length of all these blocks; the last one may be shorter than the others. */
  readonly lengthBytes: number
  readonly digests: readonly Uint8Array[]
}

/** The number of blocks that the bytes fill. */
const blocksOf = ({ blockBytes, lengthBytes }: Pick<BlockDigestsRecord, "blockBytes" | "lengthBytes">): number =>
  Math.ceil(lengthBytes / blockBytes)

export function encodeBlockDigests(record: BlockDigestsRecord): Uint8Array {
  const { storageClass, uploadedParts, blockBytes, lengthBytes, digests } = record
  assert(digests.length === blocksOf(record), "each block has a digest")
  return packRecord(1, [...[numberOfClass(storageClass), uploadedParts, blockBytes, lengthBytes], concatBytes(digests)])
}

export function decodeBlockDigests(bytes: Uint8Array): BlockDigestsRecord {
  const row = RecordReader.open("block digests", bytes, 1)
  const storageClass = pick(STORAGE_CLASSES, row.number(), "storage class")
  const [uploadedParts, blockBytes, lengthBytes] = [row.number(), row.number(), row.number()]
  const digests = splitDigests(row.bytes())
  if (!(blockBytes > 0) || digests.length !== blocksOf({ blockBytes, lengthBytes }))
    throw fail("corruptRecord", { what: "block digests", field: "digests" })
  return { storageClass, uploadedParts, blockBytes, lengthBytes, digests }
}

/** Where a block is (family `blockIndex`). A hint: the segments may have been deleted. */
export interface BlockPlace {
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  /** The offset in the segments. */
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export const encodeBlockPlace = ({ key, multipartId, offsetBytes, lengthBytes }: BlockPlace): Uint8Array =>
  packRecord(1, [Buffer.from(key, "latin1"), multipartId, offsetBytes, lengthBytes])

export function decodeBlockPlace(bytes: Uint8Array): BlockPlace {
  const row = RecordReader.open("block place", bytes, 1)
  const key = parseStoredKey(row.bytes())
  return { key, multipartId: parseMultipartId(row.text()), offsetBytes: row.number(), lengthBytes: row.number() }
}

/** Keys were checked before they were stored. */
const parseStoredKey = (bytes: Uint8Array): ObjectKey => Buffer.from(bytes).toString("latin1") as ObjectKey

/** The key of digests from an offset on. As with appended segments, a scan from an offset's key starts at its row. */
export const blockDigestsRowKey = appendedRowKey

/** All digests of blocks of these segments, those with the highest offsets first. */
export const digestsOfSegments = (row: RowKey, id: MultipartId): KeyRange => suffixRange(multipartRowKey(row, id))

export const blockIndexRowKey = (bucketId: BucketId, digest: Uint8Array): RowKey =>
  rowKeyOf(bucketRowKey(bucketId) + String.fromCharCode(...digest))
