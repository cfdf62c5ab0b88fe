/**
 * Scrub record: when a device's needles were verified last, and how far the pass under way has come. One
 * for each device, in a file of its own that is replaced whole.
 *
 * A packed array: format (1), when the pass under way began, when the last whole pass began (both in ms by
 * the wall clock, 0: never), the state of the pass (see `needle-scrub.ts`).
 * Refuses   Anything else with `corruptRecord`. What is lost with it is work, never data.
 */
import { decodeNeedleScrub, encodeNeedleScrub, type NeedleScrubState } from "./needle-scrub.js"
import { packRecord, RecordReader } from "./pack.js"

export interface ScrubRecord {
  /** 0: no pass is under way. */
  readonly passStartedMs: number
  /** Everything was verified after this; 0: never. */
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
