/** The job that undoes packing: each object of a bucket that was packed gets bytes of its own. */
import { z } from "zod"
import { fail } from "../../base/failures.js"
import type { ItemWork, OpenWork } from "./contract.js"
import { bucketOfJob, ROWS_PER_SECOND, runOf, type DedupServices } from "./dedup-work.js"

/** The body of a caller's request; the path names the bucket. */
export const UNDO_PACKING_REQUEST = z.strictObject({ itemsPerSecond: ROWS_PER_SECOND })

export const UNDO_PACKING = "pack-undo"

/** As the row of a job has it; a bucket of the same name that is made later is another one. */
const STORED = z.object({ bucket: z.string(), bucketId: z.number() })

export const textOfUndoPacking = (
  stored: z.output<typeof STORED>,
  request: z.output<typeof UNDO_PACKING_REQUEST>,
): string => JSON.stringify({ ...stored, itemsPerSecond: request.itemsPerSecond })

export const isUndoPacking = ({ kind }: { readonly kind: string }): boolean => kind === UNDO_PACKING

/** Throws `noSuchBucket`. */
export async function openUndoPacking(
  { buckets, dedupUpkeep }: DedupServices,
  job: Parameters<OpenWork>[0],
): Promise<ItemWork<unknown>> {
  const parsed = STORED.safeParse(JSON.parse(job.request))
  if (!parsed.success) throw fail("corruptRecord", { what: "request of a job" })
  const bucket = await bucketOfJob(buckets, parsed.data)
  return dedupUpkeep.open(bucket, { kind: "unpack", reads: false, run: runOf(job, bucket.id) })
}
