/**
 * Repair rate: how fast work progresses, and when it will end. Pure.
 *
 * The rate is a decaying average with a half-life, so that it follows a change of pace within minutes but not single
 * steps.
 */
const HALF_LIFE_MS = 90_000

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
