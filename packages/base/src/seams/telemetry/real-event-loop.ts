/**
 * The delay of the event loop, as a metric: all work of this process
 * passes through one thread, so anything that blocks it delays all requests.
 *
 * `hayloft_event_loop_delay_seconds{quantile="0.5"|"0.99"|"1"}` of the last whole window, or of the
 * current one if that is worse, so that neither a scrape nor the end of a window hides a stall.
 */
import { monitorEventLoopDelay, type IntervalHistogram } from "node:perf_hooks"
import type { Clock } from "../clock/contract.js"
import type { Metrics } from "./contract.js"

const RESOLUTION_MS = 20
const WINDOW_MS = 15_000
const QUANTILES = [0.5, 0.99, 1] as const

export class EventLoopDelay {
  readonly name = "event loop delay"
  private readonly current: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
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
        await this.clock.sleep(WINDOW_MS, signal)
        this.lastWindow = this.read()
        this.current.reset()
      }
    } finally {
      this.current.disable()
    }
  }

  /** Seconds by quantile. The histogram counts its own interval too. */
  private read(): number[] {
    const { current } = this
    if (current.count === 0) return QUANTILES.map(() => 0)
    return QUANTILES.map(quantile => {
      const nanoseconds = quantile === 1 ? current.max : current.percentile(100 * quantile)
      return Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3)
    })
  }
}
