/** Schemas of transforms in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()

export const TRANSFORM_MODULE = z
  .object({
    name: z.string().describe("of the step"),
    sha256: z.string().describe("of the module: 64 hex digits"),
    sizeBytes: count,
    contentType: z.string().optional().describe("of its results; absent: that of its input"),
    modifiedMs: count,
  })
  .meta({ id: "TransformModule" })

export const TRANSFORM_MODULES = z.object({ modules: z.array(TRANSFORM_MODULE) }).meta({ id: "TransformModules" })

const STEP = z
  .object({
    name: z.string(),
    isAvailable: z.boolean().describe("whether this node can run it"),
    version: z.string().optional().describe("changes whenever the same input may give other bytes"),
  })
  .meta({ id: "TransformStep" })

export const TRANSFORMS = z
  .object({
    threads: count.describe("processes that run steps, at this node"),
    running: count.describe("processes that run a step now"),
    waiting: count.describe("requests that wait for a process"),
    steps: z.array(STEP).describe("those that every store has, if its node can run them"),
    modules: z.array(TRANSFORM_MODULE).describe("steps that administrators have uploaded"),
    moduleBytesMax: count.describe("of one module"),
    results: z
      .object({ count, sizeBytes: count, sizeBytesMax: count })
      .describe("of the rules of buckets, which the store keeps"),
  })
  .meta({ id: "Transforms" })
