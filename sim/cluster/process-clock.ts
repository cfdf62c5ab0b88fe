/**
 * The clock of one simulated process: its wall clock is offset from that of others, both of its clocks drift, and a
 * random delay of each alarm shuffles events that would happen in the same moment.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Gate } from "./gate.js"

/** The longest random delay of an alarm. */
const JITTER_MS = 0.4

export interface ClockErrors {
  /** How fast it runs; 1 is exact. */
  readonly rate: number
  wallOffsetMs: number
}

export class ProcessClock implements Clock {
  /** Alarms that have not rung. */
  pending = 0

  constructor(
    private readonly base: Clock,
    private readonly gate: Gate,
    private readonly random: Random,
    private readonly errors: ClockErrors,
  ) {}

  wallMs(): number {
    const { rate, wallOffsetMs } = this.errors
    return Math.round(this.base.wallMs() + this.base.monotonicMs() * (rate - 1) + wallOffsetMs)
  }

  monotonicMs(): number {
    return this.base.monotonicMs() * this.errors.rate
  }

  alarm(durationMs: number, ring: () => void): () => void {
    // Work that an ended process still runs waits for nothing any more.
    if (this.gate.hasEnded) return () => undefined
    let isPending = true
    const settle = (): boolean => {
      if (!isPending) return false
      isPending = false
      this.pending -= 1
      forget()
      return true
    }
    this.pending += 1
    const delayMs = (JITTER_MS * this.random.below(1_000)) / 1_000
    const cancel = this.base.alarm(durationMs / this.errors.rate + delayMs, () =>
      this.gate.enter(() => {
        if (settle()) ring()
      }),
    )
    const forget = this.gate.atEnd(cancel)
    return () => {
      if (settle()) cancel()
    }
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const wake = (): void => {
        cancel()
        signal.removeEventListener("abort", wake)
        resolve()
      }
      const cancel = this.alarm(durationMs, wake)
      signal.addEventListener("abort", wake)
    })
  }

  atEndOfTurn(call: () => void): void {
    this.base.atEndOfTurn(() => this.gate.enter(call))
  }
}

/** A clock whose wall clock may be set to another time. */
export class ShiftedClock implements Clock {
  wallOffsetMs = 0

  constructor(private readonly base: Clock) {}

  wallMs(): number {
    return this.base.wallMs() + this.wallOffsetMs
  }

  monotonicMs(): number {
    return this.base.monotonicMs()
  }

  alarm(durationMs: number, ring: () => void): () => void {
    return this.base.alarm(durationMs, ring)
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    return this.base.sleep(durationMs, signal)
  }

  atEndOfTurn(call: () => void): void {
    this.base.atEndOfTurn(call)
  }
}
