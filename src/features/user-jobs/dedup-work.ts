/** Jobs of deduplication on the rows of a bucket: their requests, and their work by the object services. */
import { z } from "zod"
import { fail } from "../../base/failures.js"
import { parseBucketName } from "../../base/ids.js"
import type { Bucket, Buckets } from "../../object/contract.js"
import type { Services } from "../../object/index.js"
import type { ItemWork, OpenWork } from "./contract.js"

const DEDUP_JOBS = ["verify", "rebuild", "compact"] as const

export const ROWS_PER_SECOND = z
  .number()
  .min(0.1)
  .max(100_000)
  .optional()
  .describe("rows a second; absent: in the pauses of other work")

/** The body of a caller's request; the path names the bucket. */
export const DEDUP_REQUEST = z.strictObject({
  kind: z
    .enum(DEDUP_JOBS)
    .describe(
      "verify: compare what is counted, indexed and there; rebuild: repair that, and give digests to objects without; compact: free what is kept only for a few references",
    ),
  read: z
    .boolean()
    .default(false)
    .describe("of verify and rebuild: also read the bytes, and compare them with their digests"),
  itemsPerSecond: ROWS_PER_SECOND,
})

/** As the row of a job has it. */
interface StoredDedupRequest {
  readonly request: z.output<typeof DEDUP_REQUEST>
  readonly bucket: string
  /** A bucket of the same name that is made later is another one. */
  readonly bucketId: number
}

const STORED = z.object({ bucket: z.string(), bucketId: z.number(), request: DEDUP_REQUEST })
const KIND = "dedup-"

export const kindOfDedup = ({ kind }: StoredDedupRequest["request"]): string => KIND + kind
export const textOfDedup = (stored: StoredDedupRequest): string =>
  JSON.stringify({ ...stored, itemsPerSecond: stored.request.itemsPerSecond })

/** Returns true if the job is one of deduplication: such jobs work on rows of the metadata. */
export const isOfDedup = ({ kind }: { readonly kind: string }): boolean => kind.startsWith(KIND)

export interface DedupServices {
  readonly buckets: Pick<Buckets, "open" | "confirm">
  readonly dedupUpkeep: Pick<Services["dedupUpkeep"], "open">
}

/** Throws `noSuchBucket`. */
export async function openDedupWork(
  { buckets, dedupUpkeep }: DedupServices,
  job: Parameters<OpenWork>[0],
): Promise<ItemWork<unknown>> {
  const parsed = STORED.safeParse(JSON.parse(job.request))
  if (!parsed.success) throw fail("corruptRecord", { what: "request of a job" })
  const { request } = parsed.data
  const bucket = await bucketOfJob(buckets, parsed.data)
  return dedupUpkeep.open(bucket, { kind: request.kind, reads: request.read, run: runOf(job, bucket.id) })
}

/** The bucket that a job was started for. Throws `noSuchBucket`. */
export async function bucketOfJob(
  buckets: DedupServices["buckets"],
  { bucket: name, bucketId }: { readonly bucket: string; readonly bucketId: number },
): Promise<Bucket> {
  await buckets.confirm()
  const bucket = await buckets.open(parseBucketName(name))
  if (bucket.id !== bucketId) throw fail("noSuchBucket", { message: "the bucket was deleted, and made again" })
  return bucket
}

/** A text that differs for each run of a job. */
export const runOf = ({ kind, startedMs }: Parameters<OpenWork>[0], bucketId: number): string =>
  `${kind} ${startedMs} ${bucketId}`
