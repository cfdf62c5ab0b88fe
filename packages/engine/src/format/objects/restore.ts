/** The restore of an archived version: until when it can be read. Part of a version's record. */
import { oneOf, row, whole, type ValueOf } from "../encoding/fields.js"

/** Numbers are on disk: append only. */
export const RESTORE_TIERS = ["Standard", "Bulk", "Expedited"] as const
export type RestoreTier = (typeof RESTORE_TIERS)[number]

export const VERSION_RESTORE = row({
  requestedMs: whole(),
  /** A midnight. */
  untilMs: whole(),
  /** The tier that the request named. It has no effect: the bytes are always at hand. */
  tier: oneOf(RESTORE_TIERS),
})
export type VersionRestore = ValueOf<typeof VERSION_RESTORE>
