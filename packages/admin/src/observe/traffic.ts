/**
 * Traffic of this node by bucket, account, operation and code of errors, over the last minute, hour, day and week, in memory:
 * it begins again with the process.
 *
 * A bucket is counted once its caller was let in, an account once its signature was verified: strangers cannot add names.
 * Limits    `TRAFFIC_LIMITS`: names beyond are counted together; one that was idle for an hour makes room, and what it had
 *           counts with the others then. A window has `WINDOWS` slots for each name: all names together have 15 MB at most.
 */
import type { NamedCounts, NodeTraffic, TrafficWindow } from "@hayloft/engine/format/nodes/live-report.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { binOf, noted, Ring, type Counted, type CountedRequest, type RingShape } from "./traffic-core.js"

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export const TRAFFIC_LIMITS = {
  /** Buckets, and accounts. */
  namesMax: 500,
  /** Names that are idle are looked for at most so often. */
  lookMs: 10 * SECOND_MS,
} as const

const WINDOWS = {
  minute: { slots: 12, slotMs: 5 * SECOND_MS },
  hour: { slots: 12, slotMs: 5 * MINUTE_MS },
  day: { slots: 12, slotMs: 2 * HOUR_MS },
  week: { slots: 14, slotMs: DAY_MS / 2 },
} as const satisfies Readonly<Record<TrafficWindow, RingShape>>

/** The steps of the history, which is of all requests only. */
const HISTORY = {
  hour: { slots: 60, slotMs: MINUTE_MS },
  day: { slots: 96, slotMs: 15 * MINUTE_MS },
  week: { slots: 84, slotMs: 2 * HOUR_MS },
} as const satisfies Readonly<Record<string, RingShape>>

const HISTORY_OF = {
  minute: "hour",
  hour: "hour",
  day: "day",
  week: "week",
} as const satisfies Readonly<Record<TrafficWindow, keyof typeof HISTORY>>

/** Neither is a valid name of a bucket, or an id of an account. */
const OTHERS = "(other)"
const ANONYMOUS = "(anonymous)"

class Series {
  readonly minute = new Ring(WINDOWS.minute)
  readonly hour = new Ring(WINDOWS.hour)
  readonly day = new Ring(WINDOWS.day)
  readonly week = new Ring(WINDOWS.week)
  lastMs = 0

  add(nowMs: number, status: number, bin: number, receivedBytes: number, sentBytes: number): void {
    this.lastMs = nowMs
    this.minute.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.hour.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.day.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.week.add(nowMs, status, bin, receivedBytes, sentBytes)
  }

  /** Takes over what another one has counted in the longer windows. */
  absorb({ day, week }: Series, nowMs: number): void {
    this.day.absorb(day, nowMs)
    this.week.absorb(week, nowMs)
  }
}

class NamedSeries {
  private readonly known = new Map<string, Series>()
  private nextLookMs = 0

  of(name: string, nowMs: number): Series {
    const known = this.known.get(name)
    if (known !== undefined) return known
    if (this.known.size >= TRAFFIC_LIMITS.namesMax) this.forgetIdle(nowMs)
    return this.known.size >= TRAFFIC_LIMITS.namesMax ? (this.known.get(OTHERS) ?? this.add(OTHERS)) : this.add(name)
  }

  /** Those with requests. */
  counts(window: TrafficWindow, nowMs: number): readonly NamedCounts[] {
    return [...this.known]
      .map(([name, series]) => ({ name, ...series[window].sum(nowMs) }))
      .filter(({ requests }) => requests > 0)
  }

  private add(name: string): Series {
    const series = new Series()
    this.known.set(name, series)
    return series
  }

  private forgetIdle(nowMs: number): void {
    if (nowMs < this.nextLookMs) return
    this.nextLookMs = nowMs + TRAFFIC_LIMITS.lookMs
    for (const [name, series] of this.known) {
      if (name === OTHERS || series.lastMs >= nowMs - HOUR_MS) continue
      const others = this.known.get(OTHERS) ?? this.add(OTHERS)
      others.absorb(series, nowMs)
      this.known.delete(name)
    }
  }
}

export class Traffic {
  private readonly total = new Series()
  private readonly history = {
    hour: new Ring(HISTORY.hour),
    day: new Ring(HISTORY.day),
    week: new Ring(HISTORY.week),
  }
  private readonly buckets = new NamedSeries()
  private readonly accounts = new NamedSeries()
  private readonly operations = new NamedSeries()
  private readonly codes = new NamedSeries()
  private readonly startedMs: number
  /** Time that slots are cut by: that of the wall when this began, so that slots of nodes begin together, and never set. */
  private readonly offsetMs: number

  constructor(private readonly clock: Pick<Clock, "wallMs" | "monotonicMs">) {
    this.offsetMs = clock.wallMs() - clock.monotonicMs()
    this.startedMs = this.nowMs()
  }

  private nowMs(): number {
    return this.clock.monotonicMs() + this.offsetMs
  }

  /** Allocates nothing. */
  count({ status = 0, receivedBytes, sentBytes, polledMs, timing, subject, notes }: Counted): void {
    const durationMs = timing.totalMs - polledMs
    const { admittedTo, accountId } = subject ?? {}
    this.add(
      status,
      receivedBytes,
      sentBytes,
      durationMs,
      admittedTo,
      accountId,
      noted(notes["operation"]),
      noted(notes["failure"]),
    )
  }

  /** Counts a request as plain data: now, wherever and whenever it was done. */
  add(...[status, receivedBytes, sentBytes, durationMs, bucket, accountId, operation, code]: CountedRequest): void {
    const nowMs = this.nowMs()
    const account = accountId ?? (bucket === undefined ? undefined : ANONYMOUS)
    const bin = binOf(durationMs)
    this.total.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.history.hour.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.history.day.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.history.week.add(nowMs, status, bin, receivedBytes, sentBytes)
    if (bucket !== undefined) this.buckets.of(bucket, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
    if (account !== undefined) this.accounts.of(account, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
    if (operation !== undefined) this.operations.of(operation, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
    if (code !== undefined) this.codes.of(code, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
  }

  counts(window: TrafficWindow): NodeTraffic {
    const [nowMs, atMs] = [this.nowMs(), this.clock.wallMs()]
    const { slots, slotMs } = WINDOWS[window]
    // The latest slot is not over yet.
    const windowMs = (slots - 1) * slotMs + (nowMs % slotMs)
    const coveredMs = Math.max(SECOND_MS, Math.min(windowMs, nowMs - this.startedMs))
    return {
      atMs,
      seconds: coveredMs / SECOND_MS,
      total: this.total[window].sum(nowMs),
      buckets: this.buckets.counts(window, nowMs),
      accounts: this.accounts.counts(window, nowMs),
      operations: this.operations.counts(window, nowMs),
      codes: this.codes.counts(window, nowMs),
      history: this.history[HISTORY_OF[window]]
        .slots(nowMs)
        .map(({ sinceMs, ...counts }) => ({ sinceMs: Math.round(atMs - nowMs + sinceMs), ...counts })),
    }
  }
}
