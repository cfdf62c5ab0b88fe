/**
 * The actions that policies can name, and the target of each. All actions of S3 for general purpose buckets are listed,
 * including those that are not implemented: a policy may name them.
 *
 * Source  "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference.
 */

/** The kind of target of an action. */
type ActionScope = "service" | "bucket" | "object"

const SERVICE = ["ListAllMyBuckets"] as const

const BUCKET = [
  "CreateBucket",
  "DeleteBucket",
  "ListBucket",
  "ListBucketVersions",
  "ListBucketMultipartUploads",
  "GetBucketLocation",
  "GetBucketVersioning",
  "PutBucketVersioning",
  "GetBucketAcl",
  "PutBucketAcl",
  "GetBucketPolicy",
  "PutBucketPolicy",
  "DeleteBucketPolicy",
  "GetBucketPolicyStatus",
  "GetBucketPublicAccessBlock",
  "PutBucketPublicAccessBlock",
  "GetBucketOwnershipControls",
  "PutBucketOwnershipControls",
  "GetBucketCORS",
  "PutBucketCORS",
  "GetBucketTagging",
  "PutBucketTagging",
  "TagResource",
  "UntagResource",
  "ListTagsForResource",
  "GetBucketTransforms",
  "PutBucketTransforms",
  "GetBucketRemote",
  "PutBucketRemote",
  "GetBucketRequestPayment",
  "PutBucketRequestPayment",
  "GetBucketLogging",
  "PutBucketLogging",
  "GetBucketNotification",
  "PutBucketNotification",
  "GetLifecycleConfiguration",
  "PutLifecycleConfiguration",
  "GetReplicationConfiguration",
  "PutReplicationConfiguration",
  "GetEncryptionConfiguration",
  "PutEncryptionConfiguration",
  "GetAccelerateConfiguration",
  "PutAccelerateConfiguration",
  "GetAnalyticsConfiguration",
  "PutAnalyticsConfiguration",
  "GetInventoryConfiguration",
  "PutInventoryConfiguration",
  "GetMetricsConfiguration",
  "PutMetricsConfiguration",
  "GetIntelligentTieringConfiguration",
  "PutIntelligentTieringConfiguration",
  "GetBucketObjectLockConfiguration",
  "PutBucketObjectLockConfiguration",
  "GetBucketWebsite",
  "PutBucketWebsite",
  "DeleteBucketWebsite",
  "GetBucketAbac",
  "PutBucketAbac",
  "CreateBucketMetadataTableConfiguration",
  "GetBucketMetadataTableConfiguration",
  "DeleteBucketMetadataTableConfiguration",
  "UpdateBucketMetadataInventoryTableConfiguration",
  "UpdateBucketMetadataJournalTableConfiguration",
] as const

const OBJECT = [
  "GetObject",
  "GetObjectVersion",
  "PutObject",
  "DeleteObject",
  "DeleteObjectVersion",
  "GetObjectAttributes",
  "GetObjectVersionAttributes",
  "GetObjectAcl",
  "GetObjectVersionAcl",
  "PutObjectAcl",
  "PutObjectVersionAcl",
  "GetObjectTagging",
  "GetObjectVersionTagging",
  "PutObjectTagging",
  "PutObjectVersionTagging",
  "DeleteObjectTagging",
  "DeleteObjectVersionTagging",
  "GetObjectLegalHold",
  "PutObjectLegalHold",
  "GetObjectRetention",
  "PutObjectRetention",
  "BypassGovernanceRetention",
  "GetObjectTorrent",
  "GetObjectVersionTorrent",
  "AbortMultipartUpload",
  "ListMultipartUploadParts",
  "RestoreObject",
  "UpdateObjectEncryption",
  "GetObjectVersionForReplication",
  "InitiateReplication",
  "ReplicateDelete",
  "ReplicateObject",
  "ReplicateTags",
  "ObjectOwnerOverrideToBucketOwner",
] as const

export type ActionName = (typeof SERVICE)[number] | (typeof BUCKET)[number] | (typeof OBJECT)[number]

const scoped = (names: readonly ActionName[], scope: ActionScope) => names.map(name => [name, scope] as const)

const SCOPES: ReadonlyMap<string, ActionScope> = new Map([
  ...scoped(SERVICE, "service"),
  ...scoped(BUCKET, "bucket"),
  ...scoped(OBJECT, "object"),
])

/** Every action of S3, in the notation of policies, with the kind of its target. */
export const S3_ACTIONS: ReadonlyMap<string, ActionScope> = new Map(
  [...SCOPES].map(([name, scope]) => [`s3:${name}`, scope] as const),
)

export const isActionName = (name: string): name is ActionName => SCOPES.has(name)

/** Actions that a bucket policy may name, in the notation of policies. */
export const BUCKET_POLICY_ACTIONS: ReadonlyMap<string, "bucket" | "object"> = new Map(
  [...BUCKET.map(name => [name, "bucket"] as const), ...OBJECT.map(name => [name, "object"] as const)].map(
    ([name, scope]) => [`s3:${name}`, scope] as const,
  ),
)

/**
 * Actions on a key that the bucket's owner decides: they change which object or upload the key has, or what the owner
 * pays for. RestoreObject: "The bucket owner has this permission by default" (Amazon S3 API Reference).
 */
const OF_BUCKET_ON_KEY: ReadonlySet<ActionName> = new Set<ActionName>([
  "PutObject",
  "DeleteObject",
  "DeleteObjectVersion",
  "BypassGovernanceRetention",
  "AbortMultipartUpload",
  "ListMultipartUploadParts",
  "RestoreObject",
])

/** Returns true if the action concerns an existing object, whose owner decides. */
export const isOfObject = (action: ActionName): boolean =>
  SCOPES.get(action) === "object" && !OF_BUCKET_ON_KEY.has(action)

export const scopeOf = (action: ActionName): ActionScope => SCOPES.get(action) ?? "service"
