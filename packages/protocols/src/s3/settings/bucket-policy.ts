/**
 * The policy of a bucket: who, other than the owner's own users, may do what in it. Stored as it was sent, except for
 * users and roles, which it names by unique ids.
 */
import { denialsOf, isPublic, parseBucketPolicy } from "@hayloft/access/index.js"
import type { NamedPolicy } from "@hayloft/access/index.js"
import type { BucketName } from "@hayloft/base/ids.js"
import { BUCKET_POLICY_ACTIONS } from "../rights/actions.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { S3SettingReader, type SettingSource, type TextSetting } from "./setting.js"

export interface BucketPolicy {
  readonly named: NamedPolicy
  /** Only its denials. */
  readonly denials: NamedPolicy
  /** The policy is public, by Amazon's rule. */
  readonly isPublic: boolean
}

/** Throws `malformedPolicy`. */
export function readBucketPolicy(text: string, bucket: BucketName): BucketPolicy {
  const policy = parseBucketPolicy(text, { bucket, actions: BUCKET_POLICY_ACTIONS })
  const named = { name: `the policy of bucket ${bucket}`, policy }
  return { named, denials: { ...named, policy: denialsOf(policy) }, isPublic: isPublic(policy) }
}

export const BUCKET_POLICY: TextSetting<BucketPolicy> = {
  name: "policy",
  initial: undefined,
  parse: (document, { name }) => readBucketPolicy(document, name),
}

/** Reads the policies of buckets, or only their denials, for decisions outside of S3; undefined: the bucket has no policy. */
export function bucketPolicyReader(
  buckets: SettingSource,
  part: "named" | "denials" = "named",
): (bucket: Bucket) => Soon<NamedPolicy | undefined> {
  const reader = new S3SettingReader(buckets, BUCKET_POLICY)
  return bucket => after(reader.of(bucket), found => found?.[part])
}
