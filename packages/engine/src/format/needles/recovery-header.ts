/**
 * Recovery headers: the object metadata in the shards of the first block of an upload, so that rows can be rebuilt
 * from needles alone as a last resort.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName, parseUploadId } from "@hayloft/base/ids.js"
import {
  appended,
  BYTES,
  flat,
  group,
  NUMBER,
  optional,
  PAIRS,
  parsed,
  record,
  row,
  since,
  TEXT,
} from "../encoding/fields.js"
import { whole, type ValueOf } from "../encoding/fields.js"
import { HEX, STORAGE_CLASS } from "../encoding/id-fields.js"
import { VERSION_LOCK } from "../objects/object-lock.js"
import { SEALING } from "./sealing.js"

/** These are needed to read sealed bytes without the rows of the bucket's secrets: two members. */
const SEALED = group({
  sealing: SEALING,
  secret: flat(
    row({
      /** Number of the key under which the secret is sealed. */
      epoch: whole(),
      /** The secret of the bucket. */
      sealedSecret: BYTES,
      /** The ciphertext of the bucket key, for SSE-KMS with a bucket key. */
      bucketKey: appended(BYTES),
      /** The upload under which the bytes were sealed, as an extent has it. */
      sealedAs: appended(parsed(HEX, parseUploadId)),
    }),
  ),
})
export type SealedUpload = ValueOf<typeof SEALED>

function parseLength(lengthBytes: number): number {
  if (lengthBytes < 0) throw fail("corruptRecord", { what: "recovery header" })
  return lengthBytes
}

const HEADER = record("recovery header", {
  bucket: parsed(TEXT, parseBucketName),
  contentType: TEXT,
  userMetadata: PAIRS,
  /** The length of the stored bytes, with the tags of sealed ones; undefined if unknown when the upload began. */
  plannedLengthBytes: optional(parsed(NUMBER, parseLength)),
  /** "" for a single upload. */
  multipartId: TEXT,
  /**
   * The lock that the version had when this header was written: the request's, or that of the row if a shard was
   * rebuilt.
   */
  lock: appended(VERSION_LOCK),
  /** Its bytes are sealed. */
  sealed: since(2, SEALED, 2),
  /** The storage class that the version had when this header was written; absent for STANDARD. */
  storageClass: since(2, STORAGE_CLASS),
})
export type RecoveryHeader = ValueOf<typeof HEADER>
export const { encode: encodeRecoveryHeader, decode: decodeRecoveryHeader } = HEADER
