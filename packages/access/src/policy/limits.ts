/**
 * Size limits of access policies. Characters are counted as IAM counts them, without white space; bytes as they are in
 * the document.
 * Sources  "IAM and AWS STS quotas", IAM User Guide; "Bucket policies", Amazon S3 User Guide;
 *          "Resource quotas", AWS KMS Developer Guide.
 */
import { KIB } from "@hayloft/base/limits.js"

export const POLICY_LIMITS = {
  /** For any document, including white space: a longer text is not parsed. */
  textCharactersMax: 131_072,
  bucketBytesMax: 20 * KIB,
  keyBytesMax: 32 * KIB,
  managedCharactersMax: 6144,
  /** Inline policies: the total over all of a principal's policies. */
  userInlineCharactersMax: 2048,
  groupInlineCharactersMax: 5120,
  roleInlineCharactersMax: 10_240,
  trustCharactersMax: 2048,
  sessionCharactersMax: 2048,
  /** Actions whose rules a policy caches; the rules of further actions are computed each time. */
  cachedActionsMax: 512,
} as const

/** The length of a document as IAM counts it. */
export const policyCharacters = (text: string): number => text.replace(/\s+/g, "").length
