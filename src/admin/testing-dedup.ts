/** The deduplication report of a bucket, for tests of the admin API. */
import type { Services } from "./operation.js"

const MIB = 1 << 20

export const DEDUP_REPORT: Awaited<ReturnType<Services["dedupUpkeep"]["stat"]>> = {
  ...{ state: "on", versions: 10, logicalBytes: 100 * MIB, ownBytes: 36 * MIB, referencedBytes: 64 * MIB },
  ...{ versionsWithReferences: 4, references: 7, referencedSegments: 3, releasedSegments: 1, releasedBytes: 8 * MIB },
  ...{ releasedReferencedBytes: 2 * MIB, digestRows: 6, indexedBlocks: 12 },
}
