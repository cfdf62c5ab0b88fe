/** PutBucketEncryption and DeleteBucketEncryption, where they differ from other settings. */
import type { S3Answer, BucketCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { BUCKET_ENCRYPTION, mergedEncryption, SSE_S3_BY_DEFAULT } from "../settings/encryption.js"
import { documentOf, valueOfDocument } from "../settings/setting.js"

export async function putBucketEncryption({ services, bucket, body }: BucketCall): Promise<S3Answer> {
  const { name, root, limits } = BUCKET_ENCRYPTION
  const stated = BUCKET_ENCRYPTION.read(await readRequiredDocument(body, root, limits))
  await services.buckets.changeSetting(bucket, name, former =>
    documentOf(BUCKET_ENCRYPTION, mergedEncryption(stated, valueOfDocument(BUCKET_ENCRYPTION, former))),
  )
  return answerEmpty(200)
}

/**
 * Resets the bucket to what new ones have.
 * Source  "DeleteBucketEncryption", Amazon S3 API Reference: "This implementation of the DELETE action resets the default
 *         encryption for the bucket as server-side encryption with Amazon S3 managed keys (SSE-S3)."
 */
export async function deleteBucketEncryption({ services, bucket, newBuckets }: BucketCall): Promise<S3Answer> {
  const reset = newBuckets.encryptNewBuckets ? documentOf(BUCKET_ENCRYPTION, SSE_S3_BY_DEFAULT) : undefined
  await services.buckets.setSetting(bucket, BUCKET_ENCRYPTION.name, reset)
  return answerEmpty(204)
}
