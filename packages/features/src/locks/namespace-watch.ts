/**
 * Namespace watch: wakes requests that wait for changes of files and locks below a prefix.
 *
 * Changes by this process are told as they are committed. Those by other nodes are found by reading the last numbers of all
 * namespaces that something waits for together, and then the changes since: one query every `watchEveryMs`, and none while
 * nothing waits.
 *
 * Promises  A change that is committed after `begin` wakes the waiter.
 * Refuses   `tooManyInFlight` beyond `waitersMax`, and `waitersOfAccountMax`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId, RowKey } from "@hayloft/base/ids.js"
import { namespaceRowKey } from "@hayloft/engine/format/coord-rows.js"
import { mapBounded, type Watcher } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { readChanges, readLastNumbers } from "./coord-queries-core.js"
import { COORD_LIMITS } from "./limits.js"

const READS_AT_A_TIME = 4

interface WatchSeams {
  readonly clock: Clock
  readonly metadata: Pick<Metadata, "ask">
  /** Other processes write too. */
  readonly isShared: boolean
}

/** The paths that a request waits for. */
export interface Watched {
  readonly account: AccountId
  readonly namespace: string
  /** A path, or what paths begin with. */
  readonly prefix: string
}

interface WatchedNamespace extends Pick<Watched, "account" | "namespace"> {
  readonly waiters: Set<PrefixWaiter>
  /** Up to which number its changes were told; undefined: it was not read yet. */
  toldNumber: number | undefined
}

class PrefixWaiter implements Watcher {
  wake: () => void = () => undefined

  constructor(
    readonly prefix: string,
    readonly end: () => void,
  ) {}
}

export class NamespaceWatch {
  private readonly namespaces = new Map<RowKey, WatchedNamespace>()
  private count = 0
  private readonly counts = new Map<AccountId, number>()
  private cancelAlarm: (() => void) | undefined
  private isReading = false

  constructor(private readonly seams: WatchSeams) {}

  get waiting(): number {
    return this.count
  }

  /** Look after this call, or a change may be missed. */
  begin({ account, namespace, prefix }: Watched): Watcher {
    const ofAccount = this.counts.get(account) ?? 0
    if (this.count >= COORD_LIMITS.waitersMax || ofAccount >= COORD_LIMITS.waitersOfAccountMax)
      throw fail("tooManyInFlight", { reason: "too many requests wait for locks and changes" })
    const key = namespaceRowKey(account, namespace)
    const watched = this.namespaces.get(key) ?? { account, namespace, waiters: new Set(), toldNumber: undefined }
    this.namespaces.set(key, watched)
    const waiter: PrefixWaiter = new PrefixWaiter(prefix, () => {
      if (!watched.waiters.delete(waiter)) return
      this.countOf(account, -1)
      if (watched.waiters.size === 0) this.namespaces.delete(key)
      if (this.namespaces.size === 0) this.cancelAlarm?.()
    })
    watched.waiters.add(waiter)
    this.countOf(account, 1)
    this.readLater()
    return waiter
  }

  private countOf(account: AccountId, added: number): void {
    this.count += added
    const left = (this.counts.get(account) ?? 0) + added
    if (left === 0) this.counts.delete(account)
    else this.counts.set(account, left)
  }

  /** Something at this path has changed; a prefix: something below it may have. */
  changed({ account, namespace, prefix: path }: Watched): void {
    const watched = this.namespaces.get(namespaceRowKey(account, namespace))
    for (const waiter of watched?.waiters ?? [])
      if (path.startsWith(waiter.prefix) || waiter.prefix.startsWith(path)) waiter.wake()
  }

  private readLater(): void {
    const { clock, isShared } = this.seams
    if (!isShared || this.isReading || this.cancelAlarm !== undefined || this.namespaces.size === 0) return
    const cancel = clock.alarm(COORD_LIMITS.watchEveryMs, () => {
      this.cancelAlarm = undefined
      this.isReading = true
      const again = (): void => {
        this.isReading = false
        this.readLater()
      }
      // A store that cannot be read has nothing to tell; the next query follows.
      void this.readNumbers().then(again, again)
    })
    this.cancelAlarm = () => {
      cancel()
      this.cancelAlarm = undefined
    }
  }

  private async readNumbers(): Promise<void> {
    const rows = [...this.namespaces]
    const numbers = await this.seams.metadata.ask(readLastNumbers(rows.map(([key]) => key)))
    const changed = rows.flatMap(([, watched], at) => {
      const number = numbers[at] ?? 0
      return watched.toldNumber === number ? [] : [{ watched, number }]
    })
    await mapBounded(changed, READS_AT_A_TIME, ({ watched, number }) => this.tell(watched, number))
  }

  /** Wakes those whose prefixes have changed; all, if that cannot be told. */
  private async tell(watched: WatchedNamespace, number: number): Promise<void> {
    const { account, namespace, toldNumber } = watched
    const found =
      toldNumber === undefined
        ? undefined
        : await this.seams.metadata.ask(readChanges(account, namespace, "", toldNumber))
    watched.toldNumber = Math.max(number, found?.upTo ?? 0)
    if (found === undefined || found.isMore) this.changed({ account, namespace, prefix: "" })
    else for (const { path } of found.changes) this.changed({ account, namespace, prefix: path })
  }
}
