/**
 * The keys that derive from the secret of a bucket. See decision 56, "Keys".
 *
 * Promises  All derived keys have 32 bytes; `bind` and `check` are the first 16 bytes of their results.
 */
import { createSecretKey, type KeyObject } from "node:crypto"
import { concatBytes } from "@hayloft/base/bytes.js"
import { derive } from "@hayloft/base/encryption/derive-key.js"
import { bytesOfByteString, type UploadId } from "@hayloft/base/ids.js"
import { numberOfClass, type StorageClass } from "@hayloft/base/storage-class.js"
import { MODES, type Sealing, type SealingKey } from "@hayloft/engine/format/needles/sealing.js"
import type { BoundFacts } from "./contract.js"

const [BIND_BYTES, CHECK_BYTES] = [16, 16]
const NOTHING: Uint8Array = new Uint8Array(0)

/** A key that derives others often: twice as fast as its bytes. */
export const prepareKey = (bytes: Uint8Array): KeyObject => createSecretKey(bytes)

/** `provided`: nothing for the modes "atRest" and "s3", else the data key of the KMS or the client's key. */
export const objectKeyOf = (
  secret: KeyObject,
  mode: SealingKey["mode"],
  salt: Uint8Array,
  provided = NOTHING,
): Uint8Array => derive(secret, "object", modeByte(mode), salt, provided)

/** The key of an extent: of one upload, as one part of the object (1, 2, 3 …; 0 for a PUT). */
export const extentKeyOf = (objectKey: Uint8Array, uploadId: UploadId, part: number): Uint8Array =>
  derive(objectKey, "extent", Buffer.from(uploadId, "hex"), uint32(part))

/** Recognises the client's key of SSE-C. */
export const checkOf = (objectKey: Uint8Array): Uint8Array => derive(objectKey, "check").subarray(0, CHECK_BYTES)

/** The key for digests of blocks; each storage class, by its number, has a key of its own. */
export const digestKeyOf = (secret: KeyObject, storageClass: StorageClass): Uint8Array =>
  derive(secret, "blocks", Uint8Array.of(numberOfClass(storageClass)))

export const bindKeyOf = (secret: KeyObject): KeyObject => prepareKey(derive(secret, "bind"))

/**
 * Ties a record to bucket, key and version. Numbers have 8 bytes, those of parts, secrets and bucket keys 4, all
 * big-endian; texts are UTF-8.
 */
export const bindOf = (bindKey: KeyObject, sealing: Sealing, facts: BoundFacts): Uint8Array =>
  derive(
    bindKey,
    "bind",
    uint64(facts.bucketId),
    bytesOfByteString(facts.key),
    facts.random,
    uint64(facts.sizeBytes),
    facts.md5,
    uint32(facts.parts),
    ...sealingValues(sealing),
  ).subarray(0, BIND_BYTES)

function sealingValues({ key, secret, salt }: Sealing): readonly Uint8Array[] {
  const values = [modeByte(key.mode), uint32(secret), salt]
  if (key.mode === "client") return [...values, key.check]
  if (key.mode !== "kms") return values
  const { keyArn, dataKey, context } = key
  const [ciphertext, bucketKey] = typeof dataKey === "number" ? [NOTHING, uint32(dataKey)] : [dataKey, NOTHING]
  return [...values, Buffer.from(keyArn), ciphertext, bucketKey, context === undefined ? NOTHING : Buffer.from(context)]
}

const modeByte = (mode: SealingKey["mode"]): Uint8Array => Uint8Array.of(MODES.indexOf(mode))

function uint32(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const uint64 = (value: number): Uint8Array =>
  concatBytes([uint32(Math.floor(value / 0x1_0000_0000)), uint32(value % 0x1_0000_0000)])
