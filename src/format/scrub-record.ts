/**
 * Scrub record: when a device's needles were last verified, and the progress of the current pass. One
 * for each device, in a separate file that is replaced whole.
 *
 * A packed array: format (1), when the current pass began, when the last whole pass began (both in ms by
 * the wall clock, 0: never), the state of the pass (see `needle-scrub.ts`).
 * Refuses   Anything else with `corruptRecord`. Its loss costs work, never data.
 */
import { decodeNeedleScrub, encodeNeedleScrub, type NeedleScrubState } from "./needle-scrub.js"
import { packRecord, RecordReader } from "./pack.js"

export interface ScrubRecord {
  /** 0 if no pass is running. */
  readonly passStartedMs: number
  /** Everything was verified after this; 0 if never. */
  readonly wholePassStartedMs: number
  readonly state: NeedleScrubState
}

export const encodeScrubRecord = ({ passStartedMs, wholePassStartedMs, state }: ScrubRecord): Uint8Array =>
  packRecord(1, [passStartedMs, wholePassStartedMs, encodeNeedleScrub(state)])

export function decodeScrubRecord(bytes: Uint8Array): ScrubRecord {
  const row = RecordReader.open("scrub record", bytes, 1)
  return {
    passStartedMs: row.number(),
    wholePassStartedMs: row.number(),
    state: decodeNeedleScrub(row.bytes()),
  }
}
