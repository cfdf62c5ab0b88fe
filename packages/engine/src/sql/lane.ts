/**
 * Lane: one connection that commits. Commands that arrive while a statement is running are decided together next.
 *
 * A commit advances the lane's number from exactly the last known one. After a lost connection the outcome is resolved
 * by a statement that writes: it waits for the commit if that is still running, and moves the number so far that it
 * cannot take effect later. A statement that only reads would miss a commit that is still running.
 *
 * Promises  Every command takes effect once or not at all, and is answered accordingly, within about
 *           `SQL_LIMITS.commandMsMax`; `indeterminate` only if the outcome is not known by then, or the engine stops. One
 *           that was answered so is not decided again, and later commands of the lane see its outcome.
 * Limits    SQL_LIMITS.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, Failure } from "@hayloft/base/failures.js"
import type { Command } from "../metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { decideBatch, type AnswerableCommand, type DecidedBatch } from "./batch-core.js"
import { ConnectionLost, OutcomeUnknown, RESOLVE_JUMP, TryAgain } from "./database.js"
import type { SqlConnection } from "./connection.js"
import type { CommitRequest, Fetched, LaneId, LaneState, Timestamps } from "./database.js"
import { endedFailure, type EndReason } from "./end-reason.js"
import { SQL_LIMITS } from "./limits.js"
import { FetchedRows, Wants } from "./rows-core.js"
import { WaitingQueue, type Waiting } from "./waiting.js"

type WaitingCommand = Waiting<AnswerableCommand>

/** The state that the lanes of a process share. */
export interface LaneHost {
  readonly incarnation: number
  readonly clock: Clock
  readonly log: Log
  /** A moment and the identity of the decisions of a batch. */
  beginBatch(version: bigint, commands: number): BatchTime
  /** The store's generation, as a statement has returned or made it. */
  onGeneration(generation: bigint): void
  /** The database does not accept this incarnation any more, or has lost what it committed. */
  onEnded(reason: EndReason): void
}

export interface BatchTime {
  /** The least and the greatest commit timestamp. */
  readonly firstUs: number
  readonly lastUs: number
  /** Rows of another moment were fetched: the timestamps are above those of all commits that it shows. */
  onFetched(timestamps: Timestamps): void
  timeOf(command: number): Parameters<Command<unknown>["decide"]>[1]
  /** Committed, or certain not to be. */
  end(): void
}

const answerable = <Result>(command: Command<Result>, resolve: (result: Result) => void): AnswerableCommand => ({
  touches: command.touches,
  decide(view, time) {
    const { result, ...decision } = command.decide(view, time)
    return { ...decision, answer: () => resolve(result) }
  },
})

/** Numbers of one lane in one incarnation that fit into a version. */
const NUMBERS = 1n << 32n
const LANES = 1n << 4n

export class Lane {
  private readonly queue = new WaitingQueue<AnswerableCommand>()
  /** The number that the next commit starts from; undefined: to be read. */
  private number: bigint | undefined
  private running: Promise<void> | undefined
  private isStopped = false
  /** When its last statement was committed, by the monotonic clock. */
  committedMs = -Infinity

  constructor(
    private readonly host: LaneHost,
    private readonly lane: number,
    private readonly connection: SqlConnection,
  ) {}

  private get id(): LaneId {
    return { incarnation: this.host.incarnation, lane: this.lane }
  }

  get waiting(): number {
    return this.queue.length
  }

  /** The lane, and a number that it has reached. */
  get state(): { readonly id: LaneId; readonly number: bigint } {
    return { id: this.id, number: this.number ?? 0n }
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    if (this.isStopped) return Promise.reject(fail("stopping"))
    return new Promise((resolve, reject) => {
      this.queue.add(answerable(command, resolve), this.host.clock.monotonicMs(), reject)
      this.running ??= this.work()
    })
  }

  /** Waits for the commands under way, and closes the connection. */
  async stop(): Promise<void> {
    this.isStopped = true
    await this.running
    await this.connection.close()
  }

  private async work(): Promise<void> {
    await Promise.resolve()
    while (!this.queue.isEmpty) {
      const batch = this.queue.take(this.batchLength())
      try {
        await this.process(batch)
      } catch (error) {
        for (const { reject } of batch) reject(asFailure(error))
      }
    }
    // In the same turn as the last look at the queue: what arrives from now on starts the loop again.
    this.running = undefined
  }

  private isOneByOne = false
  /** Commands of the batch that were answered before the outcome of their commit was known. */
  private readonly unresolved = new Set<WaitingCommand>()

  private batchLength(): number {
    return this.isOneByOne ? 1 : SQL_LIMITS.commandsPerBatch
  }

  private async process(batch: readonly WaitingCommand[]): Promise<void> {
    this.unresolved.clear()
    for (let left = batch; left.length > 0;) {
      const untilMs = Math.min(...left.map(({ sinceMs }) => sinceMs)) + SQL_LIMITS.commandMsMax
      if ((await this.attempt(untilMs, left)) === "answered") {
        this.isOneByOne = false
        return
      }
      left = left.filter(waiting => !this.unresolved.has(waiting))
      if (left.length > 0 && this.afterLoss(left) === "split") return
    }
  }

  /** Counts a lost race. A batch that loses again and again is put back, to be decided one by one. */
  private afterLoss(batch: readonly WaitingCommand[]): "again" | "split" {
    for (const waiting of batch) waiting.losses += 1
    const losses = Math.max(...batch.map(waiting => waiting.losses))
    if (batch.length === 1 && losses >= SQL_LIMITS.lossesOfCommandMax) throw fail("tooManyInFlight")
    if (batch.length === 1 || losses < SQL_LIMITS.lossesOfBatchMax) return "again"
    this.isOneByOne = true
    this.queue.putBack(batch)
    return "split"
  }

  /** Fetches, decides and commits once. */
  private async attempt(untilMs: number, batch: readonly WaitingCommand[]): Promise<"answered" | "lost"> {
    const commands = batch.map(({ work }) => work)
    const wants = new Wants()
    for (const { touches } of commands) wants.add(touches)
    let begun: BatchTime | undefined
    try {
      for (let fetches = 0; fetches < SQL_LIMITS.fetchesMax; fetches += 1) {
        const found = await this.fetch(untilMs, wants)
        const state = this.check(found.lane)
        const version = this.versionOf(state.number + 1n)
        // All decisions of an attempt have one time: keys that they read depend on it.
        const time: BatchTime = begun ?? this.host.beginBatch(version, commands.length)
        begun = time
        time.onFetched(must(found.timestamps, "they were asked for"))
        const gathers = fetches >= SQL_LIMITS.fetchesBeforeGathering
        const known = FetchedRows.of(wants, found)
        const decided = decideBatch(commands, known, wants, number => time.timeOf(number), gathers)
        if (decided !== undefined) return await this.finish(batch, decided, { state, version, time })
      }
      throw fail("conflict")
    } finally {
      begun?.end()
    }
  }

  private async fetch(untilMs: number, wants: Wants): Promise<Fetched> {
    const request = { lane: this.id, ...wants.request(), wantsTimestamps: true } as const
    try {
      return await this.connection.repeat(untilMs, session => session.fetch(request))
    } catch (error) {
      if (!(error instanceof ConnectionLost || error instanceof TryAgain)) throw error
      this.host.log.warn("database_unreachable", { lane: this.lane, error: String(error) })
      throw fail("databaseUnreachable")
    }
  }

  /** The lane's state, which must be the one that its last statements left. */
  private check(state: LaneState | undefined): LaneState {
    if (state === undefined) return this.ended("rolledBack")
    this.number ??= state.number
    this.host.onGeneration(state.generation)
    const ahead = state.number - this.number
    if (ahead < 0n) return this.ended("rolledBack")
    // A second statement that resolved the same outcome may take effect after the first was answered.
    if (state.isEnded || ahead % RESOLVE_JUMP !== 0n) return this.ended("ended")
    this.number = state.number
    return state
  }

  private ended(reason: EndReason): never {
    this.host.onEnded(reason)
    throw endedFailure(reason)
  }

  private versionOf(number: bigint): bigint {
    const { incarnation, lane } = this.id
    // Versions must stay unique: the next lane's begin here.
    assert(number < NUMBERS, "a lane has no more numbers: restart the node")
    return (BigInt(incarnation) * LANES + BigInt(lane)) * NUMBERS + number
  }

  private async finish(
    batch: readonly WaitingCommand[],
    { decided, later, changes }: DecidedBatch,
    { state, version, time }: { readonly state: LaneState; readonly version: bigint; readonly time: BatchTime },
  ): Promise<"answered" | "lost"> {
    const request = () => changes.request(this.id, { from: state, version, firstUs: time.firstUs, lastUs: time.lastUs })
    if (!changes.isEmpty && !(await this.send(request(), batch))) return "lost"
    for (const { command, outcome } of decided) {
      if (outcome instanceof Failure) batch[command]?.reject(outcome)
      else outcome()
    }
    this.queue.putBack(batch.filter((waiting, at) => later.includes(at) && !this.unresolved.has(waiting)))
    return "answered"
  }

  /** Returns true if the batch is committed. */
  private async send(request: CommitRequest, batch: readonly WaitingCommand[]): Promise<boolean> {
    const { number } = request.from
    const session = this.connection.open
    if (session === undefined) return false
    try {
      if ((await session.makeChanges(request)) === "conflict") return false
      this.number = number + 1n
      this.committedMs = this.host.clock.monotonicMs()
      if (request.raisesGeneration) this.host.onGeneration(request.from.generation + 1n)
      return true
    } catch (error) {
      if (error instanceof TryAgain) return false
      if (!(error instanceof ConnectionLost || error instanceof OutcomeUnknown)) throw error
    }
    const outcome = new AbortController()
    const watch = this.answerOverdue(batch, outcome.signal)
    try {
      return await this.resolve(number)
    } finally {
      outcome.abort()
      await watch
    }
  }

  /**
   * Commands that wait have done nothing, so they need not wait for the outcome of those before them. Those of the batch
   * may have taken effect, or may yet. Before, no statement takes longer than they may wait.
   */
  private async answerOverdue(batch: readonly WaitingCommand[], signal: AbortSignal): Promise<void> {
    const { clock } = this.host
    while (!signal.aborted) {
      const overdueMs = clock.monotonicMs() - SQL_LIMITS.commandMsMax
      this.queue.refuseOverdue(overdueMs, fail("databaseUnreachable"))
      for (const waiting of batch) {
        if (waiting.sinceMs > overdueMs || this.unresolved.has(waiting)) continue
        this.unresolved.add(waiting)
        waiting.reject(fail("indeterminate", { reason: "the database has not confirmed the commit" }))
      }
      await clock.sleep(SQL_LIMITS.overdueEveryMs, signal)
    }
  }

  /**
   * Returns true if the commit that started at `from` was applied. If it was not, it cannot be applied any more once this
   * returns.
   */
  private async resolve(from: bigint): Promise<boolean> {
    const state = await this.connection
      .repeat(Infinity, session => session.resolve(this.id))
      .catch((error: unknown) => {
        throw fail("indeterminate", { reason: String(error) })
      })
    if (state === undefined || state.number < from) return this.ended("rolledBack")
    this.number = state.number + RESOLVE_JUMP
    this.host.onGeneration(state.generation)
    const isCommitted = (state.number - from) % RESOLVE_JUMP === 1n
    const outcome = isCommitted ? "committed" : "not committed"
    this.host.log.info("commit_outcome_resolved", { lane: this.lane, outcome })
    return isCommitted
  }
}
