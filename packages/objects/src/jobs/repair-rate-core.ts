/**
 * Repair rate: how fast work progresses, when it will end, and how fast it may progress. Pure.
 *
 * The rate is a decaying average with a half-life, so that it follows a change of pace within minutes but not single
 * steps.
 */
const HALF_LIFE_MS = 90_000
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

export class WorkRate {
  private bytes = 0
  private spanMs = 0
  private atMs: number | undefined

  /** Starts or resumes work: the time until now does not count. */
  begin(nowMs: number): void {
    this.atMs = nowMs
  }

  /** Adds bytes processed since the last call. */
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
