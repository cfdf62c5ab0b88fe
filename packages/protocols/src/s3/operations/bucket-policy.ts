/** GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus. */
import { POLICY_LIMITS } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { S3Answer, BucketCall } from "../call.js"
import { answerEmpty, answerXml, linesOfFields } from "../call.js"
import { BUCKET_POLICY, readBucketPolicy } from "../settings/bucket-policy.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import { answerMissing } from "./unset-settings.js"

export async function getBucketPolicy({ services, bucket, principals }: BucketCall): Promise<S3Answer> {
  const stored = await services.buckets.setting(bucket, BUCKET_POLICY.name)
  if (stored === undefined) return answerMissing("NoSuchBucketPolicy", bucket)
  const bytes = Buffer.from(await principals.showPrincipals(stored.document))
  const body = { kind: "document", bytes, type: "application/json" } as const
  return { status: 200, headers: linesOfFields([]), body }
}

/** Throws `malformedPolicy`; `accessDenied` for a public policy, if the public access block forbids it. */
export async function putBucketPolicy({
  services,
  bucket,
  bucketSettings,
  body,
  principals,
}: BucketCall): Promise<S3Answer> {
  const bytes = await body.document({ bytesMax: POLICY_LIMITS.textCharactersMax, checksum: "optional" })
  const document = textOf(bytes)
  const { named, isPublic } = readBucketPolicy(document, bucket.name)
  const pinned = await principals.pinPrincipals(named.policy, document)
  if (isPublic) {
    // The policy may arrive slowly: the current block decides, not the block at the start of the request.
    const current = await services.buckets.open(bucket.name)
    const { blockPublicPolicy } = await publicAccessBlockOf(bucketSettings.publicAccessBlock, current)
    if (blockPublicPolicy) {
      const message =
        "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access. " +
        `To allow them, take the setting back first (aws s3api delete-public-access-block --bucket ${bucket.name})`
      throw fail("accessDenied", { message: `Access Denied: ${message}.` })
    }
  }
  await services.buckets.setSetting(bucket, BUCKET_POLICY.name, pinned)
  return answerEmpty(204)
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw fail("malformedPolicy", { message: "Policies must be valid JSON in UTF-8", where: "$" })
  }
}

export async function deleteBucketPolicy({ services, bucket }: BucketCall): Promise<S3Answer> {
  await services.buckets.setSetting(bucket, BUCKET_POLICY.name, undefined)
  return answerEmpty(204)
}

export async function getBucketPolicyStatus({ bucket, bucketSettings }: BucketCall): Promise<S3Answer> {
  const policy = await bucketSettings.policy.of(bucket)
  if (policy === undefined) return answerMissing("NoSuchBucketPolicy", bucket)
  return answerXml("PolicyStatus", xml => void xml.text("IsPublic", policy.isPublic))
}
