/**
 * Events of a study in virtual time: a queue of calls, each at its moment. Synchronous, because studies play millions of
 * messages; the simulated clock of the seams lets promises settle between two events, which costs more than the event.
 *
 * Promises  Calls run in the order of their moments, then of their scheduling. The same calls always run in the same order.
 */
export class Events {
  private now = 0
  private count = 0
  /**
   * A binary heap: each call is before those at 2i + 1 and 2i + 2. Arrays of numbers, since an object for each call takes twice
   * as long.
   */
  private readonly moments: number[] = []
  private readonly orders: number[] = []
  private readonly calls: (() => void)[] = []

  get nowMs(): number {
    return this.now
  }

  after(delayMs: number, call: () => void): void {
    const atMs = this.now + Math.max(0, delayMs)
    const { moments } = this
    let at = moments.length
    while (at > 0) {
      const up = (at - 1) >> 1
      // This call is the latest, so it is behind those of the same moment.
      if ((moments[up] ?? 0) <= atMs) break
      this.move(up, at)
      at = up
    }
    this.put(at, atMs, this.count, call)
    this.count += 1
  }

  private put(at: number, atMs: number, order: number, call: () => void): void {
    this.moments[at] = atMs
    this.orders[at] = order
    this.calls[at] = call
  }

  private move(from: number, to: number): void {
    const call = this.calls[from]
    if (call !== undefined) this.put(to, this.moments[from] ?? 0, this.orders[from] ?? 0, call)
  }

  /** Repeats a call, first after `firstMs`; `periodMs` is asked before each pause. */
  every(firstMs: number, periodMs: () => number, call: () => boolean): void {
    this.after(firstMs, () => {
      if (call()) this.every(periodMs(), periodMs, call)
    })
  }

  /** Runs all calls up to this moment, those that they schedule included. */
  runUntil(endMs: number): void {
    for (let atMs = this.moments[0]; atMs !== undefined && atMs <= endMs; atMs = this.moments[0]) {
      const [call] = this.calls
      this.removeFirst()
      this.now = atMs
      call?.()
    }
    this.now = endMs
  }

  private removeFirst(): void {
    const { moments, orders } = this
    const [lastMs, lastOrder, last] = [moments.pop(), orders.pop(), this.calls.pop()]
    if (lastMs === undefined || lastOrder === undefined || last === undefined || moments.length === 0) return
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= moments.length) break
      const child = left + 1 < moments.length && this.isBefore(left + 1, moments[left], orders[left]) ? left + 1 : left
      if (!this.isBefore(child, lastMs, lastOrder)) break
      this.move(child, at)
      at = child
    }
    this.put(at, lastMs, lastOrder, last)
  }

  private isBefore(at: number, atMs = 0, order = 0): boolean {
    const ownMs = this.moments[at] ?? 0
    return ownMs === atMs ? (this.orders[at] ?? 0) < order : ownMs < atMs
  }
}
