/**
 * Scrub record: when a device's needles were last verified, and the progress of the current pass. One
 * for each device, in a separate file that is replaced whole.
 *
 * A packed array: format (1), when the current pass began, when the last whole pass began (both in ms by
 * the wall clock, 0: never), the state of the pass (see `needle-scrub.ts`).
 * Refuses   Anything else with `corruptRecord`. Its loss costs work, never data.
 */
import { BYTES, mapped, NUMBER, record, type ValueOf } from "./fields.js"
import { decodeNeedleScrub, encodeNeedleScrub } from "./needle-scrub.js"

const SCRUB_RECORD = record("scrub record", {
  /** 0 if no pass is running. */
  passStartedMs: NUMBER,
  /** Everything was verified after this; 0 if never. */
  wholePassStartedMs: NUMBER,
  state: mapped(BYTES, decodeNeedleScrub, encodeNeedleScrub),
})
export type ScrubRecord = ValueOf<typeof SCRUB_RECORD>
export const { encode: encodeScrubRecord, decode: decodeScrubRecord } = SCRUB_RECORD
