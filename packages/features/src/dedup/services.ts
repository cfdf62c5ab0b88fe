/** The services of deduplication, by the core on which they were started. */
import { ServiceOf } from "@hayloft/objects/door/index.js"
import type { Dedup } from "./dedup.js"
import type { DedupUpkeep } from "./dedup-upkeep.js"

export const DEDUP_SERVICES = new ServiceOf<{
  readonly dedup: Pick<Dedup, "setDedup">
  readonly dedupUpkeep: Pick<DedupUpkeep, "open" | "stat" | "limits">
}>()
