/**
 * Events of a study in virtual time: a queue of calls, each at its moment. Synchronous, because studies play millions of
 * messages; the simulated clock of the seams lets promises settle between two events, which costs more than the event.
 *
 * Promises  Calls run in the order of their moments, then of their scheduling. The same calls always run in the same order.
 */
interface Scheduled {
  readonly atMs: number
  readonly order: number
  readonly call: () => void
}

const isBefore = (left: Scheduled, right: Scheduled): boolean =>
  left.atMs === right.atMs ? left.order < right.order : left.atMs < right.atMs

export class Events {
  private now = 0
  private count = 0
  /** A binary heap: each entry is before those at 2i + 1 and 2i + 2. */
  private readonly heap: Scheduled[] = []

  get nowMs(): number {
    return this.now
  }

  after(delayMs: number, call: () => void): void {
    const added = { atMs: this.now + Math.max(0, delayMs), order: this.count, call }
    this.count += 1
    const { heap } = this
    let at = heap.length
    heap.push(added)
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || isBefore(parent, added)) break
      heap[at] = parent
      at = up
    }
    heap[at] = added
  }

  /** Repeats a call, first after `firstMs`; `periodMs` is asked before each pause. */
  every(firstMs: number, periodMs: () => number, call: () => boolean): void {
    this.after(firstMs, () => {
      if (call()) this.every(periodMs(), periodMs, call)
    })
  }

  /** Runs all calls up to this moment, those that they schedule included. */
  runUntil(endMs: number): void {
    for (let next = this.heap[0]; next !== undefined && next.atMs <= endMs; next = this.heap[0]) {
      this.removeFirst()
      this.now = next.atMs
      next.call()
    }
    this.now = endMs
  }

  private removeFirst(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]]
      if (left === undefined) break
      const isRight = right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (isBefore(last, child)) break
      heap[at] = child
      at = 2 * at + (isRight ? 2 : 1)
    }
    heap[at] = last
  }
}
