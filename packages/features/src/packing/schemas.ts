/** Schemas of packing in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()

export const PACKING = z
  .object({
    state: z
      .enum(["on", "off", "suspended"])
      .describe("suspended: the bucket has opted in, but the store encrypts what is written now"),
    setting: z
      .object({
        afterSeconds: count.describe("objects that were written so long ago are packed"),
        maxBytes: count.describe("longer objects are not"),
      })
      .optional(),
    pass: z
      .object({
        startedMs: count,
        endedMs: count.optional().describe("absent: the pass is under way"),
        packs: count.describe("packs that were made since the setting was, and so on"),
        objects: count,
        bytes: count,
      })
      .optional()
      .describe("the last pass over the bucket; absent: there was none since the setting was made"),
    packs: count.describe("packs of the bucket"),
    sparsePacks: count.describe("those of which less than half of the objects are left: they are packed again"),
    packedObjects: count.describe("versions whose bytes are in packs"),
    packBytes: count.describe("bytes of the objects that the packs had when they were made"),
    liveBytes: count.describe("those of them that versions still have"),
    waitingObjects: count.describe("versions that the next pass can pack"),
    waitingBytes: count.describe("their bytes"),
    leftOut: z.record(z.string(), count).describe("other versions that are left out, by the reason"),
  })
  .meta({ id: "Packing" })
