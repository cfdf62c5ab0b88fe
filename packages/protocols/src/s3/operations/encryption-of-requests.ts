/**
 * Encryption in requests about objects: what a new object gets, by its request or by the default of its bucket, and the
 * keys of clients (SSE-C) that requests bring.
 *
 * Promises  A client's key is only read from a request that nobody on the way can read, unless the operator allows it; it
 *           is checked before a body is opened. A request without such headers, in a bucket without a default, costs one
 *           look at names.
 */
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { CompleteRequest, EncryptionCheck, Protection, ShownEncryption } from "@hayloft/objects/contract.js"
import type { ObjectCall } from "../call.js"
import * as wire from "../encryption.js"
import type { BucketEncryption } from "../settings/encryption.js"
import { kmsProtection, requireKey } from "./kms-of-requests.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** How the object that a request begins is encrypted; undefined: not. Throws the faults of the request. */
export function encryptionOfNew(call: ObjectCall): Soon<Protection | undefined> {
  const { bucket, bucketSettings, context, headers } = call
  const isStated = context.encryption.areIn(headers)
  if (!isStated && !bucket.settings.includes("encryption")) return undefined
  if (isStated) requirePrivacy(call)
  const stated = wire.encryptionIn(headers, context.hash)
  return after(bucketSettings.encryption.of(bucket), setting => protectionOf(call, stated, setting))
}

/** Returns true if the headers of a copy state how it is to be encrypted. */
export const statesEncryption = ({ headers }: ObjectCall): boolean =>
  headers.has(wire.ENCRYPTION_HEADER) || wire.hasClientKey(headers)

function protectionOf(
  call: ObjectCall,
  stated: ReturnType<typeof wire.encryptionIn>,
  setting: BucketEncryption | undefined,
): Soon<Protection | undefined> {
  switch (stated.mode) {
    case "s3":
      return stated
    case "client":
      requireUnblocked(call, setting)
      return stated
    case "kms":
      return kmsProtection(call, stated, setting)
    case "default": {
      const applied = setting?.default
      if (applied === undefined) return undefined
      if (applied.algorithm === "AES256") return { mode: "s3" }
      const { usesBucketKey } = stated
      return kmsProtection(call, { keyId: applied.keyId, context: {}, usesBucketKey }, setting)
    }
  }
}

/**
 * Throws `invalidRequest` for a client's key that anyone on the way could read.
 * Source  "Using server-side encryption with customer-provided keys", Amazon S3 User Guide: "Amazon S3 rejects any requests
 *         made over HTTP when using SSE-C."
 */
function requirePrivacy({ headers, isSecure, context }: ObjectCall): void {
  if (isSecure || context.allowSseCWithoutTls || !wire.hasAnyClientKey(headers)) return
  throw fail("invalidRequest", {
    message:
      "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
  })
}

/** Throws `accessDenied` for a client's key in a bucket that accepts none. Its message is Amazon's. */
function requireUnblocked({ bucket, key, signer }: ObjectCall, setting: BucketEncryption | undefined): void {
  if (setting?.blocked !== "SSE-C") return
  const { principal } = signer
  const who = "arn" in principal ? principal.arn : "anonymous"
  const what = `s3:PutObject on resource: "arn:aws:s3:::${bucket.name}/${textOfObjectKey(key)}"`
  throw fail("accessDenied", {
    message: `User: ${who} is not authorized to perform: ${what} because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type`,
  })
}

/** The client's key of a request for an existing object. Throws the faults of the request. */
export function clientKeyOf(call: ObjectCall): Uint8Array | undefined {
  const { headers, context } = call
  if (!context.encryption.areIn(headers)) return undefined
  requirePrivacy(call)
  wire.checkNoMethod(headers)
  return wire.clientKeyIn(headers, context.hash)
}

/** Checks a request after which the bytes are encrypted as they were. Throws `invalidArgument` if it states how. */
export function requireNoMethod({ headers, context }: ObjectCall): void {
  if (context.encryption.areIn(headers)) wire.checkNoMethod(headers)
}

/** The client's key of a request that writes a part. Throws as `clientKeyOf`, and `accessDenied`. */
export function clientKeyOfPart(call: ObjectCall): Soon<Uint8Array | undefined> {
  const key = clientKeyOf(call)
  if (key === undefined) return undefined
  return after(call.bucketSettings.encryption.of(call.bucket), setting => {
    requireUnblocked(call, setting)
    return key
  })
}

/** The client's key of the source of a copy. Throws the faults of the request. */
export function sourceKeyOf(call: ObjectCall): Uint8Array | undefined {
  const { headers, context } = call
  if (!context.encryption.areIn(headers)) return undefined
  requirePrivacy(call)
  return wire.sourceKeyIn(headers, context.hash)
}

/**
 * Returns what a request that completes an upload says of its encryption: the client's key, and a check of the upload.
 * MinIO's client repeats there how the upload is encrypted: accepted if it is true. Throws as `clientKeyOf`.
 */
export function encryptionOfCompletion(call: ObjectCall): Pick<CompleteRequest, "clientKey" | "checkEncryption"> {
  const { headers, context } = call
  const stated = context.encryption.areIn(headers) ? wire.encryptionIn(headers, context.hash) : undefined
  if (stated !== undefined) requirePrivacy(call)
  const checkEncryption: EncryptionCheck = encryption => {
    const isRepeated = stated?.mode === "s3" || stated?.mode === "kms"
    if (isRepeated && stated.mode !== encryption?.mode) wire.checkNoMethod(headers)
    return requireKey(call, encryption)
  }
  return { clientKey: stated?.mode === "client" ? stated.key : undefined, checkEncryption }
}

/** The headers of an answer about encrypted bytes. */
export const encryptionFields = (
  { headers }: ObjectCall,
  shown: ShownEncryption | undefined,
  parts?: wire.ShownParts,
): readonly HeaderField[] => wire.encryptionFields(shown, headers, parts)
