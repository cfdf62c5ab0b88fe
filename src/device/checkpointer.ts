/**
 * Checkpointer: decides when a device's base is brought up to date, and slows writers that outrun it.
 *
 * A checkpoint starts at a bound of log bytes or rows, or after some quiet time, or because the last
 * one left something to tidy up; at twice the bounds new writes wait. A failed checkpoint is tried again
 * with the same extent: its frozen overlay stays in memory and the log stays uncut. One that finds the
 * disk full is given ballast and made again at once; where there is none left, copies that it does not
 * contain yet are undone; where there are none either, it waits until there is room. With only the reserve
 * left the bound of log bytes is a share of that. A clean stop makes one. Between checkpoints the tables that
 * they wrote are merged, step by step, with rests as jobs have them while nothing waits for it. A file that a merge cannot read is left out, and tried again after a while.
 */
import { fail, isFailure } from "../base/failures.js"
import type { LogSequence } from "../base/ids.js"
import { MIB } from "../base/limits.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import { nextPace, PACE_AT_START, THROTTLE_DEFAULT, type BackgroundService } from "../life/index.js"
import type { MergeUrgency } from "../seams/store/contract.js"
import type { CheckpointRequest, CheckpointResult, MergeOutcome, MergeRequest } from "./checkpoint.js"
import type { CommitLog, ReplicaIncarnations } from "./contract.js"
import type { Rows } from "./rows.js"

export const CHECKPOINT_LIMITS = {
  logBytesMax: 192 * MIB,
  rowsMax: 60_000,
  /** With rows waiting, a checkpoint starts after this long without reaching a bound. */
  quietMs: 5_000,
  pollMs: 100,
  /** How often the log's last batch is vouched for, so that rot in it is not taken for a torn tail. */
  confirmMs: 1_000,
  retryMs: 2_000,
  /** Without room it is looked whether there is any, and tried again anyway after this long. */
  starvedMs: 30_000,
  /** With nothing but tidying to do, one checkpoint follows the other at this distance. */
  tidyMs: 4_000,
  /** A file that a merge could not read is left out for so long, then for twice as long, up to the second. */
  unreadMs: 30_000,
  unreadMsMax: 3_600_000,
} as const

/** Where more files than this cannot be read, it is the device that fails. */
const UNREAD_FILES_MAX = 16

/** A write that found no room waits this long for a checkpoint to make some; one that hangs must not hold writers. */
export const ROOM_MS_MAX = 20_000

const URGENCIES: readonly MergeUrgency[] = ["due", "quiet", "full"]

/** Whether merges of one urgency do all that those of the other would. */
const isCovered = (urgency: MergeUrgency, by: MergeUrgency): boolean =>
  URGENCIES.indexOf(by) >= URGENCIES.indexOf(urgency)

const FAILED = {
  checkpoint: "checkpoint failed; its rows stay in memory and in the log",
  merge: "a merge of metadata tables failed; its tables stay as they are",
  confirm: "the end of the commit log could not be vouched for",
} as const

type Work = keyof typeof FAILED
const LEFT_OUT = "a metadata table cannot be read; merges leave it out until it can"

/** What is to be had on a disk that is full. */
interface CheckpointSpace {
  /** What is really free, ballast apart; asked now and then. */
  readonly freeBytes: number
  /** What may release space is done at once. */
  readonly isFull: boolean
  /** Beyond so much log a checkpoint is due, whatever else bounds it. */
  readonly logBytesMax: number
  /** What copies that give space back later may take now. */
  readonly copyRoomBytes: number
  /** What a merge step may write now: never what the next checkpoint needs. */
  readonly mergeRoomBytes: number
  /** Gives back at least one piece of ballast, and about as much as asked for; false where there is none. */
  giveBack(bytes: number): Promise<boolean>
  /** Releases what copies have taken that no checkpoint contains; false where there is nothing to release. */
  undoCopies(): Promise<boolean>
}

const NO_BALLAST: CheckpointSpace = {
  ...{ freeBytes: Infinity, isFull: false, logBytesMax: Infinity, copyRoomBytes: Infinity, mergeRoomBytes: Infinity },
  giveBack: () => Promise.resolve(false),
  undoCopies: () => Promise.resolve(false),
}
/** A checkpoint without room is tried again when this much more is free than when it failed. */
const MORE_BYTES = MIB
/** What a checkpoint asks for at least. */
const ROOM_BYTES_MIN = 4 * MIB

/** A file that merges leave out, since it could not be read. */
interface UnreadFile {
  readonly reason: string
  /** Of the merge that needed it. */
  readonly urgency: MergeUrgency
  readonly restMs: number
  readonly untilMs: number
}

/** What is done to the store, one at a time. */
export interface CheckpointRuns {
  checkpoint(request: CheckpointRequest): Promise<CheckpointResult>
  merge(request: MergeRequest): Promise<MergeOutcome>
}

export class Checkpointer implements BackgroundService {
  readonly name: string
  private lastMs: number
  private confirmedMs: number
  /** What failed last, by what was tried; gone once that has worked again. */
  private readonly errors = new Map<Work, string>()
  /** By file number. */
  private readonly unread = new Map<number, UnreadFile>()
  private readonly waiting = new Set<AbortController>()
  /** Without room since then, with so much free. */
  private starved: { readonly sinceMs: number; readonly freeBytes: number } | undefined
  /** Merges of this urgency, and of lower ones, have nothing to do until the next checkpoint, or that time. */
  private settled: MergeUrgency | undefined
  private settledUntilMs = Infinity
  /** Merges that nothing waits for rest until then. */
  private restsUntilMs = -Infinity
  /** The next checkpoint waits for merges. */
  private isCrowded = false
  /** What the last checkpoint left for the next. */
  private left: { readonly isMore: boolean; readonly emptied: readonly number[] } = { isMore: false, emptied: [] }

  constructor(
    name: string,
    private readonly rows: Rows,
    private readonly log: CommitLog,
    /** As they are when a checkpoint begins: to be changed before the first entry of a new one is logged. */
    private readonly replicaIncarnations: ReplicaIncarnations,
    private readonly runs: CheckpointRuns,
    private readonly clock: Clock,
    private readonly output: Log,
    private readonly limits: { readonly [Name in keyof typeof CHECKPOINT_LIMITS]: number } = CHECKPOINT_LIMITS,
    private readonly space: CheckpointSpace = NO_BALLAST,
  ) {
    this.name = `checkpoint ${name}`
    this.lastMs = clock.monotonicMs()
    this.confirmedMs = this.lastMs
  }

  get error(): string | undefined {
    const unread = Array.from(this.unread.values(), ({ reason }) => reason)
    return [...this.errors.values(), ...unread].join("; ") || undefined
  }

  /**
   * Resolves when a checkpoint has made room; undefined where there is room now. Throws `tooManyInFlight`,
   * and `deviceFull` where checkpoints themselves have none.
   */
  roomForWrites(): Promise<void> | undefined {
    return this.isOver(2) ? this.madeRoom() : undefined
  }

  private async madeRoom(): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ROOM_MS_MAX
    while (this.isOver(2)) {
      const leftMs = untilMs - this.clock.monotonicMs()
      if (this.starved) throw fail("deviceFull", { message: "checkpoints have no room", device: this.name })
      if (leftMs <= 0) throw fail("tooManyInFlight", { message: "checkpoints do not keep up", device: this.name })
      const made = new AbortController()
      this.waiting.add(made)
      await this.clock.sleep(leftMs, made.signal)
      this.waiting.delete(made)
    }
  }

  isOver(factor: number): boolean {
    const logBytesMax = Math.min(this.limits.logBytesMax, this.space.logBytesMax)
    return this.log.lengthBytes >= factor * logBytesMax || this.rows.memtableRows >= factor * this.limits.rowsMax
  }

  private isDue(): boolean {
    const sinceMs = this.clock.monotonicMs() - this.lastMs
    if (this.isStarved()) return false
    if (this.left.isMore && sinceMs >= this.limits.tidyMs) return true
    return this.hasWork && (this.isOver(1) || sinceMs >= this.limits.quietMs)
  }

  /** Without rows there may be log to let go of: of memberships that have ended. */
  private get hasWork(): boolean {
    return this.rows.memtableRows > 0 || this.rows.applied > this.log.cutUpTo
  }

  private isStarved(): boolean {
    if (this.starved === undefined) return false
    const isOver = this.clock.monotonicMs() - this.starved.sinceMs >= this.limits.starvedMs
    if (isOver || this.space.freeBytes >= this.starved.freeBytes + MORE_BYTES) this.starved = undefined
    return this.starved !== undefined
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.isDue() && !this.isCrowded) await this.attempt("checkpoint", () => this.checkpoint(), signal)
      else if (this.isMergeDue()) await this.attempt("merge", () => this.merge(), signal)
      else await this.clock.sleep(this.limits.pollMs, signal)
      if (this.clock.monotonicMs() - this.confirmedMs >= this.limits.confirmMs) {
        this.confirmedMs = this.clock.monotonicMs()
        await this.attempt("confirm", () => this.log.confirm(), signal)
      }
    }
  }

  /**
   * One checkpoint of everything applied so far, if there is anything. Throws what went wrong; then it can
   * be called again.
   */
  async checkpoint(): Promise<void> {
    if (!this.hasWork && !this.left.isMore) return
    const upTo = this.rows.isCheckpointing ? this.rows.frozenAt : this.rows.freeze()
    const started = this.clock.monotonicMs()
    const { emptied, removed, ...result } = await this.runWithRoom(upTo)
    await this.rows.prepare()
    this.rows.dropFrozen()
    this.settled = undefined
    // Only now does everybody read the rows that point elsewhere.
    this.left = { isMore: result.isMore, emptied }
    try {
      await this.log.cut(upTo)
    } finally {
      for (const made of this.waiting) made.abort()
    }
    this.lastMs = this.clock.monotonicMs()
    const tookMs = Math.round(this.lastMs - started)
    this.output.debug("checkpoint", { device: this.name, ...result, removedVolumes: removed.length, tookMs })
  }

  /** On a full disk with whatever ballast there is. */
  private async runWithRoom(upTo: LogSequence): Promise<CheckpointResult> {
    for (let moveBytesMax = this.space.copyRoomBytes; ; moveBytesMax = 0) {
      try {
        const { emptied } = this.left
        const replicaIncarnations = new Map(this.replicaIncarnations)
        const result = await this.runs.checkpoint({ upTo, replicaIncarnations, emptied, moveBytesMax })
        this.starved = undefined
        return result
      } catch (error) {
        if (!isFailure(error, "deviceFull")) throw error
        const neededBytes = Math.max(ROOM_BYTES_MIN, this.log.lengthBytes)
        if ((await this.space.giveBack(neededBytes)) || (await this.space.undoCopies())) continue
        this.starved = { sinceMs: this.clock.monotonicMs(), freeBytes: this.space.freeBytes }
        for (const made of this.waiting) made.abort()
        throw error
      }
    }
  }

  /** Rows that wait for a checkpoint are more urgent than what merges only save space for. */
  private get mergeUrgency(): MergeUrgency {
    if (this.space.isFull) return "full"
    return this.hasWork ? "due" : "quiet"
  }

  private isMergeDue(): boolean {
    if (this.isStarved()) return false
    if (this.clock.monotonicMs() >= this.settledUntilMs) this.settled = undefined
    if (this.mergeUrgency === "quiet" && !this.isCrowded && this.clock.monotonicMs() < this.restsUntilMs) return false
    return this.settled === undefined || !isCovered(this.mergeUrgency, this.settled)
  }

  /** One step of merging, if there is anything to merge. Throws what went wrong; then it can be called again. */
  async merge(): Promise<void> {
    const urgency = this.mergeUrgency
    this.isCrowded = false
    const started = this.clock.monotonicMs()
    const outcome = await this.mergeWithRoom(urgency).catch((error: unknown) => this.leaveOut(error, urgency))
    if (outcome === "left out") return
    if (outcome?.rows === undefined) {
      this.settle(urgency)
      return
    }
    const { rows, emptied, isMore, isCrowded } = outcome
    await this.rows.prepare()
    this.rows.adopt()
    this.isCrowded = isCrowded
    this.left = { isMore: this.left.isMore || isMore, emptied }
    const endedMs = this.clock.monotonicMs()
    this.restsUntilMs = endedMs + nextPace(PACE_AT_START, "busy", endedMs - started, THROTTLE_DEFAULT).restMs
    this.output.debug("merge", { device: this.name, urgency, rows, tookMs: Math.round(endedMs - started) })
  }

  /** Notes the file that could not be read, and goes on without it. Throws what is no such failure. */
  private leaveOut(error: unknown, urgency: MergeUrgency): "left out" {
    if (!isFailure(error, "deviceFailed")) throw error
    const { file, path, code } = error.details
    const before = typeof file === "number" ? this.unread.get(file) : undefined
    const isOne = typeof file === "number" && code !== "ETIMEDOUT"
    if (!isOne || (before === undefined && this.unread.size >= UNREAD_FILES_MAX)) throw error
    const { unreadMs, unreadMsMax } = this.limits
    const restMs = before === undefined ? unreadMs : Math.min(2 * before.restMs, unreadMsMax)
    const reason = `${LEFT_OUT}: ${String(path)}: ${String(error)}`
    this.unread.set(file, { reason, urgency, restMs, untilMs: this.clock.monotonicMs() + restMs })
    if (before === undefined)
      this.output.error(LEFT_OUT, { device: this.name, path: String(path), error: String(error) })
    return "left out"
  }

  /** Numbers of files that are left out now. */
  private get leftOut(): readonly number[] {
    const nowMs = this.clock.monotonicMs()
    return [...this.unread].flatMap(([file, { untilMs }]) => (untilMs > nowMs ? [file] : []))
  }

  /** Merges of the urgency are done but for what is left out. Other files can be read, or are gone. */
  private settle(urgency: MergeUrgency): void {
    this.settled = urgency
    const leftOut = new Set(this.leftOut)
    this.settledUntilMs = Infinity
    for (const [file, unread] of this.unread) {
      if (leftOut.has(file)) this.settledUntilMs = Math.min(this.settledUntilMs, unread.untilMs)
      else if (isCovered(unread.urgency, urgency)) this.unread.delete(file)
    }
  }

  /** On a full disk with whatever ballast there is; undefined where that is not enough. */
  private async mergeWithRoom(urgency: MergeUrgency): Promise<MergeOutcome | undefined> {
    for (;;) {
      try {
        return await this.runs.merge({ urgency, roomBytes: this.space.mergeRoomBytes, unread: this.leftOut })
      } catch (error) {
        if (!isFailure(error, "deviceFull")) throw error
        if (!(await this.space.giveBack(ROOM_BYTES_MIN))) return undefined
      }
    }
  }

  private async attempt(work: Work, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await run()
      this.errors.delete(work)
    } catch (error) {
      this.errors.set(work, String(error))
      const level = isFailure(error, "deviceFull", "tooManyInFlight") ? "warn" : "error"
      this.output[level](FAILED[work], { device: this.name, error: String(error) })
      await this.clock.sleep(this.limits.retryMs, signal)
    }
  }
}
