/** Deduplication: blocks that a bucket has already are referenced instead of written. See decision 87. */
import { firstOf } from "@hayloft/base/first-of.js"
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { ProductFeature } from "../operator/index.js"
import { Dedup } from "./dedup.js"
import { DedupUpkeep } from "./dedup-upkeep.js"
import { DEDUP_OPERATOR } from "./operations.js"
import { DEDUP_SERVICES } from "./services.js"

export const DEDUP = {
  name: "dedup" as const,
  operator: DEDUP_OPERATOR,
  bucket: {
    setting: {
      name: "dedup",
      excludes: [
        ["encryption", "encrypted bytes are never equal: a bucket has deduplication or default encryption, not both"],
        ["remote", "the bytes of a remote bucket are at the remote: it cannot be deduplicated"],
      ],
    },
    refusesEncryption: ({ settings }) =>
      settings?.includes("dedup") === true
        ? "the bucket is deduplicated (its setting dedup), and encrypted bytes are never equal: it takes no encrypted objects"
        : undefined,
    hidesNewer(view, { id, settings }) {
      const indexed = { ...suffixRange(bucketRowKey(id)), expectedRows: 1 }
      return settings.includes("dedup") || firstOf(view.range("blockIndex", indexed)) !== undefined
        ? "its bucket is deduplicated: a newer object may consist of the bytes of others"
        : undefined
    },
  },
  start(core) {
    const { ingest, encryptsAtRest } = core
    const dedup = new Dedup({ ...core, random: core.random.fork("dedup") }, core.metrics, core.prepare)
    const dedupUpkeep = new DedupUpkeep({ ...core, blockBytes: ingest.blockBytes }, encryptsAtRest)
    DEDUP_SERVICES.set(core, { dedup, dedupUpkeep })
    return { sharing: dedup }
  },
} satisfies ProductFeature
