/**
 * Copies the changes of one bucket to its target: first the objects that are there, then the log of changes, from the token on.
 *
 * Promises  The token passes a change only once the target has acknowledged what was under its key then or later, or the key is parked, in
 *           the same commit. Only closed moments are read. So a crash at any point sends at most the window again, and loses nothing.
 *           One process copies a bucket; another one that has changed its state ends what this one does.
 * Limits    COPIES_LIMITS. A target that is away is asked again after growing rests; an object that it refuses holds up no others.
 */
import { AssertionError } from "@hayloft/base/assert.js"
import { asFailure, isFailure, sentenceOf, type Failure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import {
  beginningOfCopies,
  COPY_ROWS_PER_COMMAND,
  COPY_START,
  PARKED_PER_COMMAND,
  type ChangedParked,
  type CopyLog,
  type CopyPosition,
  type CopyState,
  type LoggedCopy,
  type ParkedCopy,
} from "./copy-log.js"
import type { Bucket, Objects } from "@hayloft/objects/index.js"
import { FirstAbort } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { shownDueTimeMs, type Core } from "@hayloft/objects/door/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SenderTurn } from "../remote-buckets/index.js"
import { Backlog } from "./backlog.js"
import { Filling } from "./filling.js"
import { COPIES_LIMITS } from "./limits.js"
import { isUncopyable, sendKey, shownKey, type SendingParts } from "./sending.js"
import type { CopiesSetting } from "./setting.js"
import { CopyWindow, type Taken } from "./window-core.js"

interface CopierParts extends SendingParts {
  readonly clock: Clock
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
  readonly log: Log
  readonly copyLog: CopyLog
  readonly sender: Pick<SenderTurn, "signal">
  readonly objects: Pick<Objects, "get" | "parts" | "list">
  /** There may be something to do. */
  readonly wake: () => void
}

/** A change of the log; undefined: an object that is there while the bucket is filled. */
interface Item {
  readonly key: ObjectKey
  readonly logged: LoggedCopy | undefined
}

export interface CopyTotals {
  objects: number
  removals: number
  bytes: number
}

export interface CopyLag {
  readonly objects: number
  readonly bytes: number
  readonly seconds: number
}

export class BucketCopier {
  private state: CopyState | undefined
  private window = new CopyWindow<Item, ObjectKey>()
  private readonly backlog: Backlog
  private readonly filling: Filling
  private parked = new Map<ObjectKey, ParkedCopy>()
  private parkedChanges = new Map<ObjectKey, ParkedCopy | undefined>()
  private attempts = new Map<ObjectKey, number>()
  private readonly underWay = new Set<Promise<void>>()
  /** Fires when what is under way is not needed, or is another process's to send. */
  private ending: FirstAbort
  /** The last change that is in the window. */
  private readUpTo: CopyPosition = COPY_START
  private awayUntilMs = -Infinity
  private failures = 0
  /** Keys that the target failed to take since it took one; at most those of the window. */
  private readonly failedInRow = new Set<ObjectKey>()
  /** Objects that a fill left out since the last one that ended, as they arrived from another store. */
  private leftOut = 0
  private nextStartMs = -Infinity
  private error = ""
  private errorWrittenMs = -Infinity

  constructor(
    private readonly parts: CopierParts,
    private bucket: Bucket,
    private setting: CopiesSetting,
    private readonly totals: CopyTotals,
  ) {
    this.backlog = new Backlog(parts.copyLog, bucket.id)
    this.filling = new Filling(parts, {
      isWaiting: key => (this.parkedChanges.get(key) ?? this.parked.get(key))?.isFinal === false,
      succeed: key => this.succeed(key),
      fail: (key, failure, signal) => this.noteFailure(key, [], failure, signal),
    })
    this.ending = new FirstAbort([parts.sender.signal])
  }

  get name(): string {
    return this.bucket.name
  }

  /** Uses the bucket as it is now; another target begins with filling. */
  async use(bucket: Bucket, setting: CopiesSetting): Promise<void> {
    const isOther = JSON.stringify(setting) !== JSON.stringify(this.setting)
    this.bucket = bucket
    if (!isOther) return
    await this.end()
    this.setting = setting
  }

  get isFilling(): boolean {
    return this.state?.phase !== "following"
  }

  /** Returns what the target lacks: changes of the log, and parked objects that may be copied later. */
  lag(): CopyLag {
    const wallMs = this.parts.clock.wallMs()
    let { changes: objects, bytes } = this.backlog
    let sinceMs = this.backlog.oldestUs === undefined ? wallMs : this.backlog.oldestUs / 1_000
    for (const parked of this.parked.values()) {
      if (parked.isFinal) continue
      objects += 1
      bytes += parked.sizeBytes
      sinceMs = Math.min(sinceMs, parked.sinceMs)
    }
    return { objects, bytes, seconds: objects === 0 ? 0 : Math.max(0, wallMs - sinceMs) / 1_000 }
  }

  get parkedCount(): number {
    return this.parked.size
  }

  /** Ends what is under way, and forgets what it knows: the rows have everything that counts. */
  private async end(): Promise<void> {
    this.ending.abort()
    await Promise.all(this.underWay)
    this.ending = new FirstAbort([this.parts.sender.signal])
    this.window = new CopyWindow<Item, ObjectKey>()
    this.parkedChanges = new Map()
    this.attempts = new Map()
    this.failedInRow.clear()
    this.state = undefined
    this.awayUntilMs = -Infinity
  }

  /** Ends it permanently: nothing of it stays at the turn of the sender. */
  async close(): Promise<void> {
    await this.end()
    this.ending.release()
  }

  /** Does what can be done now, without waiting for the target. Returns whether there is more to do at once. */
  async turn(): Promise<boolean> {
    if (!(await this.know()) || !(await this.commit())) return false
    if (!(await this.backlog.count())) return true
    if (this.isOverLimit()) return this.giveUpLog()
    if (await this.sweep()) return true
    if (this.state?.isPaused === true || this.parts.clock.monotonicMs() < this.awayUntilMs) return false
    const hasMore = await this.read()
    this.retryParked()
    this.start()
    return hasMore && this.window.size < COPIES_LIMITS.windowMax
  }

  /** Returns true if the state is known, as it is stored. */
  private async know(): Promise<boolean> {
    const stored = await this.parts.copyLog.state(this.bucket.id)
    if (this.state !== undefined && stored?.revision !== this.state.revision) await this.end()
    this.state ??= await this.load()
    return this.state !== undefined
  }

  private async load(): Promise<CopyState | undefined> {
    const { copyLog, clock } = this.parts
    const { id } = this.bucket
    let state = await copyLog.state(id)
    if (state === undefined || state.target !== this.setting.id) {
      const begun = beginningOfCopies(this.setting.id, clock.wallMs())
      state = await copyLog.change(id, { revision: state?.revision ?? 0, state: begun, done: [], parked: [] })
      if (state === undefined) return undefined
    }
    await this.loadParked()
    this.readUpTo = state.token
    this.backlog.begin(state.token)
    this.filling.begin(state.place)
    this.error = state.error
    return state
  }

  private async loadParked(): Promise<void> {
    this.parked = new Map()
    for (let after: ObjectKey | "" = ""; ;) {
      const page = await this.parts.copyLog.parked(this.bucket.id, after, COPIES_LIMITS.filledPerPage)
      for (const { key, ...parked } of page) this.parked.set(key, parked)
      const last = page.at(-1)
      if (last === undefined || page.length < COPIES_LIMITS.filledPerPage) return
      after = last.key
    }
  }

  /** Writes down what is done. Returns false if another process goes on from here. */
  private async commit(): Promise<boolean> {
    const parked = [...this.parkedChanges].slice(0, PARKED_PER_COMMAND)
    // Parked objects are written before, or together with, a token that has passed them.
    const mayPass = parked.length === this.parkedChanges.size
    const passed = mayPass ? this.window.passed() : []
    const state = this.state
    if (state === undefined) return false
    const writesError = this.errorIsDue(state)
    if (passed.length === 0 && parked.length === 0 && !writesError && !this.isFilled(state)) return true
    const changed = this.stateAfter(state, passed)
    const done = passed.flatMap(({ logged }) => (logged === undefined ? [] : [{ us: logged.us, key: logged.key }]))
    if (!(await this.write(changed, done, parked))) return false
    if (state.phase !== changed.phase) this.noteLeftOut()
    for (const { logged } of passed) if (logged !== undefined) this.backlog.remove(logged)
    this.backlog.isFrom(this.window.first?.logged)
    return true
  }

  /** An operator who meant them to be sent has to know. */
  private noteLeftOut(): void {
    const { log } = this.parts
    const { unchecked } = this.filling
    if (this.leftOut > 0) log.warn("copies_left_out", { bucket: this.bucket.name, objects: this.leftOut })
    if (unchecked > 0) log.warn("copies_unchecked", { bucket: this.bucket.name, objects: unchecked })
    this.leftOut = 0
    this.filling.unchecked = 0
  }

  private isFilled(state: CopyState): boolean {
    // Removals that were parked are written before the fill ends, or with its end.
    if (this.parkedChanges.size > PARKED_PER_COMMAND) return false
    return state.phase === "filling" && this.filling.isListed && this.window.size === 0
  }

  private stateAfter(state: CopyState, passed: readonly Item[]): CopyState {
    const last = passed.at(-1)
    const nowMs = this.parts.clock.wallMs()
    const error = this.errorIsDue(state) ? { error: this.error, errorMs: nowMs } : {}
    const token = last?.logged === undefined ? state.token : { us: last.logged.us, key: last.logged.key }
    const place = last !== undefined && last.logged === undefined ? last.key : state.place
    const moved = { ...state, ...error, token, place }
    return this.isFilled(state)
      ? { ...moved, phase: "following", place: "", sinceMs: nowMs, removesOthers: false }
      : moved
  }

  private errorIsDue(state: CopyState): boolean {
    if (this.error === state.error) return false
    return this.error === "" || this.parts.clock.monotonicMs() - this.errorWrittenMs >= COPIES_LIMITS.errorEveryMs
  }

  /** Returns false if another process has changed the state, or the bucket is not copied any more. */
  private async write(
    { revision, ...state }: CopyState,
    done: readonly CopyPosition[],
    parked: ChangedParked,
  ): Promise<boolean> {
    const changed = await this.changed({ revision, state, done, parked })
    if (changed === undefined) {
      await this.end()
      return false
    }
    if (changed.error !== "") this.errorWrittenMs = this.parts.clock.monotonicMs()
    this.state = changed
    for (const [key, one] of parked) {
      if (this.parkedChanges.get(key) === one) this.parkedChanges.delete(key)
      if (one === undefined) this.parked.delete(key)
      else this.parked.set(key, one)
    }
    return true
  }

  /** A change that failed may or may not have been made, and the window has dropped it: what counts is read again. */
  private async changed(change: Parameters<CopyLog["change"]>[1]): Promise<CopyState | undefined> {
    try {
      return await this.parts.copyLog.change(this.bucket.id, change)
    } catch (error) {
      await this.end()
      throw error
    }
  }

  private isOverLimit(): boolean {
    const { changes, oldestUs } = this.backlog
    const { logChangesMax, logAgeMsMax } = COPIES_LIMITS
    if (changes > logChangesMax) return true
    const nowMs = shownDueTimeMs(this.parts)
    if (this.isFilling || oldestUs === undefined || nowMs === undefined) return false
    return nowMs - oldestUs / 1_000 > logAgeMsMax
  }

  /**
   * The log is too long, or too old: the target is filled again, and what was logged up to now is not needed. Copies of what was removed
   * stay: a store that was restored from an old backup has an old log too.
   */
  private async giveUpLog(): Promise<boolean> {
    const { copyLog, clock, log } = this.parts
    const state = this.state
    if (state === undefined) return false
    const { changes } = this.backlog
    const token = { us: await copyLog.close(), key: "" }
    const begun = { phase: "filling", place: "", removesOthers: false } as const
    const again = { ...begun, fills: state.fills + 1, sinceMs: clock.wallMs() }
    log.warn("copies_filled_again", { bucket: this.bucket.name, changes })
    // The work under way belongs to a window that is given up.
    const { revision } = state
    await this.end()
    await copyLog.change(this.bucket.id, { revision, state: { ...state, ...again, token }, done: [], parked: [] })
    return true
  }

  /** Removes rows that a token has passed without them. Returns whether there were any. */
  private async sweep(): Promise<boolean> {
    const state = this.state
    if (state === undefined || this.backlog.isSwept) return false
    const rows = await this.parts.copyLog.passed(this.bucket.id, state.token)
    if (rows.length < COPY_ROWS_PER_COMMAND) this.backlog.isSwept = true
    if (rows.length > 0) await this.write(state, rows, [])
    return rows.length > 0
  }

  /** Brings what is next into the window. Returns whether there is more. */
  private async read(): Promise<boolean> {
    const room = COPIES_LIMITS.windowMax - this.window.size
    if (room <= 0) return true
    if (!this.isFilling) return this.readLog(room)
    const { bucket, setting, state } = this
    const { signal } = this.ending
    const removesOthers = state?.removesOthers === true
    try {
      const keys = await this.filling.next({ bucket, setting, removesOthers, max: room }, signal)
      for (const key of keys) this.window.add(key, { key, logged: undefined })
      if (this.filling.isListed && keys.length === 0 && this.window.size === 0) return true
      return !this.filling.isListed
    } catch (error) {
      if (!signal.aborted) this.noteAway(asFailure(error))
      return false
    }
  }

  private async readLog(room: number): Promise<boolean> {
    const { copyLog } = this.parts
    const rows = await copyLog.page(this.bucket.id, this.readUpTo, this.backlog.closedUs, room)
    for (const logged of rows) {
      this.window.add(logged.key, { key: logged.key, logged })
      this.readUpTo = logged
    }
    return rows.length === room
  }

  private retryParked(): void {
    const nowMs = this.parts.clock.wallMs()
    let left: number = COPIES_LIMITS.parkedRetriesMax
    for (const [key, { isFinal, nextMs }] of this.parked) {
      if (left === 0) return
      // A rest that is longer than any began by a clock that was ahead.
      const rests = nextMs > nowMs && nextMs - nowMs <= COPIES_LIMITS.parkedMostMs
      if (isFinal || rests || this.window.has(key) || this.parkedChanges.has(key)) continue
      this.window.addRetry(key)
      left -= 1
    }
  }

  private start(): void {
    const { clock } = this.parts
    while (this.underWay.size < COPIES_LIMITS.keysConcurrent && clock.monotonicMs() >= this.nextStartMs) {
      const taken = this.window.take()
      if (taken === undefined) return
      this.keepRate(this.expectedBytes(taken))
      const sending: Promise<void> = this.send(taken, this.window, this.ending.signal).finally(() => {
        this.underWay.delete(sending)
        this.parts.wake()
      })
      this.underWay.add(sending)
    }
  }

  /** Returns the bytes that the log says of what was taken; while a bucket is filled, sizes are known only once objects are sent. */
  private expectedBytes({ changes }: Taken<Item, ObjectKey>): number {
    const sent = this.bucket.versioning === "enabled" ? changes : changes.slice(-1)
    return sent.reduce((sum, { logged }) => sum + (logged?.sizeBytes ?? 0), 0)
  }

  /** The next key begins once these bytes could be sent. */
  private keepRate(bytes: number): void {
    const { bytesPerSecond } = this.setting
    if (bytesPerSecond === undefined) return
    this.nextStartMs = Math.max(this.parts.clock.monotonicMs(), this.nextStartMs) + (bytes / bytesPerSecond) * 1_000
  }

  /** Never rejects, but for bugs. */
  private async send(
    taken: Taken<Item, ObjectKey>,
    window: CopyWindow<Item, ObjectKey>,
    signal: AbortSignal,
  ): Promise<void> {
    const { bucket, setting, isFilling } = this
    const { key } = taken
    const expectedBytes = this.expectedBytes(taken)
    const changes = taken.changes.flatMap(({ logged }) => (logged === undefined ? [] : [logged]))
    try {
      const sent = await sendKey(this.parts, { bucket, setting, key, changes, isFilling }, signal)
      if (signal.aborted) return
      this.totals.objects += sent.objects
      this.totals.removals += sent.removals
      this.totals.bytes += sent.bytes
      if (sent.isLeftOut === true) this.leftOut += 1
      this.keepRate(Math.max(0, sent.bytes - expectedBytes))
      this.succeed(key)
      window.finish(key, true)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      if (signal.aborted) return
      const isDone = await this.noteFailure(key, changes, asFailure(error), signal)
      if (!signal.aborted) window.finish(key, isDone)
    }
  }

  private succeed(key: ObjectKey): void {
    this.failures = 0
    this.failedInRow.clear()
    this.error = ""
    this.attempts.delete(key)
    if (this.parked.has(key)) this.parkedChanges.set(key, undefined)
  }

  /** Returns whether the key is parked: nothing else waits for it then. */
  private async noteFailure(
    key: ObjectKey,
    changes: readonly LoggedCopy[],
    failure: Failure,
    signal: AbortSignal,
  ): Promise<boolean> {
    const sizeBytes = changes.at(-1)?.sizeBytes ?? this.parked.get(key)?.sizeBytes ?? 0
    if (isUncopyable(failure)) return this.park(key, failure, { sizeBytes, isFinal: true })
    if (isFailure(failure, "noSuchBucket", "bucketClosing")) return false
    const isRefused = isFailure(failure, "remoteRefused")
    const isOfTarget = isRefused || isFailure(failure, "remoteUnavailable")
    // Keys that failed at the same time as one for which the target is away do not count.
    if (isOfTarget && !isRefused && this.parts.clock.monotonicMs() < this.awayUntilMs) return false
    const refused = isOfTarget ? await this.probe(signal) : undefined
    if (refused !== undefined) return this.noteAway(refused)
    const attempts = (this.attempts.get(key) ?? 0) + 1
    this.attempts.set(key, attempts)
    if (!isRefused && attempts < COPIES_LIMITS.attemptsMax) return this.noteAway(failure)
    // A target that lists, and takes nothing at all, is as good as away.
    if (!this.parked.has(key)) {
      this.failedInRow.add(key)
      if (this.failedInRow.size > COPIES_LIMITS.failedInRowMax) return this.noteAway(failure)
    }
    return this.park(key, failure, { sizeBytes, isFinal: false })
  }

  /** Returns undefined if the target answers at all; otherwise the reason why it does not. */
  private async probe(signal: AbortSignal): Promise<Failure | undefined> {
    try {
      await this.parts.originOf(this.setting).list({ prefix: "", delimiter: "", after: "", max: 1 }, signal)
      return undefined
    } catch (error) {
      return asFailure(error)
    }
  }

  private park(key: ObjectKey, failure: Failure, of: Pick<ParkedCopy, "sizeBytes" | "isFinal">): boolean {
    const { clock, log } = this.parts
    const { parkedMax, parkedFirstMs, parkedMostMs, reasonCharsMax } = COPIES_LIMITS
    const before = this.parked.get(key)
    if (before === undefined && this.parked.size + this.parkedChanges.size >= parkedMax) return this.noteAway(failure)
    const nowMs = clock.wallMs()
    const attempts = (before?.attempts ?? 0) + 1
    const restMs = Math.min(parkedMostMs, parkedFirstMs * 2 ** Math.min(attempts - 1, 16))
    const reason = sentenceOf(failure).slice(0, reasonCharsMax)
    const times = { attempts, sinceMs: before?.sinceMs ?? nowMs, nextMs: nowMs + restMs }
    this.parkedChanges.set(key, { reason, ...times, ...of })
    this.attempts.delete(key)
    if (before === undefined) log.warn("copy_parked", { bucket: this.bucket.name, key: shownKey(key), reason })
    return true
  }

  /** Returns false: what failed is to be tried again. */
  private noteAway(failure: Failure): false {
    const { clock, log } = this.parts
    const { retryFirstMs, retryMostMs, reasonCharsMax } = COPIES_LIMITS
    // Keys that failed at the same time count once.
    if (clock.monotonicMs() < this.awayUntilMs) return false
    const restMs = Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(this.failures, 16))
    this.failures += 1
    this.awayUntilMs = clock.monotonicMs() + restMs
    const reason = sentenceOf(failure).slice(0, reasonCharsMax)
    if (this.error === "") log.warn("copies_wait", { bucket: this.bucket.name, reason, seconds: restMs / 1_000 })
    this.error = reason
    return false
  }
}
