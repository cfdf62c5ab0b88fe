/** Encryption of objects: what clients see of it, and what depends on its mode. Pure. */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey } from "@hayloft/base/ids.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import type { BoundFacts, Protection } from "@hayloft/access/keys/contract.js"
import type { Bucket, ShownEncryption } from "../contract.js"
import { bucketParts } from "../door/parts.js"

/** Returns undefined for what is encrypted at rest only. */
export function shownEncryptionOf(sealing: Sealing | undefined): ShownEncryption | undefined {
  if (sealing === undefined) return undefined
  const { key } = sealing
  if (key.mode === "atRest") return undefined
  if (key.mode !== "kms") return { mode: key.mode }
  const { mode, keyArn, dataKey, context } = key
  return { mode, keyArn, usesBucketKey: typeof dataKey === "number", context }
}

/** Returns true if the ETag is random: S3 promises an MD5 only for plaintext and SSE-S3. */
export const hasRandomEtag = ({ key: { mode } }: Sealing): boolean => mode === "kms" || mode === "client"

/**
 * Returns true if bytes that are sealed like this may be those of a version with this protection. `clientKey`: the key
 * that opened them.
 */
export function isProtectedBy(
  sealing: Sealing | undefined,
  clientKey: Uint8Array | undefined,
  protection: Protection | undefined,
): boolean {
  if (sealing === undefined || protection === undefined) return sealing === undefined && protection === undefined
  const { key } = sealing
  if (protection.mode === "client")
    return key.mode === "client" && clientKey !== undefined && equalBytes(clientKey, protection.key)
  if (protection.mode !== "kms" || key.mode !== "kms") return key.mode === protection.mode
  const isOfBucket = typeof key.dataKey === "number"
  const { keyArn, context, usesBucketKey } = protection
  return key.keyArn === keyArn && key.context === context && isOfBucket === usesBucketKey
}

/** Returns the facts that tie a record to its place; see `BoundFacts`. */
export const factsOf = (
  bucketId: BucketId,
  key: ObjectKey,
  { random, sizeBytes, md5, parts }: Pick<VersionHead, "random" | "sizeBytes" | "md5" | "parts">,
): BoundFacts => ({ bucketId, key, random, sizeBytes, md5, parts })

/** Throws `invalidRequest` if a feature of the bucket takes no encrypted objects. */
export function refuseEncryption(bucket: Pick<Bucket, "settings">, asked: Protection | undefined): void {
  if (asked === undefined || asked.mode === "atRest") return
  for (const part of bucketParts()) {
    const message = part.refusesEncryption?.(bucket)
    if (message !== undefined) throw fail("invalidRequest", { message })
  }
}
