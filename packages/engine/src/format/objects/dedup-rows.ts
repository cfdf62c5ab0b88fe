/**
 * Rows of deduplication: the digests of blocks, and the index by which a block of the same bytes is found. A digest is a
 * keyed hash (`DIGEST_BYTES`), whose key belongs to one bucket and one storage class. See decision 87.
 */
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { rowKeyOf, type BucketId, type MultipartId, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { BYTES, mapped, NUMBER, record, type ValueOf } from "../encoding/fields.js"
import { MULTIPART_ID, OBJECT_KEY, STORAGE_CLASS } from "../encoding/id-fields.js"
import { bucketRowKey, multipartRowKey, offsetRowKey, suffixRange } from "../row-key.js"

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

/** The number of blocks that the bytes fill. */
const blocksOf = (blockBytes: number, lengthBytes: number): number => Math.ceil(lengthBytes / blockBytes)

/** The digests of neighbouring blocks of segments (family `blockDigests`). The bytes are the segments' own, and never change. */
const BLOCK_DIGESTS = record(
  "block digests",
  {
    storageClass: STORAGE_CLASS,
    /** The number of parts of the upload that made the segments; 0 if no upload did. */
    uploadedParts: NUMBER,
    blockBytes: NUMBER,
    /** The length of all these blocks; the last one may be shorter than the others. */
    lengthBytes: NUMBER,
    /** Each block has a digest. */
    digests: mapped(BYTES, splitDigests, concatBytes),
  },
  {
    check: ({ blockBytes, lengthBytes, digests }) => {
      if (!(blockBytes > 0) || digests.length !== blocksOf(blockBytes, lengthBytes))
        throw fail("corruptRecord", { what: "block digests", field: "digests" })
    },
  },
)
export type BlockDigestsRecord = ValueOf<typeof BLOCK_DIGESTS>
export const { decode: decodeBlockDigests } = BLOCK_DIGESTS

export function encodeBlockDigests(digests: BlockDigestsRecord): Uint8Array {
  const { blockBytes, lengthBytes } = digests
  assert(digests.digests.length === blocksOf(blockBytes, lengthBytes), "each block has a digest")
  return BLOCK_DIGESTS.encode(digests)
}

/** The place where a block is (family `blockIndex`). A hint: the segments may have been deleted. */
const BLOCK_PLACE = record("block place", {
  key: OBJECT_KEY,
  multipartId: MULTIPART_ID,
  /** The offset in the segments. */
  offsetBytes: NUMBER,
  lengthBytes: NUMBER,
})
export type BlockPlace = ValueOf<typeof BLOCK_PLACE>
export const { encode: encodeBlockPlace, decode: decodeBlockPlace } = BLOCK_PLACE

/** The key of digests from an offset on. As with segments, a scan from an offset's key starts at its row. */
export const blockDigestsRowKey = offsetRowKey

/** All digests of blocks of these segments, those with the highest offsets first. */
export const digestsOfSegments = (row: RowKey, id: MultipartId): KeyRange => suffixRange(multipartRowKey(row, id))

export const blockIndexRowKey = (bucketId: BucketId, digest: Uint8Array): RowKey =>
  rowKeyOf(bucketRowKey(bucketId) + String.fromCharCode(...digest))
