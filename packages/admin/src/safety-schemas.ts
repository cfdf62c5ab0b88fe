/** Schemas of the safety of the store in the admin API's JSON: what may fail, what must not, and why. */
import { z } from "zod"

const id = z.string().min(1).max(128)
const count = z.number().int().nonnegative()
const losses = z.number().int().min(-1)

export const SAFETY = z
  .object({
    sentence: z.string().describe("what may fail, and the limiting reason"),
    mayFail: z
      .array(
        z.object({
          what: z.enum(["disk", "machine", "zone"]),
          answer: z
            .enum(["yes", "no", "later", "unknown"])
            .describe("later: once the store is complete; unknown: shards have not all been scanned"),
          count: count.describe("how many there are"),
          losses: losses.describe("number of arbitrary ones that may fail now; -1: something is not readable now"),
          because: z.string().describe("why not; empty if they may"),
          critical: z.array(z.string()).describe("the first of those that must not fail now"),
        }),
      )
      .describe("whether any single one may fail now; machines and zones only if the store has some"),
    disks: count,
    safeLosses: losses.describe("number of arbitrary disks that may fail now; -1: something is not readable now"),
    safeLossesWhenWhole: losses,
    safeFolderLosses: losses.describe("the same for folders, each counted separately"),
    safeFolderLossesWhenWhole: losses,
    opensWithout: count.describe(
      "number of arbitrary disks that may be absent at a start without hayloft device forget",
    ),
    reasons: z.array(z.string()).describe("why the store is not whole"),
    critical: z.array(id).describe("devices on a disk that must not fail now"),
    levels: z
      .array(z.object({ losses, bytes: count }))
      .describe("bytes of blocks, before encoding, by further lost disks they survive; -1: not readable now"),
    riskiest: z
      .array(z.object({ partition: count, losses, lacking: z.array(id) }))
      .describe("the partitions at greatest risk, the worst first"),
    wholeInSeconds: z.number().nonnegative().optional(),
  })
  .meta({ id: "Safety" })
