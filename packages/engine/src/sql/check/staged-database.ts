/**
 * A real database whose commits a run of a check can watch, delay and cut: what other processes do in the worst moment
 * is then done in that moment, not by chance.
 */
import type { CommitOutcome, CommitRequest, Database, Session } from "../database.js"
import type { Postgres } from "../postgres/postgres.js"
import type { PostgresSession } from "../postgres/session.js"
import { SessionAround } from "../session-around.js"

/** The hooks around a commit. */
interface Interference {
  /** Called once its rows are fetched and decided, before it is sent. */
  readonly before?: (session: PostgresSession) => Promise<void>
  /** Called once it is sent. */
  readonly sent?: (session: PostgresSession) => void
}

export class StagedDatabase implements Database {
  /** The outcomes of the commits, in their order. */
  readonly outcomes: CommitOutcome[] = []
  /** For the next commit only. */
  next: Interference | undefined
  /** For every commit that has none of its own. */
  every: Interference | undefined

  constructor(private readonly database: Postgres) {}

  async connect(): Promise<Session> {
    return new StagedSession(await this.database.connect(), this)
  }

  migrate(): Promise<void> {
    return this.database.migrate()
  }
}

class StagedSession extends SessionAround<PostgresSession> {
  constructor(
    session: PostgresSession,
    private readonly stage: StagedDatabase,
  ) {
    super(session)
  }

  override async makeChanges(request: CommitRequest): Promise<CommitOutcome> {
    const { before, sent } = this.stage.next ?? this.stage.every ?? {}
    this.stage.next = undefined
    await before?.(this.inner)
    const committed = this.inner.makeChanges(request)
    sent?.(this.inner)
    const outcome = await committed
    this.stage.outcomes.push(outcome)
    return outcome
  }
}
