/** Jobs that walk over the rows of a bucket. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import type { OpenWork } from "./jobs.js"

export const ROWS_PER_SECOND = z
  .number()
  .min(0.1)
  .max(100_000)
  .optional()
  .describe("rows a second; absent: in the pauses of other work")

/** The request in a job's row. Throws `corruptRecord`. */
export function storedRequest<T extends z.ZodType>(type: T, { request }: Parameters<OpenWork>[0]): z.output<T> {
  const parsed = type.safeParse(JSON.parse(request))
  if (!parsed.success) throw fail("corruptRecord", { what: "request of a job" })
  return parsed.data
}

/** The bucket that a job was started for. Throws `noSuchBucket`. */
export async function bucketOfJob(
  buckets: Pick<Buckets, "open" | "confirm">,
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
