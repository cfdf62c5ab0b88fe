/** Access policies of buckets and users that a start makes, and the record of those that it has attached. Pure. */
import { createHash } from "node:crypto"
import type { Tags } from "@hayloft/base/tags.js"
import type { BucketGrant, PublicAccess } from "@hayloft/node/config/index.js"

interface Statement {
  readonly Effect: "Allow"
  readonly Principal?: "*"
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
}

interface PolicyDocument {
  readonly [member: string]: unknown
  readonly Version: "2012-10-17"
  readonly Statement: readonly Statement[]
}

const document = (statements: readonly Statement[]): PolicyDocument => ({
  Version: "2012-10-17",
  Statement: statements,
})

const bucketArn = (bucket: string): string => `arn:aws:s3:::${bucket}`
const objectsArn = (bucket: string): string => `arn:aws:s3:::${bucket}/*`

const READ_BUCKET = ["s3:GetBucketLocation", "s3:ListBucket"]
const WRITE_BUCKET = ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
const WRITE_OBJECTS = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:PutObject"]

/** MinIO's words for what everybody may do, with what they allow there. */
const PUBLIC: Readonly<
  Record<Exclude<PublicAccess, "none">, readonly [ofBucket: readonly string[], ofObjects: readonly string[]]>
> = {
  download: [READ_BUCKET, ["s3:GetObject"]],
  upload: [WRITE_BUCKET, WRITE_OBJECTS],
  public: [
    [...READ_BUCKET, "s3:ListBucketMultipartUploads"],
    ["s3:GetObject", ...WRITE_OBJECTS],
  ],
}

/** The policy of a bucket for everybody. Returns undefined if it is to have none. */
export function publicPolicy(bucket: string, access: PublicAccess): PolicyDocument | undefined {
  if (access === "none") return undefined
  const [ofBucket, ofObjects] = PUBLIC[access]
  return document([
    { Effect: "Allow", Principal: "*", Action: ofBucket, Resource: [bucketArn(bucket)] },
    { Effect: "Allow", Principal: "*", Action: ofObjects, Resource: [objectsArn(bucket)] },
  ])
}

const GRANTS: Readonly<
  Record<BucketGrant["grant"], readonly [ofBucket: readonly string[], ofObjects: readonly string[]]>
> = {
  readonly: [["s3:GetBucket*", "s3:ListBucket*"], ["s3:GetObject*"]],
  writeonly: [WRITE_BUCKET, ["s3:PutObject*", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]],
  readwrite: [["s3:*"], ["s3:*"]],
}

/** The policy of a user for these buckets. Returns undefined if there are none. */
export function policyOfGrants(grants: readonly BucketGrant[]): PolicyDocument | undefined {
  if (grants.length === 0) return undefined
  return document(
    grants.flatMap(({ bucket, grant }): readonly Statement[] => {
      const [ofBucket, ofObjects] = GRANTS[grant]
      return [
        { Effect: "Allow", Action: ofBucket, Resource: [bucketArn(bucket)] },
        { Effect: "Allow", Action: ofObjects, Resource: [objectsArn(bucket)] },
      ]
    }),
  )
}

/** A user, as far as its policies are concerned. */
export interface AttachedUser {
  readonly attached: readonly string[]
  readonly tags: Tags
}

/** A user's tag: the policies that starts have attached. */
export const GIVEN_TAG = "hayloft:provided-policies"
/** A tag has 256 characters, and ARNs may be longer: ten of these, which is the most that a user can have, fit. */
const markOf = (arn: string): string => createHash("sha256").update(arn).digest("hex").slice(0, 16)

/** The attached policies of a user that a start has attached. */
export function givenPolicies({ attached, tags }: AttachedUser): readonly string[] {
  const marks = tags.find(([key]) => key === GIVEN_TAG)?.[1].split(" ") ?? []
  return attached.filter(arn => marks.includes(markOf(arn)))
}

/** The tag of a user with these policies from a start. Returns undefined if there are none. */
export const tagOfGiven = (arns: readonly string[]): Tags[number] | undefined =>
  arns.length === 0 ? undefined : [GIVEN_TAG, arns.map(markOf).join(" ")]
