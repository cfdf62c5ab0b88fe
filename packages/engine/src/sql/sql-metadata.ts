/**
 * SQL engine: metadata in a transactional database that other processes use at the same time.
 *
 * Each start of a process is an incarnation with a few lanes. A command goes to the lane of its first row, so that the
 * commands of one object keep their order after an unknown outcome. Queries go to readers. If the incarnation is ended
 * because the process was silent for too long, it begins another one; what was under way is refused and may be repeated.
 *
 * Promises  See `metadata/contract.ts`. An incarnation that has ended commits nothing more. No incarnation begins to work
 *           in a database that the store has left, or is leaving. A process that finds that the database has lost something that was acknowledged halts the store: then all processes begin incarnations
 *           that read and write only rows of coordination, until an operator has reconciled the store.
 * Limits    SQL_LIMITS.
 */
import { assert } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DatabaseHealth, ReportedDatabase } from "../format/nodes/database-health.js"
import { parseIncarnation, type Incarnation, type Position, type RowKey } from "@hayloft/base/ids.js"
import { Lent, type LentSoon } from "@hayloft/base/memory/lent.js"
import type { DatabaseMark } from "../format/device/database-mark.js"
import { encodeHaltNote } from "../format/nodes/halt-note.js"
import type { RowCipher } from "@hayloft/base/encryption/row-cipher.js"
import type { Soon } from "@hayloft/base/soon.js"
import {
  DecisionClock,
  query,
  whyElsewhere,
  type Command,
  type Halt,
  type Incarnations,
  type LiveIncarnations,
  type Metadata,
  type MetadataRow,
  type Query,
  type SeenIncarnations,
} from "../metadata/index.js"
import { conversionIn } from "./before-incarnation.js"
import { Closing } from "./closing.js"
import { SqlConnection } from "./connection.js"
import { ConnectionLost, OutcomeUnknown, TryAgain } from "./database.js"
import type { IncarnationList, NodeProcess, Session } from "./database.js"
import { endedFailure, haltedFailure, type EndReason } from "./end-reason.js"
import { KnownRows } from "./known-rows.js"
import { KnownIncarnations, SqlIncarnation, type SqlSeams } from "./incarnation.js"
import { SQL_LIMITS } from "./limits.js"
import { MeasuredDatabase, StatementTimes } from "./measured-database.js"
import { SealedDatabase, type RowSealing } from "./sealed-database.js"
import { liveBefore, lossIn, NOTHING_SEEN, seenAfter, withNumbers, type AttestedMark } from "./seen-core.js"
import { TimedDatabase } from "./timed-database.js"

interface SqlMetadataSettings extends SqlSeams {
  /** Identifies the node: a new incarnation ends the earlier ones of the same node. */
  readonly node: string
  /** The marks that devices of the node attest of the database. */
  readonly marks?: readonly AttestedMark[]
  /** This engine moves the store to the database, or away. */
  readonly moves?: boolean | undefined
}

const PROCESS_BYTES = 16

/** The payload with the row that it was read with. */
const payloadOfRow = query("PayloadOfRow", (view, family: Family, key: RowKey) => view.get(family, key))

export class SqlMetadata implements Metadata {
  private readonly stopping = new AbortController()
  private readonly rows: KnownRows
  private readonly sealing: RowSealing
  private readonly upkeep: SqlConnection
  private current: SqlIncarnation
  private closing: Closing
  private over: EndReason | undefined
  /** The reason why no other incarnation has begun: the database does not keep the metadata now. */
  private elsewhere: Failure | undefined
  private beginning: Promise<void> | undefined
  private seen: DatabaseMark
  /** Incarnations up to this one may have begun, also in what the database has lost. */
  private above = 0
  private learning: Promise<boolean> = Promise.resolve(true)

  private constructor(
    private readonly settings: SqlMetadataSettings & { readonly decisionClock: DecisionClock },
    private readonly process: NodeProcess,
    private readonly times: StatementTimes,
    { rows, sealing }: { readonly rows: KnownRows; readonly sealing: RowSealing },
    begun: Begun,
    begunAs: (onEnded: (reason: EndReason) => void) => SqlIncarnation,
  ) {
    this.rows = rows
    this.sealing = sealing
    this.upkeep = new SqlConnection(settings, this.stopping.signal)
    this.seen = begun.seen
    this.current = begunAs(reason => this.onEnded(reason))
    this.closing = this.newClosing()
    if (begun.known.halt !== undefined) this.noteHalt(begun.known.halt)
  }

  /** Begins a new incarnation of the node. Throws `ConnectionLost`. */
  static async open(given: SqlMetadataSettings): Promise<SqlMetadata> {
    const { node, random, clock } = given
    const times = new StatementTimes(clock)
    const sealing: RowSealing = { cipher: undefined }
    const timed = new TimedDatabase(given.database, clock)
    const database = new SealedDatabase(new MeasuredDatabase(timed, times), sealing)
    const settings = { ...given, database, decisionClock: new DecisionClock(() => clock.wallMs()) }
    const process = { node, process: Buffer.from(random.bytes(PROCESS_BYTES)).toString("hex") }
    const session = await settings.database.connect()
    try {
      const evidence = { seen: settings.marks ?? [], above: 0 }
      const begun = await begin(process, session, { mode: "takeOver", moves: given.moves }, evidence)
      const rows = new KnownRows()
      const begunAs = (onEnded: (reason: EndReason) => void) => new SqlIncarnation(settings, begun.known, rows, onEnded)
      return new SqlMetadata(settings, process, times, { rows, sealing }, begun, begunAs)
    } finally {
      await session.close()
    }
  }

  /** From now on rows are encrypted, but those of coordination. Call it before any other row is read or written. */
  sealRows(cipher: RowCipher): void {
    this.sealing.cipher = cipher
  }

  get incarnations(): Incarnations {
    return this.current.known
  }

  /** Returns the live incarnations that were read last; `keepUp` reads them regularly. */
  get live(): LiveIncarnations {
    return this.current.known.live
  }

  /** Returns what is known of incarnations now, those of threads included, for the threads of this process. */
  get seenIncarnations(): SeenIncarnations {
    return this.current.known.seen
  }

  /** Returns what this process has seen of the database, for the next start. */
  get mark(): DatabaseMark {
    return this.seen
  }

  /** The store is halted: only `duringHalt` reads and writes other rows than those of coordination. */
  get halt(): Halt | undefined {
    return this.current.known.halt
  }

  /**
   * Returns true if the incarnation commits nothing any more. It may have used the store later than the database knows.
   */
  hasEnded(incarnation: Incarnation): boolean {
    return this.current.known.hasEnded(incarnation)
  }

  /** For a reconciliation: works also while the store is halted. */
  readonly duringHalt: Pick<Metadata, "run" | "ask"> = {
    run: command => (this.refusal ? Promise.reject(this.refusal) : this.current.run(command, true)),
    ask: query => (this.refusal ? Promise.reject(this.refusal) : this.current.ask(query, true)),
  }

  /** Ends the halt of this number, unless the store was halted again since. Throws `databaseUnreachable`. */
  async resume(halt: number): Promise<boolean> {
    const isResumed = await this.inUpkeep(session => session.resume(halt))
    await this.learn()
    return isResumed || this.halt === undefined
  }

  get position(): Position {
    return this.current.position
  }

  get commandsWaiting(): number {
    return this.current.commandsWaiting
  }

  readonly commandsWaitingMax = SQL_LIMITS.lanes * SQL_LIMITS.waitingMax

  /** Returns why commands are not accepted now; undefined: they are. */
  get trouble(): string | undefined {
    if (this.over !== undefined) return this.whyOver(this.over).message
    if (this.halt !== undefined) return haltedFailure(this.halt).message
    return this.current.trouble ?? this.upkeep.trouble
  }

  get isDatabaseFull(): boolean {
    return this.times.isFull
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    return this.refusal ? Promise.reject(this.refusal) : this.current.run(command)
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    return this.refusal ? Promise.reject(this.refusal) : this.current.ask(query)
  }

  known<Result>(query: Query<Result>): Soon<Result> {
    return this.refusal ? Promise.reject(this.refusal) : this.current.askKnown(query)
  }

  confirm(): Promise<void> {
    return this.refusal ? Promise.reject(this.refusal) : this.current.confirm()
  }

  closeTo(us?: number): Promise<number> {
    const why = this.refusal ?? (this.halt && haltedFailure(this.halt))
    return why ? Promise.reject(why) : this.closing.closeTo(us)
  }

  setEarliestTime(earliestMs: number): void {
    this.settings.decisionClock.earliestMs = earliestMs
  }

  get generation(): number {
    return this.rows.changes
  }

  private get refusal(): Failure | undefined {
    if (this.stopping.signal.aborted) return fail("stopping")
    return this.over && this.whyOver(this.over)
  }

  private whyOver(reason: EndReason): Failure {
    return this.elsewhere === undefined ? endedFailure(reason) : fail("stopping", { message: this.elsewhere.message })
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
  learn(): Promise<boolean> {
    // One after the other: an earlier list must not be compared with what a later one has shown.
    this.learning = this.learning.then(() => this.learnNow())
    return this.learning
  }

  private async learnNow(): Promise<boolean> {
    const { current, seenNow } = this
    try {
      const untilMs = this.settings.clock.monotonicMs()
      const list = await this.upkeep.repeat(untilMs, session => session.incarnations())
      if (current !== this.current) return false
      if (lossIn(seenNow, list) !== undefined || this.isGivenAgain(list)) {
        current.end("rolledBack")
        return false
      }
      this.see(list)
      const { halt } = this
      current.learn(list)
      if (halt !== undefined && this.halt === undefined) this.settings.log.info("store_reconciled")
      return true
    } catch (error) {
      this.settings.log.debug("incarnations_unknown", { error: String(error) })
      return false
    }
  }

  /** Returns what was seen, with what lanes have seen since. */
  private get seenNow(): DatabaseMark {
    const { known, numbers } = this.current
    return withNumbers(this.seen, known.own, numbers)
  }

  private see(list: IncarnationList): void {
    this.above = Math.max(this.above, this.seen.highest)
    this.seen = seenAfter(this.seen, list)
  }

  /** The number of the own incarnation is that of another process: the database has lost that it was given before. */
  private isGivenAgain({ live }: IncarnationList): boolean {
    const { own } = this.current.known
    return live.some(({ incarnation, process }) => incarnation === own && process !== this.process.process)
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
   * Begins an incarnation for a thread of this process. It is live until it is ended, or the one of the process is, in which
   * everything is decided that the thread asks for. Throws `databaseUnreachable`, and as `run`.
   */
  async beginThread(): Promise<BegunThread> {
    const { own } = this.incarnations
    const thread = await this.inUpkeep(session => session.beginThread(own))
    if (thread === undefined) throw endedFailure("ended")
    return { thread: parseIncarnation(thread), process: own }
  }

  /**
   * Ends the incarnation of a thread, which asks for nothing any more: once this resolves, nothing takes effect any more that
   * it has asked for. Throws as `beginThread`: then it has to be tried again.
   */
  async endThread(thread: Incarnation): Promise<void> {
    await this.current.settled()
    await this.inUpkeep(session => session.end(thread))
    await this.learn()
  }

  /**
   * Adds up counters of incarnations that have ended, at most so many rows, and returns how many: sums do not change.
   * Throws `databaseUnreachable`.
   */
  foldCounters(rowsMax: number): Promise<number> {
    return this.inUpkeep(session => session.foldCounters(rowsMax))
  }

  private newClosing(): Closing {
    const close = (us: number) => this.inUpkeep(session => session.closeTo(us), SQL_LIMITS.commandMsMax)
    return new Closing(this.settings.clock, this.stopping.signal, close)
  }

  /** Runs a statement that may be repeated for so long. */
  private async inUpkeep<T>(
    work: (session: Session) => Promise<T>,
    forMs: number = SQL_LIMITS.upkeepMsMax,
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
      // The wall clock is read first, so that a pause between the two readings counts as uncertainty.
      const wallMs = clock.wallMs()
      const uncertainMs = (clock.monotonicMs() - startMs) / 2
      return { aheadMs: wallMs - uncertainMs - databaseMs, uncertainMs }
    }, 0)
  }

  /** Returns what the database says about itself. Throws `databaseUnreachable`. */
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
    await this.learning
    await this.current.stop()
    if (this.over === undefined) await this.endOwn()
    await this.upkeep.close()
  }

  private async endOwn(): Promise<void> {
    const { own } = this.current.known
    try {
      await this.upkeep.repeat(this.settings.clock.monotonicMs(), async session => {
        await session.end(own)
        const list = await session.incarnations()
        if (lossIn(this.seen, list) === undefined) this.see(list)
      })
    } catch (error) {
      this.settings.log.debug("metadata_incarnation_not_ended", { incarnation: own, error: String(error) })
    }
  }

  private noteHalt({ reason }: Halt): void {
    this.settings.log.error("store_halted", { reason, remedy: "hayloft cluster reconcile" })
  }

  private onEnded(reason: EndReason): void {
    this.over = reason
    this.settings.log.error("metadata_incarnation_over", { incarnation: this.current.known.own, reason })
    this.beginAgain()
  }

  /** Unless it is under way, or the reason of the end excludes it. */
  private beginAgain(): void {
    if (this.over === undefined || this.over === "superseded" || this.stopping.signal.aborted) return
    this.beginning ??= this.tryToBegin().finally(() => (this.beginning = undefined))
  }

  /** Never rejects. */
  private async tryToBegin(): Promise<void> {
    const { settings, process, upkeep } = this
    const ended = this.current
    const lost = this.over === "rolledBack" ? ended.known.own : undefined
    const evidence = { seen: [this.seenNow], above: this.above, lost }
    try {
      const start = { mode: "ifNone", moves: settings.moves } as const
      const { known, seen } = await upkeep.repeat(Infinity, session => begin(process, session, start, evidence))
      this.rows.forget()
      this.elsewhere = undefined
      this.current = new SqlIncarnation(settings, known, this.rows, reason => this.onEnded(reason))
      // The closed moments may have been lost.
      this.closing = this.newClosing()
      this.seen = seen
      this.over = undefined
      settings.log.info("metadata_incarnation_begun", { incarnation: known.own })
      if (known.halt !== undefined) this.noteHalt(known.halt)
    } catch (error) {
      if (error instanceof Superseded) this.over = "superseded"
      const { elsewhere } = this
      this.elsewhere = isFailure(error, "metadataElsewhere") ? error : undefined
      // It is tried again and again: the store may come back.
      const isKnown = elsewhere !== undefined && elsewhere.message === this.elsewhere?.message
      if (!isKnown) settings.log.error("metadata_incarnation_not_begun", { error: String(error) })
    }
    if (ended !== this.current) await ended.stop()
  }
}

interface BegunThread {
  readonly thread: Incarnation
  /** The incarnation of the process. */
  readonly process: Incarnation
}

interface Evidence {
  readonly seen: readonly AttestedMark[]
  /** Incarnations up to this one may have begun, also in what the database has lost. */
  readonly above: number
  /** An answer has shown that the database has lost commits of this incarnation of the process. */
  readonly lost?: Incarnation | undefined
}

interface Begun {
  readonly known: KnownIncarnations
  readonly seen: DatabaseMark
}

/**
 * Returns what the database has lost of that. It was reconciled since if more reconciliations were made. One answer may
 * come from a server that is no longer the database: the list decides, if the incarnation is in it.
 */
function lossBy({ seen, lost }: Evidence, list: IncarnationList, own: NodeProcess): string | undefined {
  const loss = seen.map(mark => lossIn(mark, list)).find(found => found !== undefined)
  if (loss !== undefined || lost === undefined) return loss
  const isSince = seen.every(({ reconciliations }) => reconciliations < list.reconciliations)
  const isListed = list.live.some(({ incarnation, process }) => incarnation === lost && process === own.process)
  return isSince || isListed ? undefined : "it has lost commits of a running node"
}

/** Another process runs as the same node. */
class Superseded extends Error {
  override readonly name = "Superseded"
}

interface BeginPlan {
  /** `ifNone`: only if no other process of the node has a live one. */
  readonly mode: "takeOver" | "ifNone"
  /** Also in a database that does not keep the metadata. */
  readonly moves: boolean | undefined
}

/**
 * Begins an incarnation, above all that was seen. If the database has lost something of that, it halts the store first.
 * `ifNone`: throws `Superseded` if another process of the node has a live one. A live one of this process is from a try
 * whose answer was lost.
 *
 * A process that leaves the database says so in it, and then looks for live incarnations; this one begins, and then looks
 * whether a process leaves. So at least one of the two notices the other.
 */
async function begin(
  own: NodeProcess,
  session: Session,
  { mode, moves }: BeginPlan,
  evidence: Evidence,
): Promise<Begun> {
  const whyNot = async () => (moves === true ? undefined : whyElsewhere(await conversionIn(session)))
  // Also before: an incarnation that has begun is in the way of a process that leaves.
  const whyNotBegin = await whyNot()
  if (whyNotBegin !== undefined) throw whyNotBegin
  const above = Math.max(evidence.above, ...evidence.seen.map(({ highest }) => highest))
  for (;;) {
    const list = await session.incarnations()
    const loss = list.halt === undefined ? lossBy(evidence, list, own) : undefined
    if (loss !== undefined) {
      const live = liveBefore(evidence.seen, list).map(parseIncarnation)
      const note = encodeHaltNote({ reason: loss, highest: parseIncarnation(list.highest), live })
      await session.halt(note, Math.max(above, list.highest) + SQL_LIMITS.incarnationsUnseenMax, list)
      continue
    }
    const hasOther = list.live.some(({ node, process }) => node === own.node && process !== own.process)
    if (mode === "ifNone" && hasOther) throw new Superseded("the node has a live process")
    const incarnation = await session.begin(own, SQL_LIMITS.lanes, list.highest, above)
    if (incarnation === undefined) continue
    const whyNotWork = await whyNot()
    if (whyNotWork !== undefined) {
      await session.end(incarnation)
      throw whyNotWork
    }
    const known = new KnownIncarnations(parseIncarnation(incarnation))
    const begun = await session.incarnations()
    known.learn(begun)
    return { known, seen: seenAfter(NOTHING_SEEN, begun) }
  }
}
