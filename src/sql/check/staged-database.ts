/**
 * A real database whose commits a run of a check can watch, delay and cut: what other processes do in the worst moment
 * is then done in that moment, not by chance.
 */
import type { StoreId } from "../../base/ids.js"
import type {
  CommitOutcome,
  CommitRequest,
  Database,
  Fetched,
  FetchRequest,
  LaneId,
  LaneState,
  NodeProcess,
  Session,
} from "../database.js"
import type { Postgres } from "../postgres/postgres.js"
import type { PostgresSession } from "../postgres/session.js"

/** What happens around a commit. */
interface Interference {
  /** Called once its rows are fetched and decided, before it is sent. */
  readonly before?: (session: PostgresSession) => Promise<void>
  /** Called once it is sent. */
  readonly sent?: (session: PostgresSession) => void
}

export class StagedDatabase implements Database {
  /** Of the commits, in their order. */
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

class StagedSession implements Session {
  constructor(
    private readonly session: PostgresSession,
    private readonly stage: StagedDatabase,
  ) {}

  async makeChanges(request: CommitRequest): Promise<CommitOutcome> {
    const { before, sent } = this.stage.next ?? this.stage.every ?? {}
    this.stage.next = undefined
    await before?.(this.session)
    const committed = this.session.makeChanges(request)
    sent?.(this.session)
    const outcome = await committed
    this.stage.outcomes.push(outcome)
    return outcome
  }

  fetch(request: FetchRequest): Promise<Fetched> {
    return this.session.fetch(request)
  }

  snapshot<T>(work: (fetch: (request: FetchRequest) => Promise<Fetched>) => Promise<T>): Promise<T> {
    return this.session.snapshot(work)
  }

  resolve(lane: LaneId): Promise<LaneState | undefined> {
    return this.session.resolve(lane)
  }

  storeId(): ReturnType<Session["storeId"]> {
    return this.session.storeId()
  }

  claim(storeId: StoreId): ReturnType<Session["claim"]> {
    return this.session.claim(storeId)
  }

  begin(own: NodeProcess, lanes: number, highest: number): ReturnType<Session["begin"]> {
    return this.session.begin(own, lanes, highest)
  }

  end(incarnation: number): Promise<void> {
    return this.session.end(incarnation)
  }

  incarnations(): ReturnType<Session["incarnations"]> {
    return this.session.incarnations()
  }

  foldCounters(rowsMax: number): Promise<number> {
    return this.session.foldCounters(rowsMax)
  }

  get isOpen(): boolean {
    return this.session.isOpen
  }

  close(): Promise<void> {
    return this.session.close()
  }
}
