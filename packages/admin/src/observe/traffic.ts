/**
 * Traffic of this node by bucket, account, operation and code of errors, over the last minute and the last hour, in memory.
 *
 * A bucket is counted once its caller was let in, an account once its signature was verified: strangers cannot add names.
 * Limits    `TRAFFIC_LIMITS`: names beyond are counted together; one that was idle for an hour makes room.
 */
import type { NamedCounts, NodeTraffic, TrafficWindow } from "@hayloft/engine/format/live-report.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { binOf, noted, Ring, type Counted, type CountedRequest, type RingShape } from "./traffic-core.js"

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

export const TRAFFIC_LIMITS = {
  /** Buckets, and accounts. */
  namesMax: 500,
  /** Names that are idle are looked for at most so often. */
  lookMs: 10 * SECOND_MS,
} as const

const WINDOWS = {
  minute: { slots: 12, slotMs: 5 * SECOND_MS },
  hour: { slots: 12, slotMs: 5 * MINUTE_MS },
} as const satisfies Readonly<Record<TrafficWindow, RingShape>>

/** The history is of all requests only. */
const HISTORY: RingShape = { slots: 60, slotMs: MINUTE_MS }

/** Neither is a valid name of a bucket, or an id of an account. */
const OTHERS = "(other)"
const ANONYMOUS = "(anonymous)"

class Series {
  readonly minute = new Ring(WINDOWS.minute)
  readonly hour = new Ring(WINDOWS.hour)
  lastMs = 0

  add(nowMs: number, status: number, bin: number, receivedBytes: number, sentBytes: number): void {
    this.lastMs = nowMs
    this.minute.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.hour.add(nowMs, status, bin, receivedBytes, sentBytes)
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
    for (const [name, { lastMs }] of this.known) if (lastMs < nowMs - HOUR_MS) this.known.delete(name)
  }
}

export class Traffic {
  private readonly total = new Series()
  private readonly history = new Ring(HISTORY)
  private readonly buckets = new NamedSeries()
  private readonly accounts = new NamedSeries()
  private readonly operations = new NamedSeries()
  private readonly codes = new NamedSeries()
  private readonly startedMs: number

  constructor(private readonly clock: Pick<Clock, "wallMs" | "monotonicMs">) {
    this.startedMs = clock.monotonicMs()
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
    const nowMs = this.clock.monotonicMs()
    const account = accountId ?? (bucket === undefined ? undefined : ANONYMOUS)
    const bin = binOf(durationMs)
    this.total.add(nowMs, status, bin, receivedBytes, sentBytes)
    this.history.add(nowMs, status, bin, receivedBytes, sentBytes)
    if (bucket !== undefined) this.buckets.of(bucket, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
    if (account !== undefined) this.accounts.of(account, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
    if (operation !== undefined) this.operations.of(operation, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
    if (code !== undefined) this.codes.of(code, nowMs).add(nowMs, status, bin, receivedBytes, sentBytes)
  }

  counts(window: TrafficWindow): NodeTraffic {
    const [nowMs, atMs] = [this.clock.monotonicMs(), this.clock.wallMs()]
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
      history: this.history
        .slots(nowMs)
        .map(({ sinceMs, ...counts }) => ({ sinceMs: Math.round(atMs - nowMs + sinceMs), ...counts })),
    }
  }
}
