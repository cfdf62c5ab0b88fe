/**
 * A value as a needle: its id is derived from 128 bits of the SHA-256 of its key, and the recovery header is the key
 * itself, of any bytes.
 */
import { createHash } from "node:crypto"
import { hexOf } from "@hayloft/base/bytes.js"
import { objectKeyOfText, parseBucketId, parseUploadId } from "@hayloft/base/ids.js"
import { needleSeed } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import type { Needle, NeedleId } from "../volume/index.js"
import type { VolumeKey } from "./contract.js"
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "./limits.js"
import { VolumeError } from "./volume-error.js"

const ID_BYTES = 16
const BUCKET = parseBucketId(0)

/** UTF-8 has no bytes for a lone surrogate: several such texts would be one key. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** A copy of the bytes. Throws `invalid` for a key that is empty or too long, and for a text with a lone surrogate. */
export function keyBytesOf(key: VolumeKey): Uint8Array {
  if (typeof key !== "string" && !(key instanceof Uint8Array)) {
    throw new VolumeError("invalid", "a key is neither a text nor a Uint8Array")
  }
  if (typeof key === "string" && LONE_SURROGATE.test(key)) {
    throw new VolumeError("invalid", "a key has a lone surrogate, which UTF-8 cannot encode: pass its bytes")
  }
  const bytes = typeof key === "string" ? Buffer.from(key, "utf8") : new Uint8Array(key)
  if (bytes.length > 0 && bytes.length <= KEY_BYTES_MAX) return bytes
  throw new VolumeError("invalid", `a key of ${bytes.length} bytes: it has 1 to ${KEY_BYTES_MAX}`)
}

export function needleIdOf(key: Uint8Array): NeedleId {
  const uploadId = parseUploadId(hexOf(createHash("sha256").update(key).digest().subarray(0, ID_BYTES)))
  return { partition: partitionOf(uploadId, 0, 0), uploadId, part: 0, block: 0, generation: 0, slot: 0 }
}

/** Throws `invalid` for a value that is too long. */
export function needleOf(key: Uint8Array, value: Uint8Array): Needle {
  if (!(value instanceof Uint8Array)) throw new VolumeError("invalid", "a value is no Uint8Array")
  if (value.length > VALUE_BYTES_MAX) {
    throw new VolumeError("invalid", `a value of ${value.length} bytes: it has ${VALUE_BYTES_MAX} at most`)
  }
  const id = needleIdOf(key)
  return {
    id,
    owner: { bucketId: BUCKET, key: objectKeyOfText(id.uploadId) },
    policy: { kind: "replica", copies: 1 },
    blockLengthBytes: value.length,
    recoveryHeader: key,
    body: value,
    checksums: subBlockChecksums(value, needleSeed(id)),
  }
}
