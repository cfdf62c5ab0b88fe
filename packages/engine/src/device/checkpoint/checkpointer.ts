/**
 * Checkpointer: decides when a device's metadata store is brought up to date, and slows writers that outrun it.
 *
 * A checkpoint starts at a bound of log bytes or rows, or after some quiet time, or because the last one left something
 * to tidy up; at twice the bounds new writes wait. A failed checkpoint is tried again with the same extent: its frozen
 * memtable stays in memory and the log stays uncut. A checkpoint that finds the disk full gets ballast and runs again
 * immediately; without ballast, copies that it does not contain yet are undone; without such copies, it waits until
 * there is space. With only the reserve left, the bound of log bytes is a share of the reserve. A clean stop makes a
 * checkpoint. Between checkpoints, the tables that they wrote are merged step by step, with the rests of a background
 * job while nothing waits for the merge. A file that a merge cannot read is left out, and tried again after a while.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { isShortage } from "@hayloft/base/space/full-disk-core.js"
import { retryWithSpace, unlessFull } from "@hayloft/base/space/full-disk.js"
import type { LogSequence } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { untilBeatMs } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { nextPace, PACE_AT_START, Rest, THROTTLE_DEFAULT, type BackgroundService } from "@hayloft/base/life/index.js"
import type { MergeUrgency } from "@hayloft/base/seams/store/contract.js"
import type { CheckpointRequest, CheckpointResult, MergeOutcome, MergeRequest } from "./checkpoint.js"
import type { CommitLog, ReplicaIncarnations } from "../contract.js"
import type { Rows } from "../rows.js"

export const CHECKPOINT_LIMITS = {
  logBytesMax: 192 * MIB,
  rowsMax: 60_000,
  /** With rows waiting, a checkpoint starts after this long without reaching a bound. */
  quietMs: 5_000,
  /** The shortest rest while work is due that cannot be done yet. */
  restMsMin: 100,
  /**
   * How often the log confirms its last batch, so that later damage to it is not taken for a torn tail. The longest rest:
   * what changes without a write is noticed at these beats.
   */
  confirmMs: 1_000,
  retryMs: 2_000,
  /** Without space, the checkpointer waits until some appears, and tries again anyway after this long. */
  starvedMs: 30_000,
  /** With nothing but tidying to do, checkpoints follow each other at this distance. */
  tidyMs: 4_000,
  /** A file that a merge could not read is left out for this long, then for twice as long, up to the second limit. */
  unreadMs: 30_000,
  unreadMsMax: 3_600_000,
} as const

/** If more files than this cannot be read, the device itself has failed. */
const UNREAD_FILES_MAX = 16

/**
 * A write without space waits this long for a checkpoint to make some; a checkpoint that hangs must not block writers.
 */
export const SPACE_WAIT_MS_MAX = 20_000

const URGENCIES: readonly MergeUrgency[] = ["due", "quiet", "full"]

/** Returns true if merges of one urgency do everything that merges of the other would. */
const isCovered = (urgency: MergeUrgency, by: MergeUrgency): boolean =>
  URGENCIES.indexOf(by) >= URGENCIES.indexOf(urgency)

type Work = "checkpoint" | "merge" | "confirm"
/** Names of rows set aside that an error shows. */
const ASIDE_SHOWN = 4
const LEFT_OUT = "a metadata table cannot be read; merges leave it out until it can"

/** The space that checkpoints and merges may use. */
interface CheckpointSpace {
  /** Bytes that are really free, without ballast; measured from time to time. */
  readonly freeBytes: number
  /** Everything that may release space runs immediately. */
  readonly isFull: boolean
  /** The device is short of space, though perhaps not full yet: payloads move for less dead space. */
  readonly isShort: boolean
  /** Returns true if a log of so many bytes is too long for the space that is left: a checkpoint is due. */
  isLogTooLong(bytes: number): boolean
  /** Bytes that copies which give space back later may take now. */
  readonly copySpaceBytes: number
  /** Bytes that a merge step may write now: never those that the next checkpoint needs. */
  readonly mergeSpaceBytes: number
  /** Gives back at least one piece of ballast, and about as much as requested; false if there is none. */
  giveBack(bytes: number): Promise<boolean>
  /** Releases the space of copies that no checkpoint contains; false if there is nothing to release. */
  undoCopies(): Promise<boolean>
}

const NO_BALLAST: CheckpointSpace = {
  freeBytes: Infinity,
  isFull: false,
  isShort: false,
  isLogTooLong: () => false,
  copySpaceBytes: Infinity,
  mergeSpaceBytes: Infinity,
  giveBack: () => Promise.resolve(false),
  undoCopies: () => Promise.resolve(false),
}
/** A checkpoint without space is tried again when this much more is free than when it failed. */
const MORE_BYTES = MIB
/** The least that a checkpoint requests. */
const ROOM_BYTES_MIN = 4 * MIB

/** A file that merges leave out because it could not be read. */
interface UnreadFile {
  readonly reason: string
  /** Urgency of the merge that needed it. */
  readonly urgency: MergeUrgency
  readonly restMs: number
  readonly untilMs: number
}

/** Operations on the store, one at a time. */
export interface CheckpointRuns {
  checkpoint(request: CheckpointRequest): Promise<CheckpointResult>
  merge(request: MergeRequest): Promise<MergeOutcome>
}

/** The device whose metadata is checkpointed. */
interface CheckpointedDevice {
  readonly name: string
  readonly rows: Rows
  readonly log: CommitLog
  /** State at the beginning of a checkpoint: change it before the first entry of a new incarnation is logged. */
  readonly replicaIncarnations: ReplicaIncarnations
  readonly runs: CheckpointRuns
}

export type CheckpointLimits = { readonly [Name in keyof typeof CHECKPOINT_LIMITS]: number }

interface CheckpointerOptions {
  readonly limits?: CheckpointLimits | undefined
  readonly space?: CheckpointSpace
}

export class Checkpointer implements BackgroundService {
  readonly name: string
  private lastMs: number
  private confirmedMs: number
  /** The last failure of each kind of work; removed once that has worked again. */
  private readonly errors = new Map<Work, string>()
  /** By file number. */
  private readonly unread = new Map<number, UnreadFile>()
  private readonly waiting = new Set<AbortController>()
  /** Without space since then, with so much free. */
  private starved: { readonly sinceMs: number; readonly freeBytes: number } | undefined
  /**
   * Merges of this urgency, and of lower ones, have nothing to do until the next checkpoint, or that time. A start counts as
   * such a moment: a process that ends soon needs no thread for them.
   */
  private settled: MergeUrgency | undefined = "full"
  private settledUntilMs: number
  /** Merges that nothing waits for rest until then. */
  private restsUntilMs = -Infinity
  /** The next checkpoint waits for merges. */
  private isCrowded = false
  /** Payload volumes up to this one are to be emptied. */
  private emptyUpTo = 0
  /** Work that the last checkpoint left for the next. */
  private left: { readonly isMore: boolean; readonly emptied: readonly number[] } = { isMore: false, emptied: [] }

  private readonly rows: Rows
  private readonly log: CommitLog
  private readonly replicaIncarnations: ReplicaIncarnations
  private readonly runs: CheckpointRuns
  private readonly limits: CheckpointLimits
  private readonly space: CheckpointSpace
  private readonly rest: Rest

  constructor(
    { name, rows, log, replicaIncarnations, runs }: CheckpointedDevice,
    private readonly clock: Clock,
    private readonly output: Log,
    { limits = CHECKPOINT_LIMITS, space = NO_BALLAST }: CheckpointerOptions = {},
  ) {
    this.name = `checkpoint ${name}`
    this.rows = rows
    this.log = log
    this.replicaIncarnations = replicaIncarnations
    this.runs = runs
    this.limits = limits
    this.space = space
    this.rest = new Rest(clock)
    this.lastMs = clock.monotonicMs()
    this.confirmedMs = this.lastMs
    this.settledUntilMs = this.lastMs + limits.quietMs
  }

  get error(): string | undefined {
    const unread = Array.from(this.unread.values(), ({ reason }) => reason)
    return [...this.errors.values(), ...unread, ...this.asideErrors].join("; ") || undefined
  }

  /** The number of rows that checkpoints set aside; one line names the first few. */
  private get asideErrors(): readonly string[] {
    const { setAside } = this.rows
    if (setAside.length === 0) return []
    const more = setAside.length - ASIDE_SHOWN
    const names = setAside.slice(0, ASIDE_SHOWN).join(", ") + (more > 0 ? `, and ${more} more` : "")
    return [`${plural(setAside.length, "metadata row")} set aside, too long for the metadata store: ${names}`]
  }

  /**
   * Called for each write, which wakes the checkpointer at a bound. Resolves when a checkpoint has made space; returns
   * undefined if there is space now. Throws `tooManyInFlight`, and `deviceFull` if checkpoints themselves have no space.
   */
  spaceForWrites(): Promise<void> | undefined {
    if (!this.isOver(1)) return undefined
    this.rest.wake()
    return this.isOver(2) ? this.spaceFreed() : undefined
  }

  private async spaceFreed(): Promise<void> {
    const untilMs = this.clock.monotonicMs() + SPACE_WAIT_MS_MAX
    while (this.isOver(2)) {
      const leftMs = untilMs - this.clock.monotonicMs()
      if (this.isStarved()) throw fail("deviceFull", { message: "checkpoints have no space", device: this.name })
      if (leftMs <= 0) throw fail("tooManyInFlight", { message: "checkpoints do not keep up", device: this.name })
      const made = new AbortController()
      this.waiting.add(made)
      await this.clock.sleep(leftMs, made.signal)
      this.waiting.delete(made)
    }
  }

  isOver(factor: number): boolean {
    if (this.rows.memtableRows >= factor * this.limits.rowsMax) return true
    const logBytes = this.log.lengthBytes / factor
    return logBytes >= this.limits.logBytesMax || this.space.isLogTooLong(logBytes)
  }

  private isDue(): boolean {
    const sinceMs = this.clock.monotonicMs() - this.lastMs
    if (this.isStarved()) return false
    if (this.left.isMore && sinceMs >= this.limits.tidyMs) return true
    return this.hasWork && (this.isOver(1) || sinceMs >= this.limits.quietMs)
  }

  /** Even without rows there may be log to cut: entries of replica incarnations that have ended. */
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
      else await this.rest.until(this.restMs, signal)
      // Rests end at beats, and some before: half of the time tells a beat from the one before.
      if (this.clock.monotonicMs() - this.confirmedMs >= this.limits.confirmMs / 2) {
        this.confirmedMs = this.clock.monotonicMs()
        await this.attempt("confirm", () => this.log.confirm(), signal)
      }
    }
  }

  /** Until the next beat, or until something is due that nothing announces. */
  private get restMs(): number {
    const { quietMs, tidyMs, restMsMin, confirmMs } = this.limits
    const dueMs = Math.min(
      this.hasWork ? this.lastMs + quietMs : Infinity,
      this.left.isMore ? this.lastMs + tidyMs : Infinity,
      this.settled === undefined ? this.restsUntilMs : this.settledUntilMs,
    )
    return Math.min(untilBeatMs(this.clock, confirmMs), Math.max(restMsMin, dueMs - this.clock.monotonicMs()))
  }

  /** Empties all payload volumes up to this one, from checkpoint to checkpoint. `isMore`: makes one soon. */
  tidy(emptyUpTo: number, isMore: boolean): void {
    this.emptyUpTo = emptyUpTo
    if (isMore) this.left = { ...this.left, isMore }
  }

  /** One checkpoint of everything applied so far, if there is anything. Throws the failure; it can be called again. */
  async checkpoint(): Promise<void> {
    if (!this.hasWork && !this.left.isMore) return
    const upTo = this.rows.isCheckpointing ? this.rows.frozenAt : this.rows.freeze()
    const started = this.clock.monotonicMs()
    const { emptied, removed, ...result } = await this.runWithSpace(upTo)
    await this.rows.prepare()
    const before = new Set(this.rows.setAside)
    this.rows.dropFrozen()
    for (const row of this.rows.setAside)
      if (!before.has(row)) this.output.error("metadata_row_set_aside", { device: this.name, row })
    this.settled = undefined
    // Only now do all readers use the rows that point elsewhere.
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

  /** On a full disk uses whatever ballast there is. */
  private runWithSpace(upTo: LogSequence): Promise<CheckpointResult> {
    let moveBytesMax = this.space.copySpaceBytes
    const run = async (): Promise<CheckpointResult> => {
      const { emptyUpTo, left } = this
      const { emptied } = left
      const { isShort } = this.space
      const replicaIncarnations = new Map(this.replicaIncarnations)
      const result = await this.runs.checkpoint({
        upTo,
        replicaIncarnations,
        emptied,
        moveBytesMax,
        emptyUpTo,
        isShort,
      })
      this.starved = undefined
      return result
    }
    const makeSpace = async (): Promise<boolean> => {
      moveBytesMax = 0
      const neededBytes = Math.max(ROOM_BYTES_MIN, this.log.lengthBytes)
      if ((await this.space.giveBack(neededBytes)) || (await this.space.undoCopies())) return true
      this.starved = { sinceMs: this.clock.monotonicMs(), freeBytes: this.space.freeBytes }
      for (const made of this.waiting) made.abort()
      return false
    }
    return retryWithSpace(run, makeSpace, Infinity)
  }

  /** Rows that wait for a checkpoint are more urgent than merges that only save space. */
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

  /** One step of merging, if there is anything to merge. Throws the failure; it can be called again. */
  async merge(): Promise<void> {
    const urgency = this.mergeUrgency
    this.isCrowded = false
    const started = this.clock.monotonicMs()
    const outcome = await this.mergeWithSpace(urgency).catch((error: unknown) => this.leaveOut(error, urgency))
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

  /** Notes the file that could not be read, and continues without it. Throws any other error. */
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
      this.output.error("metadata_table_unreadable", { device: this.name, path: String(path), error: String(error) })
    return "left out"
  }

  /** Numbers of files that are left out now. */
  private get leftOut(): readonly number[] {
    const nowMs = this.clock.monotonicMs()
    return [...this.unread].flatMap(([file, { untilMs }]) => (untilMs > nowMs ? [file] : []))
  }

  /** Merges of the urgency are done except for the files left out. Other files can be read, or are gone. */
  private settle(urgency: MergeUrgency): void {
    this.settled = urgency
    const leftOut = new Set(this.leftOut)
    this.settledUntilMs = Infinity
    for (const [file, unread] of this.unread) {
      if (leftOut.has(file)) this.settledUntilMs = Math.min(this.settledUntilMs, unread.untilMs)
      else if (isCovered(unread.urgency, urgency)) this.unread.delete(file)
    }
  }

  /** On a full disk uses whatever ballast there is; returns undefined if that is not enough. */
  private mergeWithSpace(urgency: MergeUrgency): Promise<MergeOutcome | undefined> {
    const run = (): Promise<MergeOutcome> =>
      this.runs.merge({ urgency, spaceBytes: this.space.mergeSpaceBytes, unread: this.leftOut })
    const makeSpace = (): Promise<boolean> => this.space.giveBack(ROOM_BYTES_MIN)
    return unlessFull(
      () => retryWithSpace(run, makeSpace, Infinity),
      () => undefined,
    )
  }

  private async attempt(work: Work, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await run()
      this.errors.delete(work)
    } catch (error) {
      this.errors.set(work, String(error))
      this.logFailed(work, error)
      await this.clock.sleep(this.limits.retryMs, signal)
    }
  }

  private logFailed(work: Work, error: unknown): void {
    const level = isShortage(error) ? "warn" : "error"
    const fields = { device: this.name, error: String(error) }
    if (work === "checkpoint") this.output[level]("checkpoint_failed", fields)
    else if (work === "merge") this.output[level]("metadata_merge_failed", fields)
    else this.output[level]("commit_log_confirm_failed", fields)
  }
}
