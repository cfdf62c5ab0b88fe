/**
 * Figures of a bucket's deduplication, by a walk over its metadata in pages.
 *
 * Promises  Exact for a bucket that does not change meanwhile; otherwise what changes may be in it or not.
 * Limits    `STAT_LIMITS`; a walk reads each row of the bucket once, and its segments once more for each so many released ones.
 */
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { laterTurn } from "@hayloft/base/life/index.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { recount, RECOUNT_LIMITS, type WalkSeams } from "@hayloft/objects/door/rows.js"
import { addFigures, NO_FIGURES, statFrom, type DedupFigures, type StatPlace } from "./stat-core.js"

const STAT_LIMITS = {
  /** Rows of one query: some milliseconds. */
  rowsPerQuery: 2_000,
} as const

export interface DedupStat extends DedupFigures {
  /** Bytes of released segments that others reference, each counted once. */
  readonly releasedReferencedBytes: number
}

export async function dedupStat(seams: WalkSeams, bucketId: BucketId): Promise<DedupStat> {
  let [figures, releasedReferencedBytes] = [NO_FIGURES, 0]
  let released: RowKey[] = []
  const countReleased = async (): Promise<void> => {
    const found = await recount(seams, bucketId, released)
    for (const { distinctBytes } of found.values()) releasedReferencedBytes += distinctBytes
    released = []
  }
  const pages = walkPages({ family: 0, from: bucketRowKey(bucketId) }, place => pageOf(seams, bucketId, place))
  for await (const page of pages) {
    figures = addFigures(figures, page.found)
    released.push(...page.released)
    if (released.length >= RECOUNT_LIMITS.rowsMax) await countReleased()
    await laterTurn(seams.clock)
  }
  if (released.length > 0) await countReleased()
  return { ...figures, releasedReferencedBytes }
}

const pageOf = async ({ metadata }: WalkSeams, bucketId: BucketId, place: StatPlace) =>
  metadata.ask(statFrom(bucketId, place, STAT_LIMITS.rowsPerQuery))
