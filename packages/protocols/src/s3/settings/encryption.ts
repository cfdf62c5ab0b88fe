/**
 * The default encryption of a bucket, and whether it refuses keys of clients (SSE-C). A bucket without the setting
 * encrypts nothing that does not ask for it: Amazon's buckets begin with AES256, which here `--encrypt-new-buckets` does.
 *
 * Promises  What is stored has an effect; `BucketKeyEnabled` has one only for SSE-KMS, as on Amazon.
 * Refuses   With `malformedXml` what the schema excludes; a key without SSE-KMS with `invalidArgument`; `aws:kms:dsse` by
 *           name.
 * Source    "PutBucketEncryption", "ServerSideEncryptionRule", Amazon S3 API Reference.
 */
import { fail } from "@hayloft/base/failures.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { checkChildren, childNamed, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import { wordOf } from "./setting.js"
import type { S3Setting } from "./setting.js"

/** The encryption of new objects that do not state their own. */
type DefaultEncryption =
  | { readonly algorithm: "AES256" }
  /** `keyId`: an id, an ARN or an alias; undefined: the account's own key for S3. */
  | { readonly algorithm: "aws:kms"; readonly keyId: string | undefined }

export interface BucketEncryption {
  /** It is undefined in a request that does not state it, and in a bucket that has none. */
  readonly default: DefaultEncryption | undefined
  /** Likewise. */
  readonly bucketKeyEnabled: boolean | undefined
  /** It is undefined if not stated, which blocks nothing. */
  readonly blocked: "NONE" | "SSE-C" | undefined
}

const KEY_ID_CHARACTERS_MAX = 2048
const BLOCKED = ["NONE", "SSE-C"] as const
const ALGORITHMS = ["AES256", "aws:kms", "aws:kms:dsse"] as const

export const BUCKET_ENCRYPTION: S3Setting<BucketEncryption> = {
  name: "encryption",
  root: "ServerSideEncryptionConfiguration",
  limits: SMALL_DOCUMENT,
  initial: undefined,
  missing: "ServerSideEncryptionConfigurationNotFoundError",
  read(root) {
    checkChildren(root, ["Rule"])
    const [rule, second] = root.children
    if (rule === undefined || second !== undefined) throw fail("malformedXml", { reason: "one Rule is needed" })
    checkChildren(rule, ["ApplyServerSideEncryptionByDefault", "BucketKeyEnabled", "BlockedEncryptionTypes"])
    const applied = childNamed(rule, "ApplyServerSideEncryptionByDefault")
    const bucketKey = childText(rule, "BucketKeyEnabled")?.trim().toLowerCase()
    return {
      default: applied && defaultOf(applied),
      bucketKeyEnabled: bucketKey === undefined ? undefined : wordOf(bucketKey, ["true", "false"]) === "true",
      blocked: blockedOf(childNamed(rule, "BlockedEncryptionTypes")),
    }
  },
  write(xml, { default: applied, bucketKeyEnabled, blocked }) {
    xml.group("Rule", rule => {
      if (applied !== undefined) {
        rule.group("ApplyServerSideEncryptionByDefault", one => {
          one.text("SSEAlgorithm", applied.algorithm)
          if (applied.algorithm === "aws:kms") one.text("KMSMasterKeyID", applied.keyId)
        })
      }
      rule.text("BucketKeyEnabled", bucketKeyEnabled ?? false)
      if (blocked !== undefined) rule.group("BlockedEncryptionTypes", types => types.text("EncryptionType", blocked))
    })
  },
}

/**
 * The setting of a bucket after a request. What a rule says nothing about stays: Terraform's provider has read blocked types
 * back after a request to Amazon that did not mention them, and Amazon's buckets keep their default (at least SSE-S3) when a
 * rule only blocks. So no block turns off encryption, and no older tool unblocks SSE-C. A new default states its bucket key.
 */
export function mergedEncryption(stated: BucketEncryption, former: BucketEncryption | undefined): BucketEncryption {
  const isKept = stated.default === undefined
  return {
    default: stated.default ?? former?.default,
    bucketKeyEnabled: stated.bucketKeyEnabled ?? (isKept && former?.bucketKeyEnabled),
    blocked: stated.blocked ?? former?.blocked,
  }
}

/** The setting of a bucket that encrypts by default as Amazon's do. */
export const SSE_S3_BY_DEFAULT: BucketEncryption = {
  default: { algorithm: "AES256" },
  bucketKeyEnabled: false,
  blocked: undefined,
}

function defaultOf(element: XmlElement): DefaultEncryption {
  checkChildren(element, ["SSEAlgorithm", "KMSMasterKeyID"])
  const algorithm = wordOf(childText(element, "SSEAlgorithm"), ALGORITHMS)
  // Terraform sends an empty element for no key.
  const keyId = childText(element, "KMSMasterKeyID")?.trim() || undefined
  if (algorithm === "AES256") {
    if (keyId === undefined) return { algorithm }
    const message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"
    throw fail("invalidArgument", { message, argumentName: "ApplyServerSideEncryptionByDefault" })
  }
  if (algorithm === "aws:kms:dsse") {
    const message = "Dual-layer server-side encryption (aws:kms:dsse) is not implemented."
    throw fail("notImplemented", { message })
  }
  if (keyId !== undefined && keyId.length > KEY_ID_CHARACTERS_MAX) {
    throw fail("malformedXml", { reason: "KMSMasterKeyID is too long" })
  }
  return { algorithm, keyId }
}

function blockedOf(element: XmlElement | undefined): BucketEncryption["blocked"] {
  if (element === undefined) return undefined
  checkChildren(element, ["EncryptionType"])
  const [type, second] = element.children
  if (type === undefined || second !== undefined) {
    throw fail("malformedXml", { reason: "one EncryptionType is needed" })
  }
  return wordOf(type.text, BLOCKED)
}
