/** The restore of an archived version: until when it can be read. Part of a version's record. */
import { fail } from "../base/failures.js"
import { pick, type RecordReader } from "./pack.js"

/** Numbers are on disk: append only. */
export const RESTORE_TIERS = ["Standard", "Bulk", "Expedited"] as const
export type RestoreTier = (typeof RESTORE_TIERS)[number]

export interface VersionRestore {
  readonly requestedMs: number
  /** A midnight. */
  readonly untilMs: number
  /** As it was asked for: the bytes are at hand whatever it says. */
  readonly tier: RestoreTier
}

export const packRestore = ({ requestedMs, untilMs, tier }: VersionRestore): readonly unknown[] => [
  ...[requestedMs, untilMs, RESTORE_TIERS.indexOf(tier)],
]

/** Throws `corruptRecord`. */
export const readRestore = (row: RecordReader): VersionRestore => ({
  requestedMs: momentOf(row),
  untilMs: momentOf(row),
  tier: pick(RESTORE_TIERS, row.number(), "restore tier"),
})

function momentOf(row: RecordReader): number {
  const moment = row.number()
  if (!Number.isSafeInteger(moment) || moment < 0) throw fail("corruptRecord", { what: "restore" })
  return moment
}
