/** A time limit for work that it does not end. */
import type { Clock } from "./contract.js"

/** The outcome of the work, or "late" after the duration: then the work goes on, and nothing waits for it any more. */
export function within<T>(clock: Pick<Clock, "alarm">, durationMs: number, work: Promise<T>): Promise<T | "late"> {
  return new Promise((resolve, reject) => {
    const cancel = clock.alarm(durationMs, () => resolve("late"))
    work.finally(cancel).then(resolve, reject)
  })
}
