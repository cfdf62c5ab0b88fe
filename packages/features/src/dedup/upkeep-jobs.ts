/** Jobs of deduplication on the rows of a bucket: their requests, and their work by the object services. */
import { z } from "zod"
import {
  bucketOfJob,
  ROWS_PER_SECOND,
  runOf,
  storedRequest,
  type ItemWork,
  type OpenWork,
  type RowJobServices,
} from "../operator/index.js"
import { DEDUP_SERVICES } from "./services.js"

const DEDUP_JOBS = ["verify", "rebuild", "compact"] as const

/** The body of a caller's request; the path names the bucket. */
export const DEDUP_REQUEST = z.strictObject({
  kind: z
    .enum(DEDUP_JOBS)
    .describe(
      "verify: compare what is counted, indexed and there, and add what the index lacks; rebuild: repair that, and give digests to objects without; compact: free what is kept only for a few references",
    ),
  read: z
    .boolean()
    .default(false)
    .describe("of verify and rebuild: also read the bytes, and compare them with their digests"),
  itemsPerSecond: ROWS_PER_SECOND,
})

/** The request of a deduplication job, in the form in which the row of the job has it. */
interface StoredDedupRequest {
  readonly request: z.output<typeof DEDUP_REQUEST>
  readonly bucket: string
  /** A bucket of the same name that is made later is another one. */
  readonly bucketId: number
}

const STORED = z.object({ bucket: z.string(), bucketId: z.number(), request: DEDUP_REQUEST })
const KIND = "dedup-"

export const UPKEEP_KINDS: readonly string[] = DEDUP_JOBS.map(kind => KIND + kind)

export const kindOfDedup = ({ kind }: StoredDedupRequest["request"]): string => KIND + kind
export const textOfDedup = (stored: StoredDedupRequest): string =>
  JSON.stringify({ ...stored, itemsPerSecond: stored.request.itemsPerSecond })

/** Throws `noSuchBucket`. */
export async function openUpkeepJob(
  { core, buckets }: RowJobServices,
  job: Parameters<OpenWork>[0],
): Promise<ItemWork<unknown>> {
  const { request, ...stored } = storedRequest(STORED, job)
  const bucket = await bucketOfJob(buckets, stored)
  const { dedupUpkeep } = DEDUP_SERVICES.of(core)
  return dedupUpkeep.open(bucket, { kind: request.kind, reads: request.read, run: runOf(job, bucket.id) })
}
