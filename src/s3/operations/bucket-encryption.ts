/** PutBucketEncryption and DeleteBucketEncryption, where they differ from other settings. */
import type { Answer, BucketCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { BUCKET_ENCRYPTION, SSE_S3_BY_DEFAULT, type BucketEncryption } from "../settings/encryption.js"
import { documentOf } from "../settings/setting.js"

const store = ({ services, bucket }: BucketCall, value: BucketEncryption): Promise<void> =>
  services.buckets.setSetting(bucket, BUCKET_ENCRYPTION.name, documentOf(BUCKET_ENCRYPTION, value))

/**
 * A document that says nothing about blocked types leaves them as they are: Terraform's provider has read them back after
 * such a request to Amazon. So an older tool that changes the default does not unblock SSE-C.
 */
export async function putBucketEncryption(call: BucketCall): Promise<Answer> {
  const { root, limits } = BUCKET_ENCRYPTION
  const stated = BUCKET_ENCRYPTION.read(await readRequiredDocument(call.body, root, limits))
  const former = await call.bucketSettings.encryption.of(call.bucket)
  await store(call, { ...stated, blocked: stated.blocked ?? former?.blocked })
  return answerEmpty(200)
}

/**
 * Resets the bucket to what new ones have.
 * Source  "DeleteBucketEncryption", Amazon S3 API Reference: "This implementation of the DELETE action resets the default
 *         encryption for the bucket as server-side encryption with Amazon S3 managed keys (SSE-S3)."
 */
export async function deleteBucketEncryption(call: BucketCall): Promise<Answer> {
  if (call.newBuckets.encryptNewBuckets) await store(call, SSE_S3_BY_DEFAULT)
  else await call.services.buckets.setSetting(call.bucket, BUCKET_ENCRYPTION.name, undefined)
  return answerEmpty(204)
}
