/** Foreground: whether clients have asked for bodies just now. Background work then takes less at a time. */
import type { Clock } from "../seams/clock/contract.js"
import { BLOCK_LIMITS } from "./limits.js"

export class Foreground {
  private requestedMs = -Infinity

  constructor(private readonly clock: Clock) {}

  /** A client has. */
  note(): void {
    this.requestedMs = this.clock.monotonicMs()
  }

  get isActive(): boolean {
    return this.clock.monotonicMs() - this.requestedMs < BLOCK_LIMITS.quietMs
  }
}
