/**
 * Lane: one connection that commits. Commands that arrive while a statement is running are decided together next.
 *
 * A commit advances the lane's number from exactly the last known one. After a lost connection the outcome is resolved
 * by a statement that writes: it waits for the commit if that is still running, and moves the number so far that it
 * cannot take effect later. Reading the number would not do either.
 *
 * Promises  Every command takes effect once or not at all, and is answered accordingly; `indeterminate` only if the
 *           engine stops before the outcome is known.
 * Limits    SQL_LIMITS.
 */
import { asFailure, fail, Failure } from "../base/failures.js"
import type { Command } from "../metadata/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import { decideBatch, type AnswerableCommand, type DecidedBatch } from "./batch-core.js"
import { ConnectionLost, OutcomeUnknown, RESOLVE_JUMP, TryAgain } from "./database.js"
import type { CommitRequest, Database, LaneState, Session } from "./database.js"
import { SQL_LIMITS } from "./limits.js"
import { FetchedRows, Wants } from "./rows-core.js"
import { WaitingQueue, type Waiting } from "./waiting.js"

type WaitingCommand = Waiting<AnswerableCommand>

/** What the lanes of a process share. */
export interface LaneHost {
  readonly incarnation: number
  readonly clock: Clock
  readonly log: Log
  readonly database: Database
  /** A moment and the identity of the decisions of a batch. */
  beginBatch(version: bigint): BatchTime
  /** The lane has seen the store's generation. */
  onGeneration(generation: bigint): void
  /** The database does not accept this incarnation any more, or has lost what it committed. */
  onEnded(reason: "ended" | "rolledBack"): void
  readonly signal: AbortSignal
}

export interface BatchTime {
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
  private session: Session | undefined
  /** The number that the next commit starts from; undefined: to be read. */
  private number: bigint | undefined
  private running: Promise<void> | undefined
  private isStopped = false

  constructor(
    private readonly host: LaneHost,
    private readonly lane: number,
  ) {}

  private get id() {
    return { incarnation: this.host.incarnation, lane: this.lane }
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
    await this.session?.close()
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

  private batchLength(): number {
    return this.isOneByOne ? 1 : SQL_LIMITS.commandsPerBatch
  }

  private async process(batch: readonly WaitingCommand[]): Promise<void> {
    for (;;) {
      const session = await this.connected(batch)
      if (session === undefined) return
      try {
        const outcome = await this.attempt(session, batch)
        if (outcome === "answered") {
          this.isOneByOne = false
          return
        }
      } catch (error) {
        if (!(error instanceof ConnectionLost || error instanceof TryAgain)) throw error
        if (error instanceof ConnectionLost) this.session = undefined
      }
      const left = this.afterLoss(batch)
      if (left === "split") return
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

  /** The connection; undefined: the batch was refused because there is none in time. */
  private async connected(batch: readonly WaitingCommand[]): Promise<Session | undefined> {
    const { clock, database, signal, log } = this.host
    let waitMs: number = SQL_LIMITS.reconnectMs.first
    for (;;) {
      if (this.session?.isOpen === true) return this.session
      try {
        this.session = await database.connect()
        return this.session
      } catch (error) {
        const oldest = Math.min(...batch.map(({ sinceMs }) => sinceMs))
        if (signal.aborted || clock.monotonicMs() - oldest > SQL_LIMITS.commandMsMax) {
          log.warn("database_unreachable", { lane: this.lane, error: String(error) })
          for (const { reject } of batch) reject(fail("tooManyInFlight", { message: "the database does not respond" }))
          return undefined
        }
        await clock.sleep(waitMs, signal)
        waitMs = Math.min(2 * waitMs, SQL_LIMITS.reconnectMs.most)
      }
    }
  }

  /** Fetches, decides and commits once. */
  private async attempt(session: Session, batch: readonly WaitingCommand[]): Promise<"answered" | "lost"> {
    const commands = batch.map(({ work }) => work)
    const wants = new Wants()
    for (const { touches } of commands) wants.add(touches)
    for (let fetches = 0; fetches < SQL_LIMITS.fetchesMax; fetches += 1) {
      const found = await session.fetch({ lane: this.id, ...wants.request() })
      const state = this.check(found.lane)
      const version = this.versionOf(state.number + 1n)
      const time = this.host.beginBatch(version)
      try {
        const decided = decideBatch(commands, new FetchedRows(wants, found), wants, number => time.timeOf(number))
        if (decided === undefined) continue
        return await this.finish(session, batch, decided, state, version)
      } finally {
        time.end()
      }
    }
    throw fail("conflict")
  }

  /** The lane's state, which must be the one that the last commit left. */
  private check(state: LaneState | undefined): LaneState {
    if (state === undefined) return this.ended("rolledBack")
    this.number ??= state.number
    if (state.number < this.number) return this.ended("rolledBack")
    if (state.isEnded || state.number > this.number) return this.ended("ended")
    this.host.onGeneration(state.generation)
    return state
  }

  private ended(reason: "ended" | "rolledBack"): never {
    this.host.onEnded(reason)
    throw fail("stopping", { message: `this node's metadata incarnation is over (${reason})` })
  }

  private versionOf(number: bigint): bigint {
    const { incarnation, lane } = this.id
    return (BigInt(incarnation) * LANES + BigInt(lane)) * NUMBERS + number
  }

  private async finish(
    session: Session,
    batch: readonly WaitingCommand[],
    { decided, later, changes }: DecidedBatch,
    state: LaneState,
    version: bigint,
  ): Promise<"answered" | "lost"> {
    if (!changes.isEmpty && !(await this.send(session, changes.request(this.id, state, version)))) return "lost"
    for (const { command, outcome } of decided) {
      if (outcome instanceof Failure) batch[command]?.reject(outcome)
      else outcome()
    }
    this.queue.putBack(batch.filter((_, at) => later.includes(at)))
    return "answered"
  }

  /** Whether the batch is committed. */
  private async send(session: Session, request: CommitRequest): Promise<boolean> {
    const { number } = request.from
    try {
      if ((await session.makeChanges(request)) === "conflict") return false
      this.number = number + 1n
      return true
    } catch (error) {
      if (error instanceof ConnectionLost) this.session = undefined
      else if (!(error instanceof OutcomeUnknown)) throw error
    }
    return this.resolve(number)
  }

  /** Finds out whether the commit that started from this number has taken effect. It never will once this returns. */
  private async resolve(from: bigint): Promise<boolean> {
    const { clock, database, signal, log } = this.host
    this.number = undefined
    let waitMs: number = SQL_LIMITS.reconnectMs.first
    for (;;) {
      if (signal.aborted) throw fail("indeterminate")
      try {
        if (this.session?.isOpen !== true) this.session = await database.connect()
        const state = await this.session.resolve(this.id)
        if (state === undefined || state.number < from) return this.ended("rolledBack")
        const isCommitted = (state.number - from) % RESOLVE_JUMP === 1n
        log.info("commit_outcome_resolved", { lane: this.lane, outcome: isCommitted ? "committed" : "not committed" })
        return isCommitted
      } catch (error) {
        this.session = undefined
        if (!(error instanceof ConnectionLost || error instanceof TryAgain)) throw error
        await clock.sleep(waitMs, signal)
        waitMs = Math.min(2 * waitMs, SQL_LIMITS.reconnectMs.most)
      }
    }
  }
}
