/**
 * How large access policies may be. Characters are counted as IAM counts them, without white space; bytes as they lie
 * in the document.
 * Sources  "IAM and AWS STS quotas", IAM User Guide; "Bucket policies", Amazon S3 User Guide.
 */
import { KIB } from "../../base/limits.js"

export const POLICY_LIMITS = {
  /** Of any document, white space and all: nothing longer is looked at. */
  textCharactersMax: 131_072,
  bucketBytesMax: 20 * KIB,
  managedCharactersMax: 6144,
  /** Inline policies: of all of them together. */
  userInlineCharactersMax: 2048,
  groupInlineCharactersMax: 5120,
  roleInlineCharactersMax: 10_240,
  trustCharactersMax: 2048,
  sessionCharactersMax: 2048,
  /** Actions whose rules a policy remembers; what is asked beyond them is found anew each time. */
  rememberedActionsMax: 512,
} as const

/** How long IAM says that a document is. */
export const policyCharacters = (text: string): number => text.replace(/\s+/g, "").length
