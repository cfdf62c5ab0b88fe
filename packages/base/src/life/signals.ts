/**
 * Signals that end work: the first of several, and a limit of time.
 *
 * Promises  Nothing stays behind at a signal that lives on, such as that of the process: in older Node `AbortSignal.any` leaves
 *           an entry there for each call.
 */
import { setMaxListeners } from "node:events"
import type { Clock } from "../seams/clock/contract.js"

type Signals = readonly (AbortSignal | undefined)[]

/** Calls `ring` once one of the signals fires; none has yet. Returns what removes the listeners. */
export function onAbort(signals: Signals, ring: (reason: unknown) => void): () => void {
  const listening = signals.flatMap(signal => {
    if (signal === undefined) return []
    // Older Node warns of eleven listeners of a signal; how much works at once has limits of its own.
    setMaxListeners(0, signal)
    const listener = (): void => ring(signal.reason)
    signal.addEventListener("abort", listener, { once: true })
    return [() => signal.removeEventListener("abort", listener)]
  })
  return () => listening.forEach(unlisten => unlisten())
}

/** A signal that fires with the first of others, for their reason, or by itself. */
export class FirstAbort {
  private readonly own = new AbortController()
  readonly signal = this.own.signal
  private readonly unlisten: () => void

  constructor(signals: Signals) {
    const fired = signals.find(signal => signal?.aborted === true)
    if (fired !== undefined) this.own.abort(fired.reason)
    this.unlisten = fired === undefined ? onAbort(signals, reason => this.abort(reason)) : () => undefined
  }

  /** Has no effect once it has fired. */
  abort(reason?: unknown): void {
    this.unlisten()
    this.own.abort(reason)
  }

  /** The other signals end nothing here from now on. Its owner calls it in the end, unless it has fired. */
  release(): void {
    this.unlisten()
  }
}

/** A limit of time for work. */
export interface TimeLimit {
  readonly clock: Pick<Clock, "alarm">
  /** Infinity: none. */
  readonly durationMs: number
  /** The reason with which the signal of the work fires. Without it, that is an `AbortError`. */
  readonly late?: () => Error
}

/** Runs the work, whose signal fires when its time is over or with one of the others. Nothing of it may go on after its promise. */
export async function limited<T>(
  { clock, durationMs, late }: TimeLimit,
  signals: Signals,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new FirstAbort(signals)
  const cancel = durationMs === Infinity ? undefined : clock.alarm(durationMs, () => ended.abort(late?.()))
  try {
    return await work(ended.signal)
  } finally {
    cancel?.()
    ended.release()
  }
}
