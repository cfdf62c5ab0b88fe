/**
 * A database whose answers to commits and reads are timed, and that notices whether its disk is full. What ends with a lost
 * connection does not count.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { ResponseTimes } from "../format/nodes/database-health.js"
import type { CommitOutcome, CommitRequest, Database, Fetched, FetchRequest, Session } from "./database.js"
import { RecentTimes } from "./response-times-core.js"
import { SessionAround } from "./session-around.js"

export class StatementTimes {
  private readonly times = { commits: new RecentTimes(), reads: new RecentTimes() }
  /** The database had no space for the last commit. */
  isFull = false

  constructor(private readonly clock: Clock) {}

  async measure<T>(kind: "commits" | "reads", statement: () => Promise<T>): Promise<T> {
    const startMs = this.clock.monotonicMs()
    const result = await statement()
    const nowMs = this.clock.monotonicMs()
    this.times[kind].add(nowMs, nowMs - startMs)
    return result
  }

  get recent(): { readonly commits: ResponseTimes | undefined; readonly reads: ResponseTimes | undefined } {
    const nowMs = this.clock.monotonicMs()
    return { commits: this.times.commits.summary(nowMs), reads: this.times.reads.summary(nowMs) }
  }
}

export class MeasuredDatabase implements Database {
  constructor(
    private readonly database: Database,
    private readonly times: StatementTimes,
  ) {}

  migrate(): Promise<void> {
    return this.database.migrate()
  }

  async connect(): Promise<Session> {
    return new MeasuredSession(await this.database.connect(), this.times)
  }
}

class MeasuredSession extends SessionAround {
  constructor(
    inner: Session,
    private readonly times: StatementTimes,
  ) {
    super(inner)
  }

  override fetch(request: FetchRequest): Promise<Fetched> {
    return this.times.measure("reads", () => this.inner.fetch(request))
  }

  override snapshot<T>(work: (fetch: Session["fetch"]) => Promise<T>): Promise<T> {
    return this.inner.snapshot(fetch => work(request => this.times.measure("reads", () => fetch(request))))
  }

  override async makeChanges(request: CommitRequest): Promise<CommitOutcome> {
    try {
      const outcome = await this.times.measure("commits", () => this.inner.makeChanges(request))
      this.times.isFull = false
      return outcome
    } catch (error) {
      if (isFailure(error, "deviceFull")) this.times.isFull = true
      throw error
    }
  }
}
