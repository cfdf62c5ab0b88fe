/**
 * A database that has a limited time for each answer. One that does not answer at all, since packets are dropped or the
 * server is frozen, counts as a lost connection.
 *
 * Promises  No connection and no statement waits without a limit. Once a statement has been given up, its session is over, and
 *           the statement may still take effect later.
 * Limits    SQL_LIMITS: `connectMsMax`, `statementMsMax`, and `longStatementMsMax` for statements that wait for others.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { ConnectionLost, type Database, type Session } from "./database.js"
import { inTime } from "./in-time.js"
import { SQL_LIMITS } from "./limits.js"
import { SessionAround } from "./session-around.js"

const lost = (limitMs: number): ConnectionLost => new ConnectionLost(`no answer within ${limitMs / 1_000} s`)

export class TimedDatabase implements Database {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  migrate(): Promise<void> {
    return this.database.migrate()
  }

  async connect(): Promise<Session> {
    const { connectMsMax } = SQL_LIMITS
    const connecting = this.database.connect()
    const session = await inTime(this.clock, connectMsMax, connecting, () => {
      connecting.then(late => late.close()).catch(() => undefined)
      return lost(connectMsMax)
    })
    return new TimedSession(session, this.clock)
  }
}

class Moment {
  reach: () => void = () => undefined
  readonly reached = new Promise<void>(resolve => (this.reach = resolve))
}

class TimedSession extends SessionAround {
  private isLate = false

  constructor(
    inner: Session,
    private readonly clock: Clock,
  ) {
    super(inner)
  }

  override get isOpen(): boolean {
    return !this.isLate && this.inner.isOpen
  }

  private timed<T>(statement: Promise<T>, limitMs: number = SQL_LIMITS.statementMsMax): Promise<T> {
    return inTime(this.clock, limitMs, statement, () => {
      this.isLate = true
      // Nothing more is sent over it. How it ends does not matter.
      this.inner.close().catch(() => undefined)
      return lost(limitMs)
    })
  }

  /** For statements that wait for those of others, and those that no request waits for. */
  private timedLong<T>(statement: Promise<T>): Promise<T> {
    return this.timed(statement, SQL_LIMITS.longStatementMsMax)
  }

  override storeId(): ReturnType<Session["storeId"]> {
    return this.timed(super.storeId())
  }

  override claim(...request: Parameters<Session["claim"]>): ReturnType<Session["claim"]> {
    return this.timedLong(super.claim(...request))
  }

  override fetch(...request: Parameters<Session["fetch"]>): ReturnType<Session["fetch"]> {
    return this.timed(super.fetch(...request))
  }

  /** Each of its statements has its time, also those that begin and end it. */
  override async snapshot<T>(work: (fetch: Session["fetch"]) => Promise<T>): Promise<T> {
    const [begun, ended] = [new Moment(), new Moment()]
    const done = this.inner.snapshot(async fetch => {
      begun.reach()
      try {
        return await work(request => this.timed(fetch(request)))
      } finally {
        ended.reach()
      }
    })
    await this.timed(Promise.race([begun.reached, done]))
    await Promise.race([ended.reached, done])
    return this.timed(done)
  }

  override makeChanges(...request: Parameters<Session["makeChanges"]>): ReturnType<Session["makeChanges"]> {
    return this.timed(super.makeChanges(...request))
  }

  override resolve(...request: Parameters<Session["resolve"]>): ReturnType<Session["resolve"]> {
    return this.timedLong(super.resolve(...request))
  }

  override begin(...request: Parameters<Session["begin"]>): ReturnType<Session["begin"]> {
    return this.timedLong(super.begin(...request))
  }

  override beginThread(...request: Parameters<Session["beginThread"]>): ReturnType<Session["beginThread"]> {
    return this.timedLong(super.beginThread(...request))
  }

  override halt(...request: Parameters<Session["halt"]>): ReturnType<Session["halt"]> {
    return this.timedLong(super.halt(...request))
  }

  override resume(...request: Parameters<Session["resume"]>): ReturnType<Session["resume"]> {
    return this.timedLong(super.resume(...request))
  }

  override skipIncarnations(
    ...request: Parameters<Session["skipIncarnations"]>
  ): ReturnType<Session["skipIncarnations"]> {
    return this.timedLong(super.skipIncarnations(...request))
  }

  override closeTo(...request: Parameters<Session["closeTo"]>): ReturnType<Session["closeTo"]> {
    return this.timed(super.closeTo(...request))
  }

  override skipTimestamps(...request: Parameters<Session["skipTimestamps"]>): ReturnType<Session["skipTimestamps"]> {
    return this.timedLong(super.skipTimestamps(...request))
  }

  override end(...request: Parameters<Session["end"]>): ReturnType<Session["end"]> {
    return this.timedLong(super.end(...request))
  }

  override incarnations(): ReturnType<Session["incarnations"]> {
    return this.timed(super.incarnations())
  }

  override foldCounters(...request: Parameters<Session["foldCounters"]>): ReturnType<Session["foldCounters"]> {
    return this.timedLong(super.foldCounters(...request))
  }

  override clockMs(): ReturnType<Session["clockMs"]> {
    return this.timed(super.clockMs())
  }

  override health(): ReturnType<Session["health"]> {
    return this.timedLong(super.health())
  }

  override async close(): Promise<void> {
    if (!this.isLate) await this.timed(super.close()).catch(() => undefined)
  }
}
