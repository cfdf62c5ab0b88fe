/**
 * SQL engine: metadata in a transactional database that other processes use at the same time.
 *
 * Each start of a process is an incarnation with a few lanes. A command goes to the lane of its first row, so that the
 * commands of one object keep their order after an unknown outcome. Queries go to readers. If the incarnation is ended
 * because the process was silent for too long, it begins another one; what was under way is refused and may be repeated.
 *
 * Promises  See `metadata/contract.ts`. An incarnation that has ended commits nothing more. Once the database has lost
 *           something that was acknowledged, nothing is read or written until an operator decides.
 * Limits    SQL_LIMITS.
 */
import { assert } from "../base/assert.js"
import { equalBytes } from "../base/bytes.js"
import type { Family } from "../base/families.js"
import { fail, type Failure } from "../base/failures.js"
import type { DatabaseHealth, ReportedDatabase } from "../format/database-health.js"
import { parseIncarnation, type Incarnation, type Position, type RowKey } from "../base/ids.js"
import { Lent, type LentSoon } from "../base/lent.js"
import type { Soon } from "../base/soon.js"
import {
  query,
  type Command,
  type Incarnations,
  type LiveIncarnations,
  type Metadata,
  type MetadataRow,
  type Query,
} from "../metadata/index.js"
import { Connection } from "./connection.js"
import { ConnectionLost, OutcomeUnknown, TryAgain, type NodeProcess, type Session } from "./database.js"
import { endedFailure, type EndReason } from "./end-reason.js"
import { KnownIncarnations, SqlIncarnation, type SqlSeams } from "./incarnation.js"
import { SQL_LIMITS } from "./limits.js"
import { MeasuredDatabase, StatementTimes } from "./measured-database.js"

interface SqlMetadataSettings extends SqlSeams {
  /** Identifies the node: a new incarnation ends the earlier ones of the same node. */
  readonly node: string
}

const PROCESS_BYTES = 16

/** The payload with the row that it was read with. */
const payloadOfRow = query("PayloadOfRow", (view, family: Family, key: RowKey) => view.get(family, key))

export class SqlMetadata implements Metadata {
  private readonly stopping = new AbortController()
  private readonly upkeep: Connection
  private current: SqlIncarnation
  private over: EndReason | undefined
  private beginning: Promise<void> | undefined

  private constructor(
    private readonly settings: SqlMetadataSettings,
    private readonly process: NodeProcess,
    private readonly times: StatementTimes,
    begun: (onEnded: (reason: EndReason) => void) => SqlIncarnation,
  ) {
    this.upkeep = new Connection(settings, this.stopping.signal)
    this.current = begun(reason => this.onEnded(reason))
  }

  /** Begins a new incarnation of the node. Throws `ConnectionLost`. */
  static async open(given: SqlMetadataSettings): Promise<SqlMetadata> {
    const { node, random, clock } = given
    const times = new StatementTimes(clock)
    const settings = { ...given, database: new MeasuredDatabase(given.database, times) }
    const process = { node, process: Buffer.from(random.bytes(PROCESS_BYTES)).toString("hex") }
    const session = await settings.database.connect()
    try {
      const known = await begin(process, session, "takeOver")
      return new SqlMetadata(settings, process, times, onEnded => new SqlIncarnation(settings, known, onEnded))
    } finally {
      await session.close()
    }
  }

  get incarnations(): Incarnations {
    return this.current.known
  }

  /** As last read, by `keepUp`. */
  get live(): LiveIncarnations {
    return this.current.known.live
  }

  get position(): Position {
    return this.current.position
  }

  get commandsWaiting(): number {
    return this.current.commandsWaiting
  }

  readonly commandsWaitingMax = SQL_LIMITS.lanes * SQL_LIMITS.waitingMax

  /** Why commands are not accepted now; undefined: they are. */
  get trouble(): string | undefined {
    if (this.over !== undefined) return endedFailure(this.over).message
    return this.current.trouble ?? this.upkeep.trouble
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    return this.refusal ? Promise.reject(this.refusal) : this.current.run(command)
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    return this.refusal ? Promise.reject(this.refusal) : this.current.ask(query)
  }

  private get refusal(): Failure | undefined {
    if (this.stopping.signal.aborted) return fail("stopping")
    return this.over && endedFailure(this.over)
  }

  /** The database is the only replica. */
  async askEveryReplica<Result>(_verifiedSinceMs: number, query: Query<Result>): Promise<readonly Result[]> {
    return [await this.ask(query)]
  }

  payload(family: Family, key: RowKey, row: MetadataRow): LentSoon {
    if (row.payload === undefined) return Promise.resolve(undefined)
    if (row.payload.bytes) return new Lent(row.payload.bytes)
    const now = Promise.resolve(this.ask(payloadOfRow(family, key)))
    return now.then(found => (found && equalBytes(found.value, row.value) ? found.payload?.bytes : undefined))
  }

  /** Keeps up with the incarnations of other nodes, and notices that the own one has ended, also while nothing is asked. */
  async keepUp(signal: AbortSignal): Promise<void> {
    const { clock } = this.settings
    while (!signal.aborted) {
      if (this.over === undefined) await this.learn()
      else this.beginAgain()
      await clock.sleep(SQL_LIMITS.incarnationsEveryMs, signal)
    }
  }

  /** Reads which incarnations are live; false: the database did not answer, and what is known stays. */
  async learn(): Promise<boolean> {
    const { current } = this
    try {
      const untilMs = this.settings.clock.monotonicMs()
      current.learn(await this.upkeep.repeat(untilMs, session => session.incarnations()))
      return true
    } catch (error) {
      this.settings.log.debug("incarnations_unknown", { error: String(error) })
      return false
    }
  }

  /**
   * Ends an incarnation of another process: once this resolves, nothing of it takes effect any more. Throws
   * `databaseUnreachable`: then it may have ended.
   */
  async endIncarnation(incarnation: Incarnation): Promise<void> {
    assert(incarnation !== this.incarnations.own, "a process does not end its own incarnation")
    await this.inUpkeep(session => session.end(incarnation))
    await this.learn()
  }

  /**
   * Adds up counters of incarnations that have ended, at most so many rows, and returns how many: sums do not change.
   * Throws `databaseUnreachable`.
   */
  foldCounters(rowsMax: number): Promise<number> {
    return this.inUpkeep(session => session.foldCounters(rowsMax))
  }

  /** Runs a statement that may be repeated for so long. */
  private async inUpkeep<T>(
    work: (session: Session) => Promise<T>,
    forMs: number = SQL_LIMITS.commandMsMax,
  ): Promise<T> {
    if (this.refusal) throw this.refusal
    const untilMs = this.settings.clock.monotonicMs() + forMs
    try {
      return await this.upkeep.repeat(untilMs, work)
    } catch (error) {
      const mayPass = error instanceof ConnectionLost || error instanceof TryAgain || error instanceof OutcomeUnknown
      throw mayPass ? fail("databaseUnreachable") : error
    }
  }

  /** How fast the database has answered commits and reads of this process lately. */
  get responseTimes(): Pick<ReportedDatabase, "commits" | "reads"> {
    return this.times.recent
  }

  /** Compares the clocks once. Throws `databaseUnreachable`. */
  compareClocks(): Promise<NonNullable<ReportedDatabase["clock"]>> {
    const { clock } = this.settings
    return this.inUpkeep(async session => {
      const startMs = clock.monotonicMs()
      const databaseMs = await session.clockMs()
      const uncertainMs = (clock.monotonicMs() - startMs) / 2
      return { aheadMs: clock.wallMs() - uncertainMs - databaseMs, uncertainMs }
    }, 0)
  }

  /** What the database says about itself. Throws `databaseUnreachable`. */
  databaseHealth(): Promise<DatabaseHealth> {
    return this.inUpkeep(session => session.health(), 0)
  }

  /**
   * Answers what is under way, ends the incarnation, so that others need not wait until its silence ends it, and closes
   * all connections.
   */
  async stop(): Promise<void> {
    this.stopping.abort()
    await this.beginning
    await this.current.stop()
    if (this.over === undefined) await this.endOwn()
    await this.upkeep.close()
  }

  private async endOwn(): Promise<void> {
    const { own } = this.current.known
    try {
      await this.upkeep.repeat(this.settings.clock.monotonicMs(), session => session.end(own))
    } catch (error) {
      this.settings.log.debug("metadata_incarnation_not_ended", { incarnation: own, error: String(error) })
    }
  }

  private onEnded(reason: EndReason): void {
    this.over = reason
    this.settings.log.error("metadata_incarnation_over", { incarnation: this.current.known.own, reason })
    this.beginAgain()
  }

  /** Unless it is under way, or the reason of the end excludes it. */
  private beginAgain(): void {
    if (this.over !== "ended" || this.stopping.signal.aborted) return
    this.beginning ??= this.tryToBegin().finally(() => (this.beginning = undefined))
  }

  /** Never rejects. */
  private async tryToBegin(): Promise<void> {
    const { settings, process, upkeep } = this
    const ended = this.current
    try {
      const known = await upkeep.repeat(Infinity, session => begin(process, session, "ifNone"))
      this.current = new SqlIncarnation(settings, known, reason => this.onEnded(reason))
      this.over = undefined
      settings.log.info("metadata_incarnation_begun", { incarnation: known.own })
    } catch (error) {
      if (error instanceof Superseded) this.over = "superseded"
      settings.log.error("metadata_incarnation_not_begun", { error: String(error) })
    }
    if (ended !== this.current) await ended.stop()
  }
}

/** Another process runs as the same node. */
class Superseded extends Error {
  override readonly name = "Superseded"
}

/**
 * Begins an incarnation. `ifNone`: throws `Superseded` if another process of the node has a live one. A live one of this
 * process is from a try whose answer was lost.
 */
async function begin(own: NodeProcess, session: Session, mode: "takeOver" | "ifNone"): Promise<KnownIncarnations> {
  for (;;) {
    const { live, highest } = await session.incarnations()
    const hasOther = live.some(({ node, process }) => node === own.node && process !== own.process)
    if (mode === "ifNone" && hasOther) throw new Superseded("the node has a live process")
    const incarnation = await session.begin(own, SQL_LIMITS.lanes, highest)
    if (incarnation === undefined) continue
    const known = new KnownIncarnations(parseIncarnation(incarnation))
    known.learn(await session.incarnations())
    return known
  }
}
