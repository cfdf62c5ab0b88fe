/**
 * Scrub record: when a device's needles were last verified, and the progress of the current pass. One
 * for each device, in a separate file that is replaced whole.
 *
 * A packed array: format (1), when the current pass began, when the last whole pass began (both in ms by
 * the wall clock, 0: never), the state of the pass (see `needle-scrub.ts`), 1 if an operator has requested the pass.
 * Refuses   Anything else with `corruptRecord`. Its loss costs work, never data.
 */
import { appended, BYTES, mapped, NUMBER, record, TRUE, type ValueOf } from "../encoding/fields.js"
import { decodeNeedleScrub, encodeNeedleScrub } from "./needle-scrub.js"

const SCRUB_RECORD = record("scrub record", {
  /** 0 if no pass is running. */
  passStartedMs: NUMBER,
  /** Everything was verified after this; 0 if never. */
  wholePassStartedMs: NUMBER,
  state: mapped(BYTES, decodeNeedleScrub, encodeNeedleScrub),
  /** An operator has requested the pass, so it does not rest. */
  isRequested: appended(TRUE),
})
export type ScrubRecord = ValueOf<typeof SCRUB_RECORD>
export const { encode: encodeScrubRecord, decode: decodeScrubRecord } = SCRUB_RECORD
