/**
 * Checkpointer: decides when a device's base is brought up to date, and slows writers that outrun it.
 *
 * A checkpoint starts at a bound of log bytes or rows, or after some quiet time; at twice the bounds
 * new writes wait. A failed checkpoint is tried again with the same extent: its frozen overlay stays
 * in memory and the log stays uncut. A clean stop makes one.
 */
import { fail, isFailure } from "../base/failures.js"
import { MIB } from "../base/limits.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Living } from "../life/contract.js"
import type { CheckpointRequest, CheckpointResult } from "./checkpoint.js"
import type { CommitLog, Memberships } from "./contract.js"
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
} as const

/** A write that found no room waits this long for a checkpoint to make some; one that hangs must not hold writers. */
export const ROOM_MS_MAX = 20_000

const FAILED = {
  checkpoint: "checkpoint failed; its rows stay in memory and in the log",
  confirm: "the end of the commit log could not be vouched for",
} as const

type Work = keyof typeof FAILED

export type CheckpointRun = (request: CheckpointRequest) => Promise<CheckpointResult>

export class Checkpointer implements Living {
  readonly name: string
  private lastMs: number
  private confirmedMs: number
  /** What failed last, by what was tried; gone once that has worked again. */
  private readonly errors = new Map<Work, string>()
  private readonly waiting = new Set<AbortController>()

  constructor(
    name: string,
    private readonly rows: Rows,
    private readonly log: CommitLog,
    /** As they are when a checkpoint begins: to be changed before the first entry of a new one is logged. */
    private readonly memberships: Memberships,
    private readonly runCheckpoint: CheckpointRun,
    private readonly clock: Clock,
    private readonly output: Log,
    private readonly limits: { readonly [Name in keyof typeof CHECKPOINT_LIMITS]: number } = CHECKPOINT_LIMITS,
  ) {
    this.name = `checkpoint ${name}`
    this.lastMs = clock.monotonicMs()
    this.confirmedMs = this.lastMs
  }

  get error(): string | undefined {
    return [...this.errors.values()].join("; ") || undefined
  }

  /** Resolves when a checkpoint has made room; undefined where there is room now. Throws `tooManyInFlight`. */
  roomForWrites(): Promise<void> | undefined {
    return this.isOver(2) ? this.madeRoom() : undefined
  }

  private async madeRoom(): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ROOM_MS_MAX
    while (this.isOver(2)) {
      const leftMs = untilMs - this.clock.monotonicMs()
      if (leftMs <= 0) throw fail("tooManyInFlight", { message: "checkpoints do not keep up", device: this.name })
      const made = new AbortController()
      this.waiting.add(made)
      await this.clock.sleep(leftMs, made.signal)
      this.waiting.delete(made)
    }
  }

  isOver(factor: number): boolean {
    return (
      this.log.lengthBytes >= factor * this.limits.logBytesMax || this.rows.overlayRows >= factor * this.limits.rowsMax
    )
  }

  private isDue(): boolean {
    if (this.rows.overlayRows === 0) return false
    return this.isOver(1) || this.clock.monotonicMs() - this.lastMs >= this.limits.quietMs
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.isDue()) await this.attempt("checkpoint", () => this.checkpoint(), signal)
      else await this.clock.sleep(this.limits.pollMs, signal)
      if (this.clock.monotonicMs() - this.confirmedMs >= this.limits.confirmMs) {
        this.confirmedMs = this.clock.monotonicMs()
        await this.attempt("confirm", () => this.log.confirm(), signal)
      }
    }
  }

  /** One checkpoint of everything applied so far. Throws what went wrong; then it can be called again. */
  async checkpoint(): Promise<void> {
    if (this.rows.overlayRows === 0) return
    const upTo = this.rows.isCheckpointing ? this.rows.frozenAt : this.rows.freeze()
    const started = this.clock.monotonicMs()
    const result = await this.runCheckpoint({ upTo, memberships: new Map(this.memberships) })
    this.rows.dropFrozen()
    try {
      await this.log.cut(upTo)
    } finally {
      for (const made of this.waiting) made.abort()
    }
    this.lastMs = this.clock.monotonicMs()
    this.output.debug("checkpoint", { device: this.name, ...result, tookMs: Math.round(this.lastMs - started) })
  }

  private async attempt(work: Work, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await run()
      this.errors.delete(work)
    } catch (error) {
      this.errors.set(work, String(error))
      const level = isFailure(error, "deviceFull") ? "warn" : "error"
      this.output[level](FAILED[work], { device: this.name, error: String(error) })
      await this.clock.sleep(this.limits.retryMs, signal)
    }
  }
}
