/**
 * Clock: the only source of time.
 *
 * `wallMs` may jump either way and serves timestamps that users see; `monotonicMs` never goes back
 * and serves deadlines and measuring. No safety decision depends on the wall clock.
 */
export interface Clock {
  wallMs(): number
  monotonicMs(): number
  /** Resolves after the duration, or immediately when the signal fires (it never rejects). */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>
  /** Calls `ring` once after the duration, unless the returned function is called first: usually it is. */
  alarm(durationMs: number, ring: () => void): () => void
  /** Calls at the end of this event-loop turn, after all events that have arrived are handled. */
  atEndOfTurn(call: () => void): void
}
