/**
 * The delay of the event loop, as a metric: all work of this process
 * passes through one thread, so anything that blocks it delays all requests.
 *
 * `hayloft_event_loop_delay_seconds{quantile="0.5"|"0.99"|"1"}` of the last whole window, or of the
 * current one if that is worse, so that neither a scrape nor the end of a window hides a stall.
 *
 * A histogram that is taken fifty times a second would keep an idle process awake. While the loop works for less than
 * `BUSY_SHARE` of each look, which nothing can have delayed by more than that share of `LOOK_MS`, only the delay of the
 * looks themselves counts.
 */
import { monitorEventLoopDelay, performance, type IntervalHistogram } from "node:perf_hooks"
import { untilBeatMs } from "../clock/beats.js"
import type { Clock } from "../clock/contract.js"
import type { Metrics } from "./contract.js"

const RESOLUTION_MS = 20
const LOOK_MS = 500
const BUSY_SHARE = 0.05
const LOOKS_PER_WINDOW = 30
/** The histogram is taken until so many looks in a row have found little work. */
const LOOKS_UNTIL_IDLE = 4
const QUANTILES = [0.5, 0.99, 1] as const

export class EventLoopDelay {
  readonly name = "event loop delay"
  private readonly current: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  /** The longest delay of a look in this window. */
  private lateMs = 0
  private looksSinceBusy = 0
  private lastWindow: readonly number[] = QUANTILES.map(() => 0)

  constructor(
    private readonly clock: Clock,
    metrics: Metrics,
  ) {
    metrics.summary("hayloft_event_loop_delay_seconds", "How late the event loop runs, by quantile", () => {
      const now = this.read()
      return QUANTILES.map((quantile, i) => [
        { quantile: String(quantile) },
        Math.max(now[i] ?? 0, this.lastWindow[i] ?? 0),
      ])
    })
  }

  async run(signal: AbortSignal): Promise<void> {
    this.current.enable()
    try {
      while (!signal.aborted) {
        for (let looks = 0; looks < LOOKS_PER_WINDOW && !signal.aborted; looks += 1) await this.look(signal)
        this.lastWindow = this.read()
        this.current.reset()
        this.lateMs = 0
      }
    } finally {
      this.current.disable()
    }
  }

  /** One look; the histogram is taken from one that has found work on. */
  private async look(signal: AbortSignal): Promise<void> {
    const before = performance.eventLoopUtilization()
    const restMs = untilBeatMs(this.clock, LOOK_MS)
    const dueMs = this.clock.monotonicMs() + restMs
    await this.clock.sleep(restMs, signal)
    this.lateMs = Math.max(this.lateMs, this.clock.monotonicMs() - dueMs)
    const isBusy = performance.eventLoopUtilization(before).utilization >= BUSY_SHARE
    this.looksSinceBusy = isBusy ? 0 : this.looksSinceBusy + 1
    if (isBusy) this.current.enable()
    else if (this.looksSinceBusy >= LOOKS_UNTIL_IDLE) this.current.disable()
  }

  /** Seconds by quantile. The histogram counts its own interval too. */
  private read(): number[] {
    return QUANTILES.map(quantile => {
      const seconds = this.current.count === 0 ? 0 : this.taken(quantile)
      return quantile === 1 ? Math.max(seconds, this.lateMs / 1e3) : seconds
    })
  }

  private taken(quantile: number): number {
    const nanoseconds = quantile === 1 ? this.current.max : this.current.percentile(100 * quantile)
    return Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3)
  }
}
