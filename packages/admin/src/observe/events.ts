/**
 * Events: what is worth knowing of all nodes, as rows that outlast the processes.
 *
 * An event is a line of the log at warn or above, or one of `LIFE_EVENTS`. It has the code of the line.
 *
 * Promises  What logs neither waits nor fails because of an event. Events that cannot be stored wait in memory, and are
 *           listed by their own node meanwhile. Other nodes list an event about a second after it has occurred.
 * Refuses   To be complete: a process that is killed loses events of its last second, and `EVENT_LIMITS` drops floods.
 * Limits    `EVENT_ROW_LIMITS`, `EVENT_LIMITS`.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { EventId } from "@hayloft/base/ids.js"
import { Rest, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Fields, Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { EventLevel } from "@hayloft/engine/format/event-record.js"
import { EventBuffer, type EventLine } from "./event-buffer-core.js"
import {
  dropEvents,
  EVENTS_DROPPED_MAX,
  isWanted,
  noteEvents,
  oldEvents,
  readEvents,
  type EventFilter,
  type EventPage,
  type StoredEvent,
} from "./event-rows-core.js"

const DAY_MS = 86_400_000

export const EVENT_ROW_LIMITS = {
  keepMs: 30 * DAY_MS,
  countMax: 5_000,
  /** Between looks for rows that are too old or too many. */
  pruneMs: 10 * 60_000,
  storeMs: 1_000,
  retryMsMax: 60_000,
  batchMax: 32,
  /** A request to metadata that takes longer counts as failed: a device or the database hangs. */
  waitMs: 5_000,
  /** Pages of rows that one listing looks at. */
  examinedPagesMax: 12,
  /** Between looks of one follower for new events. */
  followMs: 1_000,
  /** Clocks of nodes differ, and events are stored late: a follower looks back so far. */
  followBackMs: 120_000,
  followedMax: 200,
} as const

const RANDOM_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
const RANDOM_LENGTH = 8

/** Lines of the log below warn that are events. */
const LIFE_EVENTS: ReadonlySet<string> = new Set([
  "started",
  "stopping",
  "store_changed",
  "repair_done",
  "further_disk_may_fail_again",
  "store_opened_again",
  "device_returned",
  "device_removed",
  "device_joined",
  "device_encrypted",
  "device_replaced_by_emptied_folder",
  "metadata_replica_added",
  "metadata_replica_removed",
  "store_encrypted",
  "store_reconciled",
  "node_left",
  "master_key_rotated",
  "bucket_erasure_began",
  "bucket_erased",
  "key_service_reachable_again",
])

/** A log whose lines at warn or above, and `LIFE_EVENTS`, are passed on as events. `fieldsOf` leaves secrets out. */
export function eventLog(below: Log, fieldsOf: (fields: Fields) => Fields, note: (line: EventLine) => void): Log {
  const write = (level: EventLevel) => (code: string, fields?: Fields) => {
    if (level !== "info" || LIFE_EVENTS.has(code)) note({ level, code, fields: fieldsOf(fields ?? {}) })
    below[level](code, fields)
  }
  return {
    writes: level => below.writes(level),
    debug: (event, fields) => below.debug(event, fields),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  }
}

interface EventList extends EventPage {
  /** The reason why only the events of this node are listed that are not stored; undefined: all are. */
  readonly incomplete: string | undefined
}

/** The place where events are stored. */
interface Store {
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Resolves once the devices refuse releases that do not know events. */
  readonly prepare: () => Promise<void>
  /** The time by which events are old: a wall clock that is ahead for a while removes none. Undefined: none is old. */
  readonly dueTimeMs: () => number | undefined
}

export class Events implements BackgroundService {
  readonly name = "events"
  private readonly buffer: EventBuffer
  private store: Store | undefined
  private isPrepared = false
  private isFailing = false
  private prunedMs = -Infinity
  private readonly rest: Rest
  /** For what concerns events themselves: these lines are events, too. */
  private log: Pick<Log, "warn"> = { warn: () => undefined }

  constructor(
    private readonly clock: Clock,
    random: Random,
    /** Returns undefined on one machine. */
    private readonly node: () => string | undefined,
  ) {
    this.rest = new Rest(clock)
    const letters = random.fork("events")
    const letter = (): string => RANDOM_LETTERS[letters.below(RANDOM_LETTERS.length)] ?? ""
    this.buffer = new EventBuffer(() => Array.from({ length: RANDOM_LENGTH }, letter).join(""))
  }

  /** A log whose lines are events as well. `fieldsOf` leaves secrets out. */
  logging(below: Log, fieldsOf: (fields: Fields) => Fields): Log {
    const log = eventLog(below, fieldsOf, line => this.note(line))
    this.log = log
    return log
  }

  /** An event occurs now, in this thread or in another one whose `eventLog` has told of it. */
  note(line: EventLine): void {
    this.buffer.note(this.clock.wallMs(), this.node() ?? "", line)
    this.rest.wake()
  }

  /** From now on events are stored here. */
  use(store: Store): void {
    this.store = store
    this.isPrepared = false
  }

  /** Stores events until the signal fires, and then the last ones. */
  async run(signal: AbortSignal): Promise<void> {
    const { storeMs, retryMsMax } = EVENT_ROW_LIMITS
    for (let waitMs: number = storeMs; !signal.aborted;) {
      await this.untilDue(signal)
      await this.clock.sleep(waitMs, signal)
      const isDone = await this.storeDue(signal.aborted)
      waitMs = isDone ? storeMs : Math.min(retryMsMax, 2 * waitMs)
    }
  }

  /** Resolves once there is something to store, or to remove. */
  private async untilDue(signal: AbortSignal): Promise<void> {
    if (this.buffer.unstored.length > 0) return
    this.rest.forget()
    await this.rest.until(EVENT_ROW_LIMITS.pruneMs, signal)
  }

  /** The latest first; `after` is `next` of the page before. */
  async list(after: EventId | undefined, max: number, filter: EventFilter): Promise<EventList> {
    const own = after === undefined ? this.buffer.unstored.filter(event => isWanted(filter, event)) : []
    try {
      const { events, next } = await this.inTime(this.stored(after, max, filter))
      const ids = new Set(own.map(({ id }) => id))
      const all = [...own, ...events.filter(({ id }) => !ids.has(id))].sort((a, b) => b.atMs - a.atMs)
      return { events: all, next, incomplete: undefined }
    } catch (error) {
      return { events: own, next: undefined, incomplete: asFailure(error).message }
    }
  }

  /** Passes on each event from `sinceMs` on, once, the oldest first. @returns a function that ends that. */
  watch(filter: EventFilter & { readonly sinceMs: number }, push: (event: StoredEvent) => void): () => void {
    const end = new AbortController()
    void this.follow(filter, push, end.signal)
    return () => end.abort()
  }

  private async follow(
    { sinceMs, ...filter }: EventFilter & { readonly sinceMs: number },
    push: (event: StoredEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { followMs, followBackMs, followedMax } = EVENT_ROW_LIMITS
    let pushed: ReadonlySet<EventId> = new Set()
    for (let fromMs = sinceMs; !signal.aborted;) {
      const { events } = await this.list(undefined, followedMax, { ...filter, sinceMs: fromMs })
      if (signal.aborted) return
      for (const event of events.toReversed()) if (!pushed.has(event.id) && event.atMs >= sinceMs) push(event)
      pushed = new Set([...events.map(({ id }) => id), ...pushed].slice(0, 2 * followedMax))
      fromMs = Math.max(sinceMs, this.clock.wallMs() - followBackMs)
      await this.clock.sleep(followMs, signal)
    }
  }

  private async stored(after: EventId | undefined, max: number, filter: EventFilter): Promise<EventPage> {
    const { metadata } = this.opened()
    const events: StoredEvent[] = []
    let next = after
    for (let pages = 0; pages < EVENT_ROW_LIMITS.examinedPagesMax; pages += 1) {
      const page: EventPage = await metadata.ask(readEvents(next, max - events.length, filter))
      events.push(...page.events)
      next = page.next
      if (next === undefined || events.length === max) break
    }
    return { events, next }
  }

  /** @returns whether all that was due is stored. */
  private async storeDue(isLast: boolean): Promise<boolean> {
    try {
      for (;;) {
        const due = this.buffer.due(this.clock.wallMs(), EVENT_ROW_LIMITS.batchMax, isLast)
        if (due.length === 0) break
        await this.inTime(this.storeThese(due))
        this.buffer.stored(this.clock.wallMs(), due)
      }
      await this.inTime(this.prune())
    } catch (error) {
      if (!this.isFailing && !isLast) this.log.warn("events_not_stored", { reason: asFailure(error).message })
      this.isFailing = true
      return false
    }
    this.isFailing = false
    const dropped = this.buffer.takeDropped()
    if (dropped > 0) this.log.warn("events_dropped", { events: dropped })
    return true
  }

  private async storeThese(events: readonly StoredEvent[]): Promise<void> {
    const { metadata, prepare } = this.opened()
    if (!this.isPrepared) await prepare()
    this.isPrepared = true
    await metadata.run(noteEvents(events))
  }

  private async prune(): Promise<void> {
    const nowMs = this.clock.monotonicMs()
    if (nowMs - this.prunedMs < EVENT_ROW_LIMITS.pruneMs) return
    const { metadata, dueTimeMs } = this.opened()
    const { keepMs, countMax } = EVENT_ROW_LIMITS
    const beforeMs = (dueTimeMs() ?? 0) - keepMs
    for (let isMore = true; isMore;) {
      const old = await metadata.ask(oldEvents(beforeMs, countMax))
      if (old.length > 0) await metadata.run(dropEvents(old))
      isMore = old.length === EVENTS_DROPPED_MAX
    }
    this.prunedMs = nowMs
  }

  private opened(): Store {
    if (this.store === undefined) throw fail("tooManyInFlight", { message: "the store is not open yet" })
    return this.store
  }

  private inTime<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(fail("tooManyInFlight", { message: "the metadata does not respond" }))
      const cancel = this.clock.alarm(EVENT_ROW_LIMITS.waitMs, late)
      work.then(resolve, reject).finally(cancel)
    })
  }
}
