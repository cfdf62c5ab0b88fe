/**
 * Measures whether a client keeps the minimum pace: bytes moved while we wait for it, over a window of waiting. Time in
 * which the server is the slow side does not count, nor a window in which the whole process was suspended (a machine
 * that slept): bytes that arrived meanwhile have not been read yet.
 */
export class ClientPace {
  private waitingSinceMs: number | undefined
  private waitedMs = 0
  private bytes = 0
  private lookedMs: number | undefined

  constructor(
    private readonly bytesPerSecondMin: number,
    private readonly windowMs: number,
  ) {}

  wait(nowMs: number): void {
    this.waitingSinceMs ??= nowMs
  }

  rest(nowMs: number): void {
    if (this.waitingSinceMs === undefined) return
    this.waitedMs += nowMs - this.waitingSinceMs
    this.waitingSinceMs = undefined
  }

  moved(bytes: number): void {
    this.bytes += bytes
  }

  /** Begins a new window now. */
  restart(nowMs: number): void {
    this.waitedMs = 0
    this.bytes = 0
    if (this.waitingSinceMs !== undefined) this.waitingSinceMs = nowMs
  }

  /** Checks the window once it is over, and begins the next one. Call it several times per window. */
  isTooSlow(nowMs: number): boolean {
    const sinceCheckMs = nowMs - (this.lookedMs ?? nowMs)
    this.lookedMs = nowMs
    if (sinceCheckMs > this.windowMs) this.restart(nowMs)
    const waitedMs = this.waitedMs + (this.waitingSinceMs === undefined ? 0 : nowMs - this.waitingSinceMs)
    if (waitedMs < this.windowMs) return false
    const bytesMin = (this.bytesPerSecondMin * waitedMs) / 1000
    const tooSlow = this.bytes < bytesMin
    this.restart(nowMs)
    return tooSlow
  }
}
