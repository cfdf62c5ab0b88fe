/**
 * A limit for work that waits for another machine.
 *
 * Promises  The work has its time also if this process was paused or busy meanwhile: what has arrived by then is used.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

/** An alarm that rings so much later was not in time: the process was paused, or busy. */
const PAUSED_MS = 500
/** In which what has arrived during a pause is read. */
const AFTER_PAUSE_MS = 1_000

/** Settles as the work does, unless it takes longer: then rejects with `late()`, and the outcome of the work is not used. */
export function inTime<T>(clock: Clock, limitMs: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const dueMs = clock.monotonicMs() + limitMs
    const onLate = (): void => reject(late())
    const ring = (): void => {
      if (clock.monotonicMs() > dueMs + PAUSED_MS) cancel = clock.alarm(AFTER_PAUSE_MS, onLate)
      else onLate()
    }
    let cancel = clock.alarm(limitMs, ring)
    work.then(
      result => {
        cancel()
        resolve(result)
      },
      (error: unknown) => {
        cancel()
        reject(error)
      },
    )
  })
}
