/**
 * Queue watch: wakes requests that wait for messages, one for each change, so that a message does not wake all of them.
 *
 * A waiter that was woken looks for messages; one that finds more than it takes, or cannot look, passes the turn on. Changes
 * by this process are told as they are committed. Those by other nodes are found by reading, for all queues that
 * something waits for together, which message is due first: one query every `everyMs`, and none while nothing waits.
 *
 * Promises  While a message of a queue is due, no waiter of the queue sleeps, unless another one is about to look.
 * Refuses   `tooManyInFlight` beyond `waitersMax`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { readFirstDue } from "./queue-queries-core.js"

const QUEUE_WATCH_LIMITS = {
  waitersMax: 4_096,
  everyMs: 50,
  /** An alarm goes off after so long at the latest, and looks when to go off next. */
  alarmMsMax: 3_600_000,
  /** Queues in one query. */
  queuesPerQuery: 500,
} as const

interface Watched {
  /** In the order in which they began to wait. */
  readonly waiters: Set<QueueWaiter>
  cancelAlarm: (() => void) | undefined
  /** When the alarm goes off, by the clock of what is due. */
  alarmMs: number
  /** The first due time that the last query found in the queue; undefined before the first query. */
  firstDue: number | undefined
}

interface WatchSeams {
  readonly clock: Clock
  /** The time that decides what is due. */
  readonly dueNowMs: () => number
  readonly metadata: Pick<Metadata, "ask">
  /** Other processes write too. */
  readonly isShared: boolean
}

/** Waits for messages of some queues. */
export class QueueWaiter implements Watcher {
  wake: () => void = () => undefined
  /** It was woken, and has not begun to look since. */
  private hasTurn = false
  private isOver = false

  constructor(
    private readonly watch: QueueWatch,
    readonly rows: readonly RowKey[],
  ) {}

  /** Returns false if it is about to look anyway. */
  wakeOnce(): boolean {
    if (this.hasTurn || this.isOver) return false
    this.hasTurn = true
    this.wake()
    return true
  }

  /** Looks for messages. `look` tells whether there may be more than it found. */
  async look<T extends { readonly isMore: boolean }>(look: () => Promise<T>): Promise<T> {
    this.hasTurn = false
    try {
      const found = await look()
      if (found.isMore) this.passOn()
      return found
    } catch (error) {
      this.passOn()
      throw error
    }
  }

  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.watch.forget(this)
    if (this.hasTurn) this.passOn()
  }

  private passOn(): void {
    for (const row of this.rows) this.watch.changed(row, 1, this)
  }
}

export class QueueWatch {
  private readonly queues = new Map<RowKey, Watched>()
  private count = 0
  private cancelAlarm: (() => void) | undefined
  private isReading = false

  constructor(private readonly seams: WatchSeams) {}

  get waiting(): number {
    return this.count
  }

  waitingFor(row: RowKey): number {
    return this.queues.get(row)?.waiters.size ?? 0
  }

  /** Look after this call, or a message may be missed. */
  begin(rows: readonly RowKey[]): QueueWaiter {
    if (this.count >= QUEUE_WATCH_LIMITS.waitersMax)
      throw fail("tooManyInFlight", { reason: "too many requests wait for messages" })
    const waiter = new QueueWaiter(this, [...new Set(rows)])
    for (const row of waiter.rows) {
      const watched = this.queues.get(row) ?? {
        waiters: new Set<QueueWaiter>(),
        cancelAlarm: undefined,
        alarmMs: Infinity,
        firstDue: undefined,
      }
      this.queues.set(row, watched)
      watched.waiters.add(waiter)
    }
    this.count += 1
    this.readLater()
    return waiter
  }

  forget(waiter: QueueWaiter): void {
    this.count -= 1
    for (const row of waiter.rows) {
      const watched = this.queues.get(row)
      watched?.waiters.delete(waiter)
      if (watched === undefined || watched.waiters.size > 0) continue
      watched.cancelAlarm?.()
      this.queues.delete(row)
    }
    if (this.queues.size > 0) return
    this.cancelAlarm?.()
    this.cancelAlarm = undefined
  }

  /** The queue may have messages that were not due before, so many: wakes as many waiters. */
  changed(row: RowKey, messages = 1, except?: QueueWaiter): void {
    let left = messages
    for (const waiter of this.queues.get(row)?.waiters ?? []) {
      if (left === 0) return
      if (waiter !== except && waiter.wakeOnce()) left -= 1
    }
  }

  /** A message of the queue will be due then. */
  noteDue(row: RowKey, dueMs: number): void {
    const watched = this.queues.get(row)
    if (watched === undefined || watched.alarmMs <= dueMs) return
    watched.cancelAlarm?.()
    watched.alarmMs = dueMs
    const { clock, dueNowMs } = this.seams
    // A timer may be early by a part of a millisecond.
    const waitMs = Math.min(Math.max(1, dueMs - dueNowMs() + 1), QUEUE_WATCH_LIMITS.alarmMsMax)
    watched.cancelAlarm = clock.alarm(waitMs, () => {
      watched.alarmMs = Infinity
      watched.cancelAlarm = undefined
      this.changed(row)
    })
  }

  private readLater(): void {
    const { clock, isShared } = this.seams
    if (!isShared || this.isReading || this.cancelAlarm !== undefined || this.queues.size === 0) return
    this.cancelAlarm = clock.alarm(QUEUE_WATCH_LIMITS.everyMs, () => {
      this.cancelAlarm = undefined
      this.isReading = true
      const again = (): void => {
        this.isReading = false
        this.readLater()
      }
      // A store that cannot be read has nothing to tell; the next query follows.
      void this.readFirst().then(again, again)
    })
  }

  private async readFirst(): Promise<void> {
    const rows = [...this.queues.keys()]
    const { queuesPerQuery } = QUEUE_WATCH_LIMITS
    for (let at = 0; at < rows.length; at += queuesPerQuery) {
      const some = rows.slice(at, at + queuesPerQuery)
      const found = await this.seams.metadata.ask(readFirstDue(some))
      for (const [index, row] of some.entries()) this.noteFirst(row, found[index] ?? 0)
    }
  }

  private noteFirst(row: RowKey, firstDue: number): void {
    const watched = this.queues.get(row)
    if (watched === undefined || watched.firstDue === firstDue) return
    watched.firstDue = firstDue
    this.changed(row)
  }
}
