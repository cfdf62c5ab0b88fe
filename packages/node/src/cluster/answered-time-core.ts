/**
 * Time in which the database answered: what silence is measured in. While the database does not answer, no node can write
 * a heartbeat, so that time does not count. Pure.
 */
export class AnsweredTime {
  private elapsedMs = 0
  private lastMs: number | undefined

  /** A gap between two answers that is longer than this does not count at all. */
  constructor(private readonly gapMsMax: number) {}

  /** The database answered at this moment of the monotonic clock; returns the time that has counted up to now. */
  answered(nowMs: number): number {
    const gapMs = this.lastMs === undefined ? 0 : nowMs - this.lastMs
    if (gapMs <= this.gapMsMax) this.elapsedMs += gapMs
    this.lastMs = nowMs
    return this.elapsedMs
  }

  /** The time from the last answer to the next one does not count. */
  missed(): void {
    this.lastMs = undefined
  }
}
