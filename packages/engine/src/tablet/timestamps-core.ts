/**
 * Commit timestamps of a tablet: the wall clock in microseconds, or one more than the last if the clock is not ahead of it.
 *
 * So that they grow across restarts, whatever the clock does meanwhile, they are reserved: an entry with a timestamp that
 * is not reserved yet also writes the row with the end of the next reservation. A primary that starts takes all reserved
 * ones as used. So its timestamps are at most `RESERVED_US` ahead of the clock because of that. Pure.
 */
import type { EntryWrite } from "../format/device/entry.js"
import { encodeTimestamps, TIMESTAMPS_ROW } from "../format/commit-timestamps.js"

/** One entry in this time writes the row. */
export const RESERVED_US = 100_000

export class CommitTimestamps {
  private reservedUs: number

  /** `lastUs`: the last one that may have been used. */
  constructor(private lastUs: number) {
    this.reservedUs = lastUs
  }

  get last(): number {
    return this.lastUs
  }

  /** The next timestamp, if an entry is appended now. */
  next(nowMs: number): number {
    return Math.max(Math.floor(nowMs * 1000), this.lastUs + 1)
  }

  /** The latest moment that is not in the future. */
  latest(nowMs: number): number {
    return Math.max(Math.floor(nowMs * 1000), this.lastUs)
  }

  /** Marks all timestamps up to this one as used. Returns the row that the same entry must write. */
  use(us: number): EntryWrite | undefined {
    this.lastUs = Math.max(this.lastUs, us)
    if (this.lastUs <= this.reservedUs) return undefined
    this.reservedUs = this.lastUs + RESERVED_US
    return { family: "clock", key: TIMESTAMPS_ROW, value: encodeTimestamps(this.reservedUs) }
  }

  /** Forgets the reservation, which may be in entries that were abandoned. */
  forgetReservation(): void {
    this.reservedUs = 0
  }
}
