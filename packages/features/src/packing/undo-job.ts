/** The job that undoes packing: each object of a bucket that was packed gets bytes of its own. */
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
import { DEDUP_SERVICES } from "../dedup/index.js"

/** The body of a caller's request; the path names the bucket. */
export const UNDO_PACKING_REQUEST = z.strictObject({ itemsPerSecond: ROWS_PER_SECOND })

export const UNDO_PACKING = "pack-undo"

/** The bucket, as the row of a job has it. A bucket of the same name that is made later is another one. */
const STORED = z.object({ bucket: z.string(), bucketId: z.number() })

export const textOfUndoPacking = (
  stored: z.output<typeof STORED>,
  request: z.output<typeof UNDO_PACKING_REQUEST>,
): string => JSON.stringify({ ...stored, itemsPerSecond: request.itemsPerSecond })

/** Throws `noSuchBucket`. */
export async function openUndoPacking(
  { core, buckets }: RowJobServices,
  job: Parameters<OpenWork>[0],
): Promise<ItemWork<unknown>> {
  const bucket = await bucketOfJob(buckets, storedRequest(STORED, job))
  return DEDUP_SERVICES.of(core).dedupUpkeep.open(bucket, { kind: "unpack", reads: false, run: runOf(job, bucket.id) })
}
