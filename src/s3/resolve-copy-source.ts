/** The source of a copy: bucket, key, version and conditions, with the right to read it. */
import { fail } from "../base/failures.js"
import { parseBucketName } from "../base/ids.js"
import type { Bucket, CopySource } from "../object/contract.js"
import type { BucketCall } from "./call.js"
import { parseVersion } from "./operations/versions.js"
import { readConditionsOf } from "./parse-conditions.js"
import { parseCopySource } from "./wire/copy-source.js"
import { keyOfByteString } from "./wire/target.js"

async function openSource(call: BucketCall, name: string): Promise<Bucket> {
  const { services, account, headers } = call
  const bucket = name === call.bucket.name ? call.bucket : await services.buckets.open(parseBucketName(name))
  const expected = headers.get("x-amz-source-expected-bucket-owner")
  if (bucket.owner !== account.id || (expected !== undefined && expected !== bucket.owner)) throw fail("accessDenied")
  return bucket
}

/** Throws `noSuchBucket`, `accessDenied`, `invalidArgument`, `invalidKey`, `keyTooLong`. */
export async function copySourceOf(call: BucketCall): Promise<CopySource> {
  const { bucket, rawKey, versionId } = parseCopySource(call.headers.get("x-amz-copy-source") ?? "")
  return {
    bucket: await openSource(call, bucket),
    key: keyOfByteString(rawKey),
    ...(versionId !== undefined && { versionId: parseVersion(versionId) }),
    conditions: readConditionsOf(call.headers, call.nowMs, "x-amz-copy-source-"),
  }
}
