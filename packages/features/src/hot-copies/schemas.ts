/** Schemas of hot copies in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int()

const HOT_OBJECT = z
  .object({
    bucket: z
      .string()
      .optional()
      .describe(
        "absent, with the key: no shard that names the object can be read now, or it is a pack of small objects (part 65534)",
      ),
    key: z.string().optional().describe("of the object for which the bytes were written first"),
    uploadId: z.string(),
    part: count.describe("of a multipart upload; otherwise 0"),
    copies: count.describe("pieces of up to 1 MiB"),
    bytes: count,
    hits: count.describe("reads of its pieces that copies have served"),
    readsPerMinute: z.number().nonnegative().describe("of the piece that is read most"),
  })
  .meta({ id: "HotObject" })

export const HOT_COPIES = z
  .object({
    isOn: z.boolean().describe("whether this node was started with --hot-copies; if not, everything else is 0"),
    budgetBytes: count,
    readsPerMinute: count.describe("that make a piece hot"),
    usedBytes: count,
    copies: count,
    hits: count.describe("reads that copies have served since the start"),
    hitBytes: count,
    misses: count.describe("reads of pieces that had no copy"),
    made: count,
    failed: count.describe("copies that could not be made"),
    evicted: count.describe("dropped for hotter ones"),
    cooled: count.describe("dropped because they were cold"),
    hottest: z.array(HOT_OBJECT).describe("the one that is read most comes first"),
  })
  .meta({ id: "HotCopies" })
