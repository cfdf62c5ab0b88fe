/**
 * A device's call queue: a disk that lets at most two calls of one device into the thread pool, and one more that is
 * urgent, so that a device that hangs cannot take the pool from the others.
 *
 * Promises  Calls on files opened as urgent begin in order of arrival, before all others, which begin in theirs: calls
 *           that a client waits for are not behind those of repair, scrub and compaction, and while two of those run
 *           there is still a place for an urgent one. A call that takes longer than `deviceTimeoutMs`, and that
 *           `mayGiveUp` allows to be given up, makes the device suspect, permanently: that call, all that wait and all
 *           later ones fail with `deviceFailed`; results that the pool still delivers are ignored. With these limits a
 *           hang is noticed at most 4.5 s after the call began; time counts only while the event loop and the threads
 *           that make calls have their turns. The memory into which such a call reads stays in use until it ends (`base/memory-in-use.ts`); the
 *           memory from which it writes does not, and may be reused.
 * Limits    `callsMax` (CALLS_MAX) concurrent calls and an urgent one, `queuedMax` (QUEUED_MAX) waiting; beyond,
 *           `tooManyInFlight`.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { readingInto } from "@hayloft/base/memory/memory-in-use.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { isDeviceFault } from "@hayloft/base/seams/disk/codes.js"
import type { Disk, DiskFile, OpenMode, OpenOptions, ReadUse } from "@hayloft/base/seams/disk/contract.js"
import { WrappedDisk, WrappedFile, type RunDiskCall } from "@hayloft/base/seams/disk/wrapped.js"
import { within } from "@hayloft/base/seams/clock/within.js"

export const CALL_LIMITS = {
  callsMax: 2,
  queuedMax: 16_384,
  deviceTimeoutMs: 4_000,
} as const

export interface CallLimits {
  readonly callsMax: number
  readonly queuedMax: number
  readonly deviceTimeoutMs: number
  /** Asked at each check once a call has waited for `deviceTimeoutMs`; absent: yes. */
  readonly mayGiveUp?: (waitedMs: number) => boolean
}

/** How often running calls are checked, as a part of the timeout. */
const CHECKS_PER_TIMEOUT = 8
/** How long a check waits for the threads that make calls: if calls that hang keep all of them, they are to be given up. */
const TURN_MS_MAX = 30_000

export interface QueuedDisk extends Disk {
  /** Set once a call took too long. */
  readonly suspect: Failure | undefined
  readonly queued: number
  /** Calls that have not ended, including those that were given up. */
  readonly running: number
  /** Calls that the device has failed, with those that were given up; that a path does or does not exist is no failure of it. */
  readonly failedCalls: number
  /** Called after a call has failed, and after the device became suspect. */
  onFailed: () => void
  /** Returns true if a call waits for at least `lateMs`, or if one that did has ended within `recentMs`. */
  isLate(lateMs: number, recentMs: number): boolean
  /**
   * The device was taken offline: from now on every call fails with `deviceFailed`, including those under way, for any
   * reason.
   */
  retire(reason: Failure): void
}

/**
 * The disk of one device behind its queue. The signal ends the watch over running calls, nothing else. `onAnswer` is
 * called with each call that has succeeded.
 */
export function queuedDisk(
  disk: Disk,
  clock: Clock,
  limits: CallLimits,
  signal: AbortSignal,
  onSuspect: (failure: Failure) => void,
  onAnswer: () => void = () => undefined,
): QueuedDisk {
  return new CallQueue(disk, clock, limits, signal, onSuspect, onAnswer)
}

interface Waiting {
  readonly begin: () => void
  readonly refuse: (failure: Failure) => void
}

interface Running {
  readonly path: string
  /** The last check that counted its time, or its beginning. */
  sinceMs: number
  /** For how long it was seen to wait, while this process and its threads worked. */
  waitedMs: number
  readonly refuse: (failure: Failure) => void
}

/** Calls in order of arrival. */
class Line {
  /** Calls before `#next` have left. */
  #waiting: Waiting[] = []
  #next = 0

  get length(): number {
    return this.#waiting.length - this.#next
  }

  add(call: Waiting): void {
    this.#waiting.push(call)
  }

  /** Removes and returns the oldest. */
  take(): Waiting | undefined {
    const first = this.#waiting[this.#next]
    if (first === undefined) return undefined
    this.#next += 1
    if (this.#next === this.#waiting.length || this.#next > TRIM_AT) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    return first
  }

  takeAll(): readonly Waiting[] {
    const all = this.#waiting.slice(this.#next)
    this.#waiting = []
    this.#next = 0
    return all
  }
}

const ENDED_MAX = 8
/** Number of calls that have left at which the array is trimmed. */
const TRIM_AT = 16_384

class CallQueue extends WrappedDisk implements QueuedDisk {
  #suspect: Failure | undefined
  readonly #urgent = new Line()
  readonly #others = new Line()
  readonly #running = new Set<Running>()
  /** The last calls that took longer than a check. */
  #ended: readonly { readonly waitedMs: number; readonly atMs: number }[] = []
  #watching = false
  #failedCalls = 0
  onFailed = (): void => undefined

  constructor(
    disk: Disk,
    private readonly clock: Clock,
    private readonly limits: CallLimits,
    private readonly signal: AbortSignal,
    private readonly onSuspect: (failure: Failure) => void,
    private readonly onAnswer: () => void,
  ) {
    super(disk)
  }

  get suspect(): Failure | undefined {
    return this.#suspect
  }

  get queued(): number {
    return this.#urgent.length + this.#others.length
  }

  get running(): number {
    return this.#running.size
  }

  get failedCalls(): number {
    return this.#failedCalls
  }

  isLate(lateMs: number, recentMs: number): boolean {
    const nowMs = this.clock.monotonicMs()
    for (const running of this.#running) if (this.#waitedMs(running, nowMs) >= lateMs) return true
    return this.#ended.some(({ waitedMs, atMs }) => waitedMs >= lateMs && nowMs - atMs < recentMs)
  }

  /** Never more than the time of one check since the last one: a process that paused has not waited. */
  #waitedMs({ sinceMs, waitedMs }: Running, nowMs: number): number {
    return waitedMs + Math.min(nowMs - sinceMs, this.#checkMs)
  }

  get #checkMs(): number {
    return this.limits.deviceTimeoutMs / CHECKS_PER_TIMEOUT
  }

  /** Runs the call in its turn. */
  call<T>(path: string, run: () => Promise<T>, isUrgent = false): Promise<T> {
    if (this.#suspect !== undefined) return Promise.reject(this.#suspect)
    if (this.queued >= this.limits.queuedMax) {
      return Promise.reject(fail("tooManyInFlight", { message: "too many calls wait for a device", path }))
    }
    return new Promise((resolve, reject) => {
      const begin = (): void => this.#begin(path, run, resolve, reject)
      if (this.#hasPlace(isUrgent)) begin()
      else (isUrgent ? this.#urgent : this.#others).add({ begin, refuse: reject })
    })
  }

  #hasPlace(isUrgent: boolean): boolean {
    return this.#running.size < this.limits.callsMax + (isUrgent ? 1 : 0)
  }

  /** Throws if the device is suspect. */
  check(): void {
    if (this.#suspect !== undefined) throw this.#suspect
  }

  #begin<T>(path: string, run: () => Promise<T>, resolve: (value: T) => void, reject: (error: unknown) => void): void {
    const running: Running = { path, sinceMs: this.clock.monotonicMs(), waitedMs: 0, refuse: reject }
    this.#running.add(running)
    const end = (): void => {
      this.#running.delete(running)
      if (running.waitedMs > 0) this.#noteSlow(running)
      this.#beginNext()
    }
    run().then(
      value => {
        resolve(value)
        this.onAnswer()
        end()
      },
      (error: unknown) => {
        reject(error)
        if (this.#suspect === undefined && isDeviceFault(error)) this.#failedCalls += 1
        end()
        this.onFailed()
      },
    )
    if (!this.#watching) void this.#watch()
  }

  #beginNext(): void {
    if (this.#suspect !== undefined) return
    const next = this.#hasPlace(true) ? this.#urgent.take() : undefined
    if (next !== undefined) next.begin()
    else if (this.#hasPlace(false)) this.#others.take()?.begin()
  }

  /** A call that was checked at least once has ended. */
  #noteSlow(running: Running): void {
    const atMs = this.clock.monotonicMs()
    this.#ended = [...this.#ended.slice(1 - ENDED_MAX), { waitedMs: this.#waitedMs(running, atMs), atMs }]
  }

  /**
   * Checks the running calls from time to time; ends when there are none, or the device is suspect. A check counts
   * once the event loop and the threads that make calls have had their turn: what a busy machine delays says nothing
   * about the device.
   */
  async #watch(): Promise<void> {
    this.#watching = true
    while (!this.signal.aborted && this.#running.size > 0 && this.#suspect === undefined) {
      await nextBeat(this.clock, this.#checkMs, this.signal)
      if (this.#running.size > 0) await this.#threadsTurn()
      const nowMs = this.clock.monotonicMs()
      let late: Running | undefined
      for (const running of this.#running) {
        running.waitedMs = this.#waitedMs(running, nowMs)
        running.sinceMs = nowMs
        if (running.waitedMs > (late?.waitedMs ?? 0)) late = running
      }
      if (late !== undefined && !this.signal.aborted && this.#mayGiveUp(late)) this.#giveUp(late)
    }
    this.#watching = false
  }

  #mayGiveUp({ waitedMs }: Running): boolean {
    const { deviceTimeoutMs, mayGiveUp } = this.limits
    // It may have been retired meanwhile.
    return this.#suspect === undefined && waitedMs >= deviceTimeoutMs && (mayGiveUp?.(waitedMs) ?? true)
  }

  /** Resolves once a thread has made a call that touches no device. */
  async #threadsTurn(): Promise<void> {
    const turn = this.below.turn?.()
    if (turn === undefined) return
    await within(this.clock, TURN_MS_MAX, turn)
  }

  #giveUp({ path, waitedMs }: Running): void {
    const message = `the device did not finish a call within ${Math.floor(waitedMs)} ms`
    const failure = fail("deviceFailed", { message, path, code: "ETIMEDOUT" })
    this.#failedCalls += 1
    this.#end(failure)
    this.onSuspect(failure)
  }

  retire(reason: Failure): void {
    if (this.#suspect !== undefined) return
    this.#end(fail("deviceFailed", { message: "the device was taken offline", reason: reason.message }, reason))
  }

  #end(failure: Failure): void {
    this.#suspect = failure
    const waiting = [...this.#urgent.takeAll(), ...this.#others.takeAll()]
    for (const each of [...this.#running, ...waiting]) each.refuse(failure)
    this.onFailed()
  }

  protected override around<T>(_call: keyof Disk, path: string, run: RunDiskCall<T>): Promise<T> {
    return this.call(path, () => run(this.below))
  }

  override async open(path: string, mode: OpenMode, options: OpenOptions = {}): Promise<DiskFile> {
    const { urgent = false } = options
    return new QueuedFile(this, await this.call(path, () => this.below.open(path, mode, options), urgent), urgent)
  }
}

class QueuedFile extends WrappedFile {
  constructor(
    private readonly queue: CallQueue,
    file: DiskFile,
    private readonly isUrgent: boolean,
  ) {
    super(file)
  }

  protected override around<T>(_call: keyof DiskFile, run: () => Promise<T>): Promise<T> {
    return this.queue.call(this.path, run, this.isUrgent)
  }

  /** A "resident" read does not queue: it uses no thread of the pool. */
  override read(buffer: Uint8Array, offsetBytes: number, use?: ReadUse): Soon<number> {
    if (use === "resident") {
      this.queue.check()
      return this.below.read(buffer, offsetBytes, use)
    }
    const read = (): Promise<number> => asPromise(() => this.below.read(buffer, offsetBytes, use))
    return this.around("read", () => readingInto(buffer, read()))
  }

  /** Closes a file of a suspect device in the background. */
  override async close(): Promise<void> {
    try {
      await super.close()
    } catch (error) {
      if (isFailure(error, "tooManyInFlight")) return this.below.close()
      if (this.queue.suspect === undefined) throw error
      void this.below.close().catch(() => undefined)
    }
  }
}
