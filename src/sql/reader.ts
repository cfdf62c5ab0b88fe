/**
 * Reader: one connection that only reads. Queries that wait are answered together, each on rows of one moment that came
 * with one statement.
 */
import { asFailure, fail, type Failure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import type { KeyRange } from "../base/key-range.js"
import { visitRows, type RowVisitor } from "../base/row-scan.js"
import type { Incarnations, MetadataRow, Query, QueryView } from "../metadata/index.js"
import type { Position, RowKey } from "../base/ids.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Connection } from "./connection.js"
import { ConnectionLost, TryAgain, type Session, type Fetched, type LaneId, type LaneState } from "./database.js"
import { SQL_LIMITS } from "./limits.js"
import { BatchView, FetchedRows, RowsMissing, Wants, type BatchSoFar } from "./rows-core.js"
import { WaitingQueue, type Waiting } from "./waiting.js"

interface WaitingQuery {
  readonly wants: Wants
  /** It is answered also while the store is halted. */
  readonly passesHalt: boolean
  /** Gives the result. Throws what the query throws. */
  answer(view: QueryView): void
}

interface ReaderHost {
  readonly clock: Clock
  readonly incarnations: Incarnations
  /** The lane whose row comes with every read, with the store's generation, and a number that it has reached. */
  lane(): { readonly id: LaneId; readonly number: bigint }
  onState(state: LaneState | undefined, before: bigint): void
  /** Why only rows of coordination may be read. */
  refusal(): Failure | undefined
  position(): Position
}

const NO_CHANGES: BatchSoFar = { rows: new Map(), counts: new Map() }
const NO_ROWS = new FetchedRows()

class SqlQueryView extends BatchView implements QueryView {
  constructor(
    fetched: FetchedRows,
    wants: Wants,
    readonly incarnations: Incarnations,
    readonly position: Position,
    private readonly refusal: Failure | undefined,
  ) {
    super(fetched, wants, NO_CHANGES)
  }

  override get(family: Family, key: RowKey): MetadataRow | undefined {
    this.check(family)
    return super.get(family, key)
  }

  override range(family: Family, range: KeyRange): Generator<readonly [RowKey, MetadataRow]> {
    this.check(family)
    return super.range(family, range)
  }

  private check(family: Family): void {
    if (this.refusal !== undefined && family !== "cluster") throw this.refusal
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    visitRows(this.range(family, range), visitor)
  }
}

export class Reader {
  private readonly queue = new WaitingQueue<WaitingQuery>()
  private running: Promise<void> | undefined
  private isStopped = false

  constructor(
    private readonly host: ReaderHost,
    private readonly connection: Connection,
  ) {}

  get waiting(): number {
    return this.queue.length
  }

  ask<Result>(query: Query<Result>, passesHalt = false): Promise<Result> {
    if (this.isStopped) return Promise.reject(fail("stopping"))
    return new Promise((resolve, reject) => {
      const waiting = { wants: new Wants(), passesHalt, answer: (view: QueryView) => resolve(query.answer(view)) }
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
    while (!this.queue.isEmpty) {
      const batch = this.queue.take(SQL_LIMITS.queriesPerBatch)
      try {
        await this.process(batch)
      } catch (error) {
        for (const { reject } of batch) reject(asFailure(error))
      }
    }
    // In the same turn as the last look at the queue: what arrives from now on starts the loop again.
    this.running = undefined
  }

  /** Answers every query whose rows are there, until none is left. */
  private async process(batch: readonly Waiting<WaitingQuery>[]): Promise<void> {
    let left = batch.filter(waiting => !this.answer(waiting, NO_ROWS, this.host.position()))
    for (let fetches = 0; left.length > 0; fetches += 1) {
      if (fetches === SQL_LIMITS.fetchesOfOneStatement) {
        for (const waiting of left) {
          await this.answerInSnapshot(waiting).catch((error: unknown) => waiting.reject(asFailure(error)))
        }
        return
      }
      const wants = new Wants()
      for (const { work } of left) wants.addAll(work.wants)
      // Read before the rows: nothing that they reference was released at or before it.
      const position = this.host.position()
      const { id, number } = this.host.lane()
      const found = await this.fetch(id, wants, left)
      this.host.onState(found.lane, number)
      const fetched = FetchedRows.of(wants, found)
      left = left.filter(waiting => !this.answer(waiting, fetched, position))
    }
  }

  /** Answers a query that finds out what it needs step by step: each step fetches only what it lacks. */
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
          if (this.answer(waiting, fetched, position)) return
        }
        throw fail("tooManyInFlight", { message: "the query needs too many rows" })
      })
    })
  }

  /** False: rows are missing. */
  private answer({ work, reject }: Waiting<WaitingQuery>, fetched: FetchedRows, position: Position): boolean {
    try {
      const refusal = work.passesHalt ? undefined : this.host.refusal()
      work.answer(new SqlQueryView(fetched, work.wants, this.host.incarnations, position, refusal))
    } catch (error) {
      if (error instanceof RowsMissing) return false
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
