/** Foreground: whether clients sent requests for bodies recently. If so, background work takes smaller shares. */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { BLOCK_LIMITS } from "./limits.js"

export class Foreground {
  private requestedMs = -Infinity

  constructor(private readonly clock: Clock) {}

  /** Notes a client's request. */
  note(): void {
    this.requestedMs = this.clock.monotonicMs()
  }

  get isActive(): boolean {
    return this.clock.monotonicMs() - this.requestedMs < BLOCK_LIMITS.quietMs
  }
}
