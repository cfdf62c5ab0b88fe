/**
 * Item watch: wakes what waits for changes of K2V partitions.
 *
 * Changes by this process are told as they are committed. Those by other nodes are found by reading, for all partitions
 * that something waits for together, when they changed last: one query every `watchEveryMs`, and none while nothing waits.
 *
 * Promises  A watcher that is there when a change commits is woken. It may also be woken without one.
 * Refuses   `tooManyInFlight` beyond `watchersMax`.
 */
import { fail } from "../../base/failures.js"
import type { ItemKey, RowKey } from "../../base/ids.js"
import type { Metadata } from "../../metadata/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import { readChangeTimes } from "./item-queries-core.js"
import { ITEM_LIMITS } from "./limits.js"

/** Partitions in one query. */
const PARTITIONS_PER_QUERY = 500

export interface Watcher {
  /** Called for each change, until the watcher has ended. */
  wake: () => void
  end(): void
}

interface Watched {
  readonly watchers: Set<{ readonly sortKey: ItemKey | undefined; readonly watcher: Watcher }>
  /** As the last query found it; undefined: none has. */
  changedAt: number | undefined
}

export class ItemWatch {
  private readonly partitions = new Map<RowKey, Watched>()
  private count = 0
  private cancelAlarm: (() => void) | undefined
  private isReading = false

  constructor(
    private readonly clock: Clock,
    private readonly metadata: Pick<Metadata, "ask">,
    /** Other processes write too. */
    private readonly isShared: boolean,
  ) {}

  get watching(): number {
    return this.count
  }

  /** Of one item, or of the whole partition. Read what is there after this call, or a change may be missed. */
  begin(partition: RowKey, sortKey: ItemKey | undefined): Watcher {
    if (this.count >= ITEM_LIMITS.watchersMax) throw fail("tooManyInFlight", { reason: "too many polls are waiting" })
    const watched = this.partitions.get(partition) ?? { watchers: new Set(), changedAt: undefined }
    this.partitions.set(partition, watched)
    let isOver = false
    const watcher: Watcher = {
      wake: () => undefined,
      end: () => {
        if (isOver) return
        isOver = true
        this.count -= 1
        watched.watchers.delete(entry)
        if (watched.watchers.size > 0) return
        if (this.partitions.get(partition) === watched) this.partitions.delete(partition)
        if (this.partitions.size === 0) this.stop()
      },
    }
    const entry = { sortKey, watcher }
    watched.watchers.add(entry)
    this.count += 1
    // The first query must not miss what changes before it: it wakes every watcher that has begun since the last one.
    watched.changedAt = undefined
    this.readLater()
    return watcher
  }

  /** This process has changed these items. */
  changed(partition: RowKey, sortKeys: readonly ItemKey[]): void {
    const watched = this.partitions.get(partition)
    if (watched === undefined) return
    for (const { sortKey, watcher } of watched.watchers) {
      if (sortKey === undefined || sortKeys.includes(sortKey)) watcher.wake()
    }
  }

  private stop(): void {
    this.cancelAlarm?.()
    this.cancelAlarm = undefined
  }

  private readLater(): void {
    if (!this.isShared || this.isReading || this.cancelAlarm !== undefined || this.partitions.size === 0) return
    this.cancelAlarm = this.clock.alarm(ITEM_LIMITS.watchEveryMs, () => {
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
    const keys = [...this.partitions.keys()]
    for (let at = 0; at < keys.length; at += PARTITIONS_PER_QUERY) {
      const some = keys.slice(at, at + PARTITIONS_PER_QUERY)
      const times = await this.metadata.ask(readChangeTimes(some))
      for (const [index, key] of some.entries()) this.noteTime(key, times[index] ?? 0)
    }
  }

  private noteTime(key: RowKey, changedAt: number): void {
    const watched = this.partitions.get(key)
    if (watched === undefined || watched.changedAt === changedAt) return
    watched.changedAt = changedAt
    for (const { watcher } of watched.watchers) watcher.wake()
  }
}
