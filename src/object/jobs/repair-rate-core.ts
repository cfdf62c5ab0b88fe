/**
 * Repair rate: how fast work goes, when it will have ended, and how fast it may go. Pure.
 *
 * The first is an average over the work so far that forgets with a half-life, so that it follows a change
 * of pace within minutes and does not follow single steps.
 */
const HALF_LIFE_MS = 90_000
/** Work may be this far ahead of its bound, so that a job that looks each second keeps to it and no less. */
const AHEAD_MS = 1_000

/** What several jobs write together, bounded: over minutes no more bytes than so many a second. */
export class RateBound {
  private paidUpToMs = -Infinity

  constructor(readonly bytesPerSecondMax: number) {}

  /** Whether who writes has to wait. */
  isOver(nowMs: number): boolean {
    return this.paidUpToMs - nowMs > AHEAD_MS
  }

  spend(bytes: number, nowMs: number): void {
    this.paidUpToMs = Math.max(this.paidUpToMs, nowMs) + (1_000 * bytes) / this.bytesPerSecondMax
  }
}

export class WorkRate {
  private bytes = 0
  private spanMs = 0
  private atMs: number | undefined

  /** Work begins or goes on after a pause: the time until now does not count. */
  begin(nowMs: number): void {
    this.atMs = nowMs
  }

  /** So many bytes were done since the last call. */
  add(bytes: number, nowMs: number): void {
    const tookMs = Math.max(0, nowMs - (this.atMs ?? nowMs))
    this.atMs = nowMs
    const kept = 2 ** (-tookMs / HALF_LIFE_MS)
    this.bytes = this.bytes * kept + bytes
    this.spanMs = this.spanMs * kept + tookMs
  }

  get bytesPerSecond(): number {
    return this.spanMs > 0 ? (this.bytes * 1000) / this.spanMs : 0
  }

  secondsFor(bytes: number): number | undefined {
    const rate = this.bytesPerSecond
    return bytes > 0 && rate > 0 ? bytes / rate : undefined
  }
}
