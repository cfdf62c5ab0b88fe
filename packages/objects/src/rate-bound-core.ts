/** Rate bound: how fast jobs may write together, so that they leave room for clients. Pure. */

/** How far work may run ahead of its limit, so that a job that runs once per second can use the whole limit. */
const AHEAD_MS = 1_000

/** Limits the bytes that several jobs write together to a rate, averaged over minutes. */
export class RateBound {
  private paidUpToMs = -Infinity

  constructor(readonly bytesPerSecondMax: number) {}

  /** Returns true if writers must wait. */
  isOver(nowMs: number): boolean {
    return this.paidUpToMs - nowMs > AHEAD_MS
  }

  spend(bytes: number, nowMs: number): void {
    this.paidUpToMs = Math.max(this.paidUpToMs, nowMs) + (1_000 * bytes) / this.bytesPerSecondMax
  }
}
