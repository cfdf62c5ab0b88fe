/** Work that waits for its turn on a connection. It is answered or refused once. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { SQL_LIMITS } from "./limits.js"

export interface Waiting<Work> {
  readonly work: Work
  /** When it arrived, by the monotonic clock. */
  readonly sinceMs: number
  /** Races that it has lost. */
  losses: number
  readonly reject: (failure: unknown) => void
}

/** A queue whose length is bounded. */
export class WaitingQueue<Work> {
  private queue: Waiting<Work>[] = []

  get isEmpty(): boolean {
    return this.queue.length === 0
  }

  get length(): number {
    return this.queue.length
  }

  /** Refuses work with `tooManyInFlight` if there is too much. */
  add(work: Work, nowMs: number, reject: (failure: unknown) => void): void {
    if (this.queue.length >= SQL_LIMITS.waitingMax) reject(fail("tooManyInFlight"))
    else this.queue.push({ work, sinceMs: nowMs, losses: 0, reject })
  }

  take(max: number): Waiting<Work>[] {
    return this.queue.splice(0, max)
  }

  /** Refuses what has waited since before this moment. */
  refuseOverdue(sinceMs: number, failure: Failure): void {
    const overdue = this.queue.filter(waiting => waiting.sinceMs <= sinceMs)
    this.queue = this.queue.filter(waiting => waiting.sinceMs > sinceMs)
    for (const { reject } of overdue) reject(failure)
  }

  /** They are first in line. */
  putBack(waiting: readonly Waiting<Work>[]): void {
    this.queue.unshift(...waiting)
  }
}
