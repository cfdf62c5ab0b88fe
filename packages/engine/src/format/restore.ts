/** The restore of an archived version: until when it can be read. Part of a version's record. */
import { oneOf, row, whole, type ValueOf } from "./fields.js"

/** Numbers are on disk: append only. */
export const RESTORE_TIERS = ["Standard", "Bulk", "Expedited"] as const
export type RestoreTier = (typeof RESTORE_TIERS)[number]

export const VERSION_RESTORE = row({
  requestedMs: whole(),
  /** A midnight. */
  untilMs: whole(),
  /** As it was asked for: the bytes are at hand whatever it says. */
  tier: oneOf(RESTORE_TIERS),
})
export type VersionRestore = ValueOf<typeof VERSION_RESTORE>
