/**
 * Change watch: wakes what waits for changes of rows, of which each may have parts that are waited for alone.
 *
 * Changes by this process are told as they are committed. Those by other nodes are found by reading, for all rows that
 * something waits for together, when they changed last: one query every `everyMs`, and none while nothing waits.
 *
 * Promises  A watcher that is there when a change commits is woken. It may also be woken without one.
 * Refuses   `tooManyInFlight` beyond `watchersMax`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import type { Metadata, Query } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

export const WATCH_LIMITS = {
  /** Waiting at the same time for rows of one kind. */
  watchersMax: 4_096,
  /** How often changes by other nodes are looked for while something waits. */
  everyMs: 50,
  /** Rows in one query. */
  rowsPerQuery: 500,
} as const

interface Watched {
  readonly watchers: Set<{ readonly part: string | undefined; readonly watcher: Watcher }>
  /**
   * The number that the last query read for the row, which differs after each change. It is undefined before the first
   * query, which wakes all watchers, since it does not know what has changed since they began.
   */
  changedAt: number | undefined
}

interface WatchSeams {
  readonly clock: Clock
  readonly metadata: Pick<Metadata, "ask">
  /** Other processes write too. */
  readonly isShared: boolean
}

export class ChangeWatch {
  private readonly rows = new Map<RowKey, Watched>()
  private count = 0
  private cancelAlarm: (() => void) | undefined
  private isReading = false

  /** `changeTimes` reads of each row a number that differs after each change. */
  constructor(
    private readonly seams: WatchSeams,
    private readonly changeTimes: (rows: readonly RowKey[]) => Query<readonly number[]>,
  ) {}

  get watching(): number {
    return this.count
  }

  /** Watches one part of a row, or the whole row. Read what is there after this call, or a change may be missed. */
  begin(row: RowKey, part?: string): Watcher {
    if (this.count >= WATCH_LIMITS.watchersMax) throw fail("tooManyInFlight", { reason: "too many polls are waiting" })
    const watched = this.rows.get(row) ?? { watchers: new Set(), changedAt: undefined }
    this.rows.set(row, watched)
    let isOver = false
    const watcher: Watcher = {
      wake: () => undefined,
      end: () => {
        if (isOver) return
        isOver = true
        this.count -= 1
        watched.watchers.delete(entry)
        if (watched.watchers.size > 0) return
        if (this.rows.get(row) === watched) this.rows.delete(row)
        if (this.rows.size === 0) this.stop()
      },
    }
    const entry = { part, watcher }
    watched.watchers.add(entry)
    this.count += 1
    this.readLater()
    return watcher
  }

  /** This process has changed these parts of the row; undefined: any. */
  changed(row: RowKey, parts?: readonly string[]): void {
    const watched = this.rows.get(row)
    if (watched === undefined) return
    for (const { part, watcher } of watched.watchers) {
      if (part === undefined || parts === undefined || parts.includes(part)) watcher.wake()
    }
  }

  private stop(): void {
    this.cancelAlarm?.()
    this.cancelAlarm = undefined
  }

  private readLater(): void {
    const { clock, isShared } = this.seams
    if (!isShared || this.isReading || this.cancelAlarm !== undefined || this.rows.size === 0) return
    this.cancelAlarm = clock.alarm(WATCH_LIMITS.everyMs, () => {
      this.cancelAlarm = undefined
      this.isReading = true
      // A store that cannot be read has nothing to tell; the next query follows.
      void this.readTimes().then(
        () => this.readAgain(),
        () => this.readAgain(),
      )
    })
  }

  private readAgain(): void {
    this.isReading = false
    this.readLater()
  }

  private async readTimes(): Promise<void> {
    const keys = [...this.rows.keys()]
    for (let at = 0; at < keys.length; at += WATCH_LIMITS.rowsPerQuery) {
      const some = keys.slice(at, at + WATCH_LIMITS.rowsPerQuery)
      const times = await this.seams.metadata.ask(this.changeTimes(some))
      for (const [index, key] of some.entries()) this.noteTime(key, times[index] ?? 0)
    }
  }

  private noteTime(row: RowKey, changedAt: number): void {
    const watched = this.rows.get(row)
    if (watched === undefined || watched.changedAt === changedAt) return
    watched.changedAt = changedAt
    for (const { watcher } of watched.watchers) watcher.wake()
  }
}
