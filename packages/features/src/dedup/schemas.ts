/** Schemas of deduplication in the admin API's JSON. */
import { z } from "zod"

const count = z.number().int().nonnegative()

export const DEDUP = z
  .object({
    state: z
      .enum(["on", "off", "suspended"])
      .describe("suspended: the bucket has opted in, but the store encrypts what is written now"),
    versions: count.describe("versions, those that undelete keeps included"),
    logicalBytes: count.describe("their bytes, as clients and quotas count them"),
    ownBytes: count.describe("bytes that versions have themselves: what is stored of them, before redundancy"),
    referencedBytes: count.describe("bytes that versions reference instead of having them"),
    versionsWithReferences: count.describe("versions that reference bytes of other versions"),
    references: count.describe("ranges that are referenced"),
    referencedSegments: count.describe("objects, some gone, whose segments others reference"),
    releasedSegments: count.describe(
      "those of them that are gone: their bytes are kept only because others reference them",
    ),
    releasedBytes: count.describe("of these"),
    releasedReferencedBytes: count.describe("of these bytes: those that others reference, each once"),
    digestRows: count.describe("rows with digests of blocks"),
    indexedBlocks: count.describe("blocks that a write can find"),
  })
  .meta({ id: "Dedup" })
