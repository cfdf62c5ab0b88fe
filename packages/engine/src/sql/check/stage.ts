/**
 * Stage: two engines on a scratch schema, as two nodes would open them, and what a run needs beside them.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { Postgres } from "../postgres/postgres.js"
import type { SchemaName } from "../postgres/schema.js"
import type { PostgresSession } from "../postgres/session.js"
import { SqlMetadata } from "../sql-metadata.js"
import { StagedDatabase } from "./staged-database.js"

const STOP_MS_MAX = 5_000

/** The environment that all runs of a check share. */
export interface RunHost {
  readonly database: Postgres
  readonly schema: SchemaName
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** Long enough that a statement has arrived at the server. */
  readonly arrivalMs: number
}

const QUIET: Log = {
  writes: () => false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export class CheckStage {
  private readonly opened = new Set<SqlMetadata>()
  private readonly sessions: PostgresSession[] = []

  private constructor(
    readonly host: RunHost,
    /** The database of engine a. */
    readonly staged: StagedDatabase,
    readonly a: SqlMetadata,
    readonly b: SqlMetadata,
  ) {
    this.opened.add(a).add(b)
  }

  static async open(host: RunHost): Promise<CheckStage> {
    const staged = new StagedDatabase(host.database)
    const a = await openEngine(host, staged, "a")
    return new CheckStage(host, staged, a, await openEngine(host, new StagedDatabase(host.database), "b"))
  }

  /** Another engine, of the node of this name. */
  async engine(staged: StagedDatabase, node: string): Promise<SqlMetadata> {
    const engine = await openEngine(this.host, staged, node)
    this.opened.add(engine)
    return engine
  }

  async stop(engine: SqlMetadata): Promise<void> {
    this.opened.delete(engine)
    await engine.stop()
  }

  /** A session beside the engines. */
  async session(): Promise<PostgresSession> {
    const session = await this.host.database.connect()
    this.sessions.push(session)
    return session
  }

  turn(): Promise<void> {
    return new Promise(resolve => this.host.clock.atEndOfTurn(resolve))
  }

  sleep(durationMs: number): Promise<void> {
    return this.host.clock.sleep(durationMs, this.host.signal)
  }

  /** Stops the engines. A database that does not respond is not waited for. */
  async close(): Promise<void> {
    for (const session of this.sessions) session.cut()
    for (const engine of this.opened) await within(this.host.clock, STOP_MS_MAX, engine.stop())
  }
}

const openEngine = ({ clock, random }: RunHost, database: StagedDatabase, node: string): Promise<SqlMetadata> =>
  SqlMetadata.open({ clock, random, log: QUIET, database, node })
