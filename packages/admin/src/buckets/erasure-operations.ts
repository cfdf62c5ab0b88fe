/** The operations of `/v1` on the erasure of buckets whose objects are all encrypted. */
import { parseBucketId, parseBucketName, type BucketId } from "@hayloft/base/ids.js"
import { parseBody } from "@hayloft/features/operator/index.js"
import { operation, type AdminOperation, type AdminServices } from "../operation.js"
import * as schema from "../schemas.js"

async function erasureJson(erasures: AdminServices["erasures"], bucketId: BucketId) {
  const { state, report } = await erasures.state(bucketId)
  return { bucketId, state, ...(report && { report }) }
}

export const ERASURE_OPERATIONS: readonly AdminOperation[] = [
  operation("eraseBucket", "POST /v1/buckets/{bucket}/erase", {
    summary:
      "Destroys the key of a bucket whose objects are all encrypted: nothing opens them any more. Their rows and bytes are removed in the background.",
    scope: "all",
    request: schema.ERASE_BUCKET,
    status: 202,
    answer: schema.ERASURE_STATE,
    run: async ({ erasures }, { segment, body }) => {
      const { confirm } = parseBody(schema.ERASE_BUCKET, body)
      return erasureJson(erasures, await erasures.begin(parseBucketName(segment("bucket")), confirm))
    },
  }),
  operation("getErasure", "GET /v1/erasures/{bucket}", {
    summary: "Returns how far the erasure of a bucket is, by the id that its begin has returned.",
    answer: schema.ERASURE_STATE,
    run: ({ erasures }, { segment }) => erasureJson(erasures, parseBucketId(Number(segment("bucket")))),
  }),
]
