/**
 * Clock: the only source of time.
 *
 * `wallMs` may jump either way and serves timestamps that users see; `monotonicMs` never goes back
 * and serves deadlines and measuring. No safety decision depends on the wall clock.
 */
export interface Clock {
  wallMs(): number
  monotonicMs(): number
  /** Resolves after the duration, or at once when the signal fires (it never rejects). */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>
  /** Calls `ring` once after the duration, unless what it returns is called before: for waits that nearly always end early. */
  alarm(durationMs: number, ring: () => void): () => void
  /** Calls at the end of this turn of the event loop, when all that had come by now was heard. */
  atEndOfTurn(call: () => void): void
}
