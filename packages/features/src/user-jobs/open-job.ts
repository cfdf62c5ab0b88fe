/** Jobs on objects as they are opened from their rows: the bucket, and requests as the starter. */
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import { parseBulk, type BulkRequest } from "./bulk-request.js"
import type { JobStarter } from "../operator/index.js"
import { keyRangesOf, type ObjectKeyRange } from "./key-ranges-core.js"
import type { ObjectRequests, Requester } from "./object-requests.js"

export interface JobServices {
  readonly buckets: Pick<Buckets, "open" | "confirm">
  readonly requests: ObjectRequests
}

export interface StoredJob {
  readonly request: string
  readonly starter: JobStarter
}

export interface OpenedJob {
  readonly request: BulkRequest
  readonly ranges: readonly ObjectKeyRange[]
  readonly bucket: Bucket
  readonly requester: Requester
  /** The moment at which the job was started; undefined: an earlier release has started it. */
  readonly asOfUs: number | undefined
}

/** Throws `noSuchBucket`, `accessDenied`. */
export async function openJob({ buckets, requests }: JobServices, job: StoredJob): Promise<OpenedJob> {
  const { request, bucket: name, bucketId, asOfUs } = parseBulk(job.request)
  await buckets.confirm()
  const bucket = await buckets.open(parseBucketName(name))
  if (bucket.id !== bucketId) throw fail("noSuchBucket", { message: "the bucket was deleted, and made again" })
  return { request, ranges: keyRangesOf(request), bucket, requester: await requests.as(job.starter, bucket), asOfUs }
}
