/** Schemas of copies of buckets in other stores in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()

const TARGET = z
  .object({
    store: z.string().describe("the remote store, as the operator's file names it"),
    bucket: z.string().describe("the bucket there"),
    prefix: z.string().describe("what precedes each key there"),
    deletes: z.boolean().describe("whether removals are copied"),
    storageClass: z.string().optional().describe("of the copies"),
    opaqueEtags: z.boolean().describe("ETags of the target are not the MD5 of the bytes"),
    sendBack: z.boolean().optional().describe("a fill sends objects, too, that arrived here as copies"),
    bytesPerSecond: count.optional().describe("how much is sent at most, on average"),
  })
  .meta({ id: "CopiesTarget" })

const PARKED = z
  .object({
    key: z.string(),
    reason: z.string(),
    attempts: count,
    sinceMs: count,
    nextMs: count.optional().describe("when it is tried again; absent: only a change of the object helps"),
  })
  .meta({ id: "ParkedCopy" })

export const COPIES = z
  .object({
    target: TARGET,
    phase: z
      .enum(["waiting", "filling", "following"])
      .describe("nothing was copied yet; the objects that are there are sent; each change is sent"),
    sinceMs: count.optional().describe("since when it is in this phase"),
    place: z.string().optional().describe("while it is filled: the last key that is in the target"),
    fills: count.describe("how often it was filled, with this time"),
    isPaused: z.boolean(),
    lag: z.object({
      objects: count.describe("changes that the target lacks, and parked objects that are tried again"),
      bytes: count,
      seconds: z.number().nonnegative().describe("how long ago the oldest of them was made"),
      isCut: z.boolean().describe("there are more than were counted"),
    }),
    copiedTo: z
      .string()
      .optional()
      .describe("RFC 3339: the target has everything that was acknowledged before, but for parked objects"),
    error: z.string().optional().describe("why the target takes nothing at present"),
    errorMs: count.optional(),
    parked: z.array(PARKED).describe("the first objects that were not copied, in the order of their keys"),
    hasMoreParked: z.boolean(),
  })
  .meta({ id: "BucketCopies" })

export const FILL_COPIES = z
  .strictObject({
    remove: z
      .boolean()
      .optional()
      .describe("also remove copies of objects that this store does not have; what it has lost is gone then"),
  })
  .meta({ id: "FillCopies" })
