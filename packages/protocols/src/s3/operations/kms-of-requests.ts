/**
 * Keys of the KMS in requests about objects: which key a new object gets, and whether the caller may use the key of bytes
 * that a request reads or adds to.
 *
 * Refuses   A request that is not signed with version 4, with `invalidArgument`; a caller whose policies, or the policy of the
 *           key, do not allow `kms:GenerateDataKey` or `kms:Decrypt`, with `accessDenied`.
 * Source    "Using server-side encryption with AWS KMS keys (SSE-KMS)", Amazon S3 User Guide.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { contextOfPairs, textOfContext, type KeyCaller, type S3Keys } from "@hayloft/access/keys/index.js"
import type { Protection, ShownEncryption } from "@hayloft/objects/contract.js"
import type { ObjectCall } from "../call.js"
import { ENCRYPTION_HEADER, OBJECT_ARN, type StatedEncryption } from "../encryption.js"
import { ConditionValues } from "../rights/condition-values-core.js"
import type { BucketEncryption } from "../settings/encryption.js"

const VERSION_4 = "AWS4-HMAC-SHA256"

/** Operations whose caller also reads what it has written. */
const READING: ReadonlySet<string> = new Set(["CreateMultipartUpload"])

type Stated = Omit<Extract<StatedEncryption, { readonly mode: "kms" }>, "mode">

/** Throws `notImplemented` in a store without named keys. */
function keysOf({ context }: ObjectCall): S3Keys {
  if (context.kms !== undefined) return context.kms
  throw fail("notImplemented", {
    header: ENCRYPTION_HEADER,
    message: "Server-side encryption with KMS keys (aws:kms) is not available in this store.",
  })
}

const unsigned = (): Failure =>
  fail("invalidArgument", {
    message: "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
    argumentName: "Authorization",
    argumentValue: "null",
  })

/** Returns who uses the key. Throws `invalidArgument`. */
function callerOf(call: ObjectCall): KeyCaller {
  const { signer, nowMs } = call
  if (signer.account === undefined || signer.request.version !== VERSION_4) throw unsigned()
  const context = new ConditionValues(() => call.head, undefined, {})
  return { principal: signer.principal, policies: signer.policies, context, nowMs }
}

/**
 * How a new object is encrypted with a key of the KMS. S3 adds its own pair to the context: the object, or with a bucket
 * key, which many objects share, the bucket.
 */
export function kmsProtection(
  call: ObjectCall,
  stated: Stated,
  setting: BucketEncryption | undefined,
): Soon<Protection> {
  const { bucket, key, name } = call
  const usesBucketKey = stated.usesBucketKey ?? setting?.bucketKeyEnabled ?? false
  const arn = `arn:aws:s3:::${bucket.name}${usesBucketKey ? "" : `/${textOfObjectKey(key)}`}`
  const context = textOfContext(contextOfPairs(Object.entries({ ...stated.context, [OBJECT_ARN]: arn })))
  const found = keysOf(call).forWriting(callerOf(call), stated.keyId, context, READING.has(name))
  return after(found, (keyArn): Protection => ({ mode: "kms", keyArn, context, usesBucketKey }))
}

/** Throws `accessDenied`, `invalidArgument` if bytes that are encrypted like this need a key that the caller may not use. */
export function requireKey(call: ObjectCall, encryption: ShownEncryption | undefined): Soon<void> {
  if (encryption?.mode !== "kms") return undefined
  return keysOf(call).forReading(callerOf(call), encryption.keyArn, encryption.context ?? "{}")
}
