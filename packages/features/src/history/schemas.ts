/** Schemas of the history of buckets in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()
const moment = z.string().describe("RFC 3339 with six decimals")

export const HISTORY = z
  .object({
    since: moment
      .optional()
      .describe("the bucket can be read at all moments from then on; absent: it has no complete one"),
    now: moment.describe("a moment that has everything acknowledged so far"),
  })
  .meta({ id: "BucketHistory" })

const OBJECT_THEN = z
  .object({
    versionId: z.string(),
    sizeBytes: count,
    etag: z.string(),
    lastModifiedMs: z.number().int().describe("milliseconds since 1970"),
  })
  .meta({ id: "ObjectThen" })

export const DIFFERENCES = z
  .object({
    from: moment,
    to: moment,
    differences: z.array(
      z.object({
        key: z.string(),
        change: z.enum(["added", "removed", "changed"]),
        before: OBJECT_THEN.optional().describe("at the first moment; absent: there was no object"),
        after: OBJECT_THEN.optional().describe("at the second moment; absent: there was no object"),
      }),
    ),
    unchanged: z
      .object({ objects: count, bytes: count })
      .describe("objects of these keys that are the same at both moments"),
    next: z.string().optional().describe("`after` of the next page; absent: this is the last page"),
  })
  .meta({ id: "Differences" })
