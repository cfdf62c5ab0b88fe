/**
 * The store's clock: the time by which locks end. Its row is advanced by every process of the store.
 *
 * A process that starts while others run takes over their time. It follows its own wall clock only if no other process
 * runs: then nothing else tells how long the store was stopped. From then on time passes by monotonic clocks alone. Of a
 * process with front threads only the engine thread sets the clock, and its fronts take it over.
 *
 * It also tells the metadata the earliest time for new objects while the wall clock is behind (`confirmed-time-core.ts`).
 *
 * Promises  The clock never goes backwards in a process, and its row never does. While processes of the store run, it is
 *           never faster than their monotonic clocks, whatever the wall clocks do. It may lag: then locks last longer.
 * Limits    STORE_CLOCK_LIMITS.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import {
  advanceClock,
  confirmTime,
  readConfirmedTime,
  readStoreClock,
  startClock,
} from "./commands/clock-commands-core.js"
import { confirmedBefore, earliestTimeMs, withClocks, withRow, type ConfirmedTime } from "./confirmed-time-core.js"

const HOUR_MS = 3_600_000

export const STORE_CLOCK_LIMITS = {
  /** A process states its time this often. */
  advanceEveryMs: 30_000,
  /** A process that does not know the time yet reads the row this often: it lags by up to so much from then on. */
  readEveryMs: 1_000,
  /** After so long without an advance no process runs that knows the time and reaches the metadata. */
  watchMs: 120_000,
  /** A wall clock that differs by more from the store's clock is reported. */
  differenceMs: HOUR_MS,
  warnEveryMs: 24 * HOUR_MS,
  /** A clock that was set ahead by more than that at a start is doubtful for this share of it, and at most for so long. */
  doubtShare: 1 / 240,
  doubtMsMax: HOUR_MS,
  /** The row of the confirmed time is written when it is that old, or later than the confirmed time. */
  confirmEveryMs: HOUR_MS,
  /** A process that stops waits so long until its time is stored. */
  lastAdvanceMs: 2_000,
} as const

/** The row as this process has read it first, while it finds out whether another process advances it. */
interface Watch {
  readonly seenMs: number
  readonly sinceMs: number
  /** Every earlier process of the store was over. */
  readonly wasAlone: boolean
}

/** The clock at a moment of the monotonic clock of a process. */
export interface StoreTime {
  readonly storeMs: number
  readonly atMs: number
}

interface StoreClockSeams {
  readonly clock: Clock
  readonly metadata: Pick<Metadata, "ask" | "run" | "incarnations" | "setEarliestTime">
  readonly telemetry: Telemetry
}

const timeOf = (ms: number): string => new Date(ms).toISOString()

export class StoreClock implements BackgroundService {
  readonly name = "store clock"
  /** 0: it is not known. */
  private known: StoreTime = { storeMs: 0, atMs: 0 }
  private watch: Watch | undefined
  /** This process knows the time: it states it, and does not follow its wall clock. */
  private isSet = false
  /** The time that was used since it was last stored. */
  private isUsed = false
  private warnedMs = -Infinity
  /** By the monotonic clock. */
  private doubtUntilMs = -Infinity
  private hasFailed = false
  /** It is undefined until its row has been read. */
  private confirmed: ConfirmedTime | undefined
  /** The row holds this time. */
  private storedConfirmedMs = 0

  constructor(
    private readonly seams: StoreClockSeams,
    /** Other processes learn from the row that this one runs. */
    private readonly isShared: boolean,
    /** The clock of the same process, whose store was open before: it goes on. */
    before?: StoreTime,
  ) {
    if (before !== undefined) {
      this.known = before
      this.isSet = true
      this.isUsed = true
    }
    const help = "How far the store's clock is behind the wall clock"
    const read = () => (this.behindMs === undefined ? [] : [[{}, this.behindMs / 1000] as const])
    seams.telemetry.metrics.gauge("hayloft_store_clock_behind_seconds", help, read, "largest")
  }

  /** 0 until the clock is known. */
  nowMs(): number {
    this.isUsed = true
    return this.shownMs
  }

  /** For the same process, if it opens the store again; undefined until the clock is known. */
  get time(): StoreTime | undefined {
    return this.isSet ? this.known : undefined
  }

  /** How far the wall clock of this process is ahead of it; undefined until the clock is known. */
  get behindMs(): number | undefined {
    return this.isSet ? this.seams.clock.wallMs() - this.shownMs : undefined
  }

  /** The same, for what may use it again if it is a little earlier after a restart: it is not stored for that. */
  get shownMs(): number {
    const { storeMs, atMs } = this.known
    return storeMs === 0 ? 0 : storeMs + Math.floor(this.seams.clock.monotonicMs() - atMs)
  }

  /**
   * This process has set the clock far ahead a moment ago: if its wall clock was wrong, it may soon be corrected. Locks end
   * by the clock all the same.
   */
  get isDoubtful(): boolean {
    return this.seams.clock.monotonicMs() < this.doubtUntilMs
  }

  /** Sets the clock, or continues to do so. If that fails, the next step tries again, and the clock lags until then. */
  async start(): Promise<void> {
    try {
      const isIdle = this.isSet && !this.isShared && !this.isUsed
      await (this.isSet ? this.advance() : this.set())
      const confirmed = await this.compareClocks()
      if (!isIdle) await this.storeConfirmed(confirmed)
      this.hasFailed = false
    } catch (error) {
      if (!isFailure(error)) throw error
      if (!this.hasFailed) this.seams.telemetry.log.warn("store_clock_not_stored", { reason: error.message })
      this.hasFailed = true
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.seams
    const { advanceEveryMs, readEveryMs } = STORE_CLOCK_LIMITS
    while (!signal.aborted) {
      await this.start()
      this.compareWithWall()
      await clock.sleep(this.isSet ? advanceEveryMs : readEveryMs, signal)
    }
    // So that a process that has just started learns that this one was running.
    if (this.isSet) await this.advanceLast()
  }

  private async set(): Promise<void> {
    const { clock, metadata } = this.seams
    const storedMs = await metadata.ask(readStoreClock())
    this.learn(storedMs)
    const { own, oldestLive, firstLive = oldestLive } = metadata.incarnations
    const watch = this.watchFrom(storedMs, firstLive === own)
    if (storedMs > watch.seenMs) return this.setDone()
    const isQuiet = watch.wasAlone || clock.monotonicMs() - watch.sinceMs >= STORE_CLOCK_LIMITS.watchMs
    if (!isQuiet || firstLive !== own) return
    const fromMs = Math.max(1, this.shownMs, Math.floor(clock.wallMs()))
    const atMs = clock.monotonicMs()
    const setMs = this.isShared ? await metadata.run(startClock({ seenMs: watch.seenMs, fromMs })) : fromMs
    // Another process was faster: the next reading shows its advance.
    if (setMs === undefined) return
    if (setMs === fromMs) this.known = { storeMs: fromMs, atMs }
    this.isUsed = true
    this.setDone()
    this.reportStart(watch.seenMs, fromMs)
  }

  private watchFrom(storedMs: number, wasAlone: boolean): Watch {
    // An earlier row: the database has lost commits.
    if (this.watch === undefined || storedMs < this.watch.seenMs) {
      this.watch = { seenMs: storedMs, sinceMs: this.seams.clock.monotonicMs(), wasAlone }
    }
    return this.watch
  }

  private setDone(): void {
    this.isSet = true
    this.watch = undefined
  }

  private async compareClocks(): Promise<ConfirmedTime> {
    const { clock, metadata } = this.seams
    if (this.confirmed === undefined || this.isShared) this.storedConfirmedMs = await metadata.ask(readConfirmedTime())
    const atMs = clock.monotonicMs()
    const known = this.confirmed ?? confirmedBefore(this.storedConfirmedMs)
    const before = this.isShared ? withRow(known, this.storedConfirmedMs, atMs) : known
    this.confirmed = withClocks(before, { wallMs: clock.wallMs(), storeMs: this.shownMs, atMs })
    metadata.setEarliestTime(earliestTimeMs(this.confirmed, atMs))
    return this.confirmed
  }

  private async storeConfirmed({ confirmedMs }: ConfirmedTime): Promise<void> {
    const before = this.storedConfirmedMs
    if (confirmedMs >= before && confirmedMs < before + STORE_CLOCK_LIMITS.confirmEveryMs) return
    await this.seams.metadata.run(confirmTime(confirmedMs))
    this.storedConfirmedMs = confirmedMs
  }

  /** An idle process that owns the metadata alone does not keep its disk awake. */
  private async advance(): Promise<void> {
    if (!this.isShared && !this.isUsed) return
    this.isUsed = false
    try {
      this.learn(await this.seams.metadata.run(advanceClock(this.shownMs)))
    } catch (error) {
      this.isUsed = true
      throw error
    }
  }

  private async advanceLast(): Promise<void> {
    this.isUsed = true
    await within(this.seams.clock, STORE_CLOCK_LIMITS.lastAdvanceMs, this.start())
  }

  /** The moment after the answer: the time stored before it has passed at least. */
  private learn(storedMs: number): void {
    if (storedMs > this.shownMs) this.known = { storeMs: storedMs, atMs: this.seams.clock.monotonicMs() }
  }

  private reportStart(beforeMs: number, fromMs: number): void {
    const { differenceMs, doubtShare, doubtMsMax } = STORE_CLOCK_LIMITS
    const aheadMs = fromMs - beforeMs
    if (beforeMs === 0 || aheadMs <= differenceMs) return
    this.doubtUntilMs = this.seams.clock.monotonicMs() + Math.min(doubtMsMax, aheadMs * doubtShare)
    this.seams.telemetry.log.warn("store_clock_set_ahead", {
      from: timeOf(beforeMs),
      to: timeOf(fromMs),
      message:
        "the store was stopped in between, or the wall clock is wrong: locks that end before the later time are over, and the store's clock cannot be set back",
    })
  }

  private compareWithWall(): void {
    const { clock, telemetry } = this.seams
    const { behindMs } = this
    if (behindMs === undefined || Math.abs(behindMs) <= STORE_CLOCK_LIMITS.differenceMs) return
    const nowMs = clock.monotonicMs()
    if (nowMs - this.warnedMs < STORE_CLOCK_LIMITS.warnEveryMs) return
    this.warnedMs = nowMs
    const earliestMs = this.confirmed === undefined ? 0 : earliestTimeMs(this.confirmed, nowMs)
    const times = {
      storeClock: timeOf(this.shownMs),
      wallClock: timeOf(clock.wallMs()),
      ...(earliestMs > 0 && { datedFrom: timeOf(earliestMs) }),
    }
    const message =
      behindMs > 0
        ? "locks end late: the wall clock was set ahead, or the machine was asleep; if the wall clock is right, stop all processes of the store and start them again"
        : earliestMs > 0
          ? "the wall clock is behind a time that the store has confirmed, or it was ahead for hours before: new objects are dated from that time on until the wall clock is right, or has been so for six hours; set it"
          : "locks end by the store's clock: the wall clock is behind, or it was ahead when the store's clock was set; if it is behind, set it before objects are stored, since their age counts from it"
    telemetry.log.warn("store_clock_differs", { ...times, message })
  }
}
