/** Quotas of buckets: MinIO's are limits of bytes. */
import { z } from "zod"
import { QUOTA_REPLY } from "@hayloft/features/quotas/schemas.js"
import { fail } from "@hayloft/base/failures.js"
import type { MinioContext } from "./call-context.js"

const onBucket = (call: MinioContext) => ({ segments: { bucket: call.needed("bucket") } })

export async function getQuota(call: MinioContext) {
  const { quota } = await call.get("getBucketQuota", QUOTA_REPLY, onBucket(call))
  const size = quota?.limits.hardBytes ?? 0
  return { quota: size, size, rate: 0, requests: 0, ...(size > 0 && { quotatype: "hard" }) }
}

const amount = z.number().int().nonnegative().default(0)
const QUOTA = z.object({ quota: amount, size: amount, rate: amount, requests: amount })

/** The other limits of the quota stay. */
export async function setQuota(call: MinioContext): Promise<void> {
  const { quota, size, rate, requests } = call.json(QUOTA)
  if (rate > 0 || requests > 0) {
    const message =
      "A bucket has no limits of rates here; accounts and keys have: hayloft account limit, hayloft key limit"
    throw fail("notImplemented", { message })
  }
  const hardBytes = size > 0 ? size : quota
  const present = await call.get("getBucketQuota", QUOTA_REPLY, onBucket(call))
  const { hardBytes: _, ...others } = present.quota?.limits ?? {}
  const limits = { ...others, ...(hardBytes > 0 && { hardBytes }) }
  if (Object.keys(limits).length > 0) await call.call("setBucketQuota", { ...onBucket(call), body: limits })
  else if (present.quota !== undefined) await call.call("removeBucketQuota", onBucket(call))
}
