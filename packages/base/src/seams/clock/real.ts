/**
 * The real clock: this machine's wall clock, its monotonic clock and its timers.
 *
 * A sleep leaves neither a timer nor a listener behind, whichever of time and signal comes first.
 */
import type { Clock } from "./contract.js"

/** The limit of Node's timers; a longer sleep is split. (Longer alarms ring at the limit, after three weeks.) */
const TIMER_MS_MAX = 2 ** 31 - 1

function sleepOnce(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const wake = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", wake)
      resolve()
    }
    const timer = setTimeout(wake, durationMs)
    signal.addEventListener("abort", wake)
  })
}

export class RealClock implements Clock {
  wallMs(): number {
    return Date.now()
  }

  monotonicMs(): number {
    return performance.now()
  }

  async sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    let leftMs = durationMs
    do {
      if (signal.aborted) return
      await sleepOnce(Math.max(0, Math.min(leftMs, TIMER_MS_MAX)), signal)
      leftMs -= TIMER_MS_MAX
    } while (leftMs > 0)
  }

  alarm(durationMs: number, ring: () => void): () => void {
    const timer = setTimeout(ring, Math.max(0, Math.min(durationMs, TIMER_MS_MAX)))
    return () => clearTimeout(timer)
  }

  atEndOfTurn(call: () => void): void {
    setImmediate(call)
  }
}
