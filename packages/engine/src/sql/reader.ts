/**
 * Reader: one connection that only reads. Queries that wait are answered together, each on rows of one moment that came
 * with one statement.
 */
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import type { Incarnations, Query, QueryView } from "../metadata/index.js"
import type { Position } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { SqlConnection } from "./connection.js"
import { ConnectionLost, TryAgain, type Session, type Fetched, type LaneId, type LaneState } from "./database.js"
import { SQL_LIMITS } from "./limits.js"
import { NOT_FETCHED, SqlQueryView } from "./query-view.js"
import { FetchedRows, ROWS_MISSING, RowsMissing, Wants } from "./rows-core.js"
import { WaitingQueue, type Waiting } from "./waiting.js"

interface WaitingQuery {
  readonly wants: Wants
  /** It is answered also while the store is halted. */
  readonly passesHalt: boolean
  /** Statements that it has waited for. */
  fetches: number
  /** Returns what resolves the query with its result. Throws what the query throws. */
  answer(view: QueryView): () => void
}

interface ReaderHost {
  readonly clock: Clock
  readonly incarnations: Incarnations
  /** The lane whose row comes with every read, with the store's generation, and a number that it has reached. */
  lane(): { readonly id: LaneId; readonly number: bigint }
  onState(state: LaneState | undefined, before: bigint): void
  /** Returns why only rows of coordination may be read. */
  refusal(): Failure | undefined
  /** Takes what one statement returned, as of this state of the lane. */
  onRows(state: LaneState, wants: Wants, found: Fetched): void
  /** The `generationMark` of views of this generation. */
  markOf(generation: bigint): object | undefined
  position(): Position
}

/** Rows of one moment, and the mark of their generation. */
interface Shown {
  readonly rows: FetchedRows
  readonly mark: object | typeof NOT_FETCHED | undefined
}

const NO_ROWS: Shown = { rows: new FetchedRows(), mark: NOT_FETCHED }

export class Reader {
  private readonly queue = new WaitingQueue<WaitingQuery>()
  private running: Promise<void> | undefined
  private isStopped = false
  /** When the work under way began; undefined while the reader is idle. */
  private fetchingSinceMs: number | undefined

  constructor(
    private readonly host: ReaderHost,
    private readonly connection: SqlConnection,
  ) {}

  get waiting(): number {
    return this.queue.length
  }

  /** Returns true if a query that arrives now is answered soon, with those that wait. */
  get isQuick(): boolean {
    if (this.waiting >= SQL_LIMITS.queriesPerBatch) return false
    const sinceMs = this.fetchingSinceMs
    return sinceMs === undefined || this.host.clock.monotonicMs() - sinceMs < SQL_LIMITS.slowReadMs
  }

  ask<Result>(query: Query<Result>, passesHalt = false): Promise<Result> {
    return this.answered(passesHalt, resolve => view => {
      const result = query.answer(view)
      return () => resolve(result)
    })
  }

  /** Resolves after a statement that was sent after this call. */
  confirm(): Promise<void> {
    return this.answered(false, resolve => {
      let isSent = false
      return () => {
        if (isSent) return resolve
        isSent = true
        throw ROWS_MISSING
      }
    })
  }

  private answered<T>(
    passesHalt: boolean,
    answerWith: (resolve: (result: T) => void) => WaitingQuery["answer"],
  ): Promise<T> {
    if (this.isStopped) return Promise.reject(fail("stopping"))
    return new Promise((resolve, reject) => {
      const waiting = { wants: new Wants(), passesHalt, fetches: 0, answer: answerWith(resolve) }
      this.queue.add(waiting, this.host.clock.monotonicMs(), reject)
      this.running ??= this.work()
    })
  }

  async stop(): Promise<void> {
    this.isStopped = true
    await this.running
    await this.connection.close()
  }

  private async work(): Promise<void> {
    await Promise.resolve()
    let left: readonly Waiting<WaitingQuery>[] = []
    while (left.length > 0 || !this.queue.isEmpty) {
      // Queries that arrived meanwhile join the ones that need another fetch.
      const added = this.queue.take(SQL_LIMITS.queriesPerBatch - left.length)
      left = [...left, ...this.unanswered(added, NO_ROWS, this.host.position())]
      this.fetchingSinceMs = this.host.clock.monotonicMs()
      try {
        left = await this.fetchFor(left)
      } catch (error) {
        for (const { reject } of left) reject(asFailure(error))
        left = []
      }
      this.fetchingSinceMs = undefined
    }
    // In the same turn as the last look at the queue: what arrives from now on starts the loop again.
    this.running = undefined
  }

  /** Fetches what the queries want, by one statement; returns those that need more. */
  private async fetchFor(queries: readonly Waiting<WaitingQuery>[]): Promise<readonly Waiting<WaitingQuery>[]> {
    const isLong = ({ work }: Waiting<WaitingQuery>) => work.fetches >= SQL_LIMITS.fetchesOfOneStatement
    for (const waiting of queries.filter(isLong)) {
      await this.answerInSnapshot(waiting).catch((error: unknown) => waiting.reject(asFailure(error)))
    }
    const batch = queries.filter(waiting => !isLong(waiting))
    if (batch.length === 0) return batch
    const wants = new Wants()
    for (const { work } of batch) {
      work.fetches += 1
      wants.addAll(work.wants)
    }
    // Read before the rows: nothing that they reference was released at or before it.
    const position = this.host.position()
    const { id, number } = this.host.lane()
    const found = await this.fetch(id, wants, batch)
    this.host.onState(found.lane, number)
    if (found.lane) this.host.onRows(found.lane, wants, found)
    return this.unanswered(batch, { rows: FetchedRows.of(wants, found), mark: this.markOf(found) }, position)
  }

  private unanswered(
    queries: readonly Waiting<WaitingQuery>[],
    shown: Shown,
    position: Position,
  ): readonly Waiting<WaitingQuery>[] {
    return queries.filter(waiting => !this.answer(waiting, shown, position))
  }

  /** Answers a query that finds out what it needs step by step: each step fetches only what it lacks, and all of that. */
  private async answerInSnapshot(waiting: Waiting<WaitingQuery>): Promise<void> {
    const { wants } = waiting.work
    await this.orUnreachable(waiting.sinceMs, session => {
      const position = this.host.position()
      const { id, number } = this.host.lane()
      return session.snapshot(async fetch => {
        const fetched = new FetchedRows()
        for (let fetches = 0; fetches < SQL_LIMITS.fetchesOfSnapshot; fetches += 1) {
          const missing = wants.missingIn(fetched)
          const found = await fetch({ lane: id, ...missing.request() })
          this.host.onState(found.lane, number)
          fetched.add(missing, found)
          if (this.answer(waiting, { rows: fetched, mark: this.markOf(found) }, position, true)) return
        }
        throw fail("tooManyInFlight", { message: "the query needs too many rows" })
      })
    })
  }

  private markOf({ lane }: Fetched): object | undefined {
    return lane && this.host.markOf(lane.generation)
  }

  /** False: rows are missing. */
  private answer(
    { work, reject }: Waiting<WaitingQuery>,
    { rows, mark }: Shown,
    position: Position,
    gathers = false,
  ): boolean {
    const refusal = work.passesHalt ? undefined : this.host.refusal()
    const moment = { incarnations: this.host.incarnations, position, mark }
    const view = new SqlQueryView(rows, work.wants, moment, refusal, gathers)
    try {
      const resolve = work.answer(view)
      if (view.hasGathered) return false
      resolve()
    } catch (error) {
      if (error instanceof RowsMissing || view.hasGathered) return false
      reject(asFailure(error))
    }
    return true
  }

  private fetch(lane: LaneId, wants: Wants, left: readonly Waiting<WaitingQuery>[]): Promise<Fetched> {
    const request = { lane, ...wants.request() }
    return this.orUnreachable(Math.min(...left.map(({ sinceMs }) => sinceMs)), session => session.fetch(request))
  }

  /** Work for a query that has waited since then. */
  private async orUnreachable<T>(sinceMs: number, work: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await this.connection.repeat(sinceMs + SQL_LIMITS.commandMsMax, work)
    } catch (error) {
      if (!(error instanceof ConnectionLost || error instanceof TryAgain)) throw error
      throw fail("databaseUnreachable")
    }
  }
}
