/**
 * A database for tests that behaves like PostgreSQL at READ COMMITTED, on simulated time and from one seed: a snapshot
 * for each statement, locks that are waited for, rows that are read again after a wait, deadlocks; statements that
 * outlive their connection and finish at any later time; crashes, and restores of an older copy.
 *
 * Promises  The same seed and the same calls lead to the same run: see `trace`.
 * Limits    `CONNECTIONS_MAX` connections, those of statements without a client included.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { UNKNOWN_HEALTH, type DatabaseHealth } from "../../format/nodes/database-health.js"
import { ConnectionLost, OutcomeUnknown, TryAgain, type Database, type LaneId, type StoredKey } from "../database.js"
import { Dice, NO_FAULTS, type FaultPlan } from "./faults.js"
import { SimulatedSession, type Server, type SimulatedStatement } from "./simulated-session.js"
import { laneKey, rowName, Tables, type Running, type TablesCopy } from "./tables.js"
import type { RowLockMode, SimulatedTable } from "./table.js"
import { Trace } from "./trace.js"
import { BackendEnded, SimulatedTransactions, type Transaction } from "./transactions.js"

const CONNECTIONS_MAX = 100
/** Parts after which a statement may be aborted. */
const ABORTED_AFTER_MAX = 6

interface SimulatedDatabaseSettings {
  readonly clock: Clock
  readonly random: Random
  readonly faults?: FaultPlan
}

/** A transaction of an operator, which lasts until it is ended. */
interface HeldTransaction {
  lockRow(key: StoredKey, mode: RowLockMode): Promise<void>
  lockLane(lane: LaneId): Promise<void>
  lockStore(): Promise<void>
  addRow(key: StoredKey, version: bigint, value: Uint8Array): Promise<void>
  replaceRow(key: StoredKey, version: bigint, value: Uint8Array): Promise<void>
  deleteRow(key: StoredKey): Promise<void>
  end(how: "commit" | "rollback"): Promise<void>
}

export class SimulatedDatabase implements Database {
  readonly trace = new Trace()
  /** It may change at any time. */
  faults: FaultPlan
  /** Connections are refused. */
  isAway = false
  /** The database's clock is ahead of that of the processes, or behind it. */
  aheadMs = 0
  /** Connections that ended while a statement was under way, statements that ended after their connection, and others. */
  readonly counts = { lost: 0, unanswered: 0, conflicts: 0, aborted: 0 }
  private readonly transactions: SimulatedTransactions
  private tables: Tables
  private readonly sessions = new Set<SimulatedSession>()
  private readonly dice: Dice
  /** Connections of statements. */
  private backends = 0
  private statements = 0
  /** Statements that were sent before a crash never arrive. */
  private crashes = 0

  constructor(private readonly settings: SimulatedDatabaseSettings) {
    const { clock, random } = settings
    this.faults = settings.faults ?? NO_FAULTS
    this.dice = new Dice(random.fork("database"))
    const wakeUp = () => this.pass(this.faults.partMs)
    this.transactions = new SimulatedTransactions({ clock, random: random.fork("deadlocks"), wakeUp })
    this.tables = new Tables(this.transactions)
  }

  private get clockMs(): number {
    return this.settings.clock.wallMs() + this.aheadMs
  }

  get deadlocks(): number {
    return this.transactions.deadlocks
  }

  get isDeadlocked(): boolean {
    return this.transactions.isDeadlocked
  }

  /** Statements that wait for a lock. */
  get waiting(): number {
    return this.transactions.waiting
  }

  /** The tables are there from the beginning. */
  async migrate(): Promise<void> {
    await this.pass(this.faults.requestMs)
  }

  async connect(): Promise<SimulatedSession> {
    await this.pass(this.faults.requestMs)
    if (this.isAway || this.dice.happens(this.faults.refused)) throw new ConnectionLost("the connection is refused")
    if (this.sessions.size + this.backends >= CONNECTIONS_MAX) throw new ConnectionLost("too many connections")
    const server: Server = {
      faults: () => this.faults,
      dice: this.dice,
      pass: maxMs => this.pass(maxMs),
      run: (statement, arrivesWithinMs) => this.run(statement, arrivesWithinMs),
      end: ({ transaction }) => {
        if (transaction?.state === "running") this.transactions.end(transaction, "aborted")
      },
      clockMs: () => this.clockMs,
      health: () => this.health(),
      onLost: () => void (this.counts.lost += 1),
      onUnanswered: () => void (this.counts.unanswered += 1),
      onClosed: () => void this.sessions.delete(session),
    }
    const session = new SimulatedSession(server)
    this.sessions.add(session)
    return session
  }

  /** It knows its connections, and nothing else of what a server says about itself. */
  private health(): DatabaseHealth {
    // `connect` counts the same connections.
    const used = this.sessions.size + this.backends
    return {
      ...UNKNOWN_HEALTH,
      connectionsMax: CONNECTIONS_MAX,
      connectionsLeft: Math.max(0, CONNECTIONS_MAX - used),
    }
  }

  /** Ends all connections. Statements under way go on. */
  cut(): void {
    for (const session of [...this.sessions]) session.cut()
  }

  /** Ends the server: nothing that is not committed takes effect any more. It accepts connections again at once. */
  crash(): void {
    this.crashes += 1
    for (const transaction of [...this.transactions.running]) {
      // The record of the commit may have reached the disk although nobody has seen the commit.
      const isCommitted = transaction.isCommitting && this.dice.upTo(1) === 1
      this.transactions.end(transaction, isCommitted ? "committed" : "aborted")
    }
    this.trace.add(`${this.settings.clock.monotonicMs()} crash`)
    this.cut()
  }

  /** Everything that is committed. */
  copy(): TablesCopy {
    return this.tables.copy()
  }

  /** The server crashes and returns with the rows of an earlier moment. */
  restore(copy: TablesCopy): void {
    this.crash()
    this.tables = new Tables(this.transactions, copy)
  }

  private async pass(maxMs: number): Promise<void> {
    const { stalls, stallMs } = this.faults
    const durationMs = this.dice.happens(stalls) ? this.dice.upTo(stallMs) : this.dice.upTo(maxMs)
    if (durationMs > 0) await new Promise<void>(resolve => this.settings.clock.alarm(durationMs, resolve))
  }

  /** Runs a statement as a transaction. Throws `TryAgain`, `BackendEnded`, or `OutcomeUnknown` once it is committed. */
  private async run<T>(statement: SimulatedStatement<T>, arrivesWithinMs: number): Promise<T> {
    this.statements += 1
    const { statements: number, crashes } = this
    const note = (outcome: string) =>
      this.trace.add(`${this.settings.clock.monotonicMs()} #${number} ${statement.name}: ${outcome}`)
    this.backends += 1
    try {
      await this.pass(arrivesWithinMs)
      if (this.crashes > crashes) throw new BackendEnded("the server has crashed")
      const result = await this.attempt(statement)
      note(statement.describe(result))
      if (!statement.isRead && this.dice.happens(this.faults.warned))
        throw new OutcomeUnknown("the database committed with a warning")
      return result
    } catch (error) {
      note(String(error))
      throw error
    } finally {
      this.backends -= 1
    }
  }

  private async attempt<T>(statement: SimulatedStatement<T>): Promise<T> {
    const { transactions } = this
    const { within } = statement
    if (within) {
      within.transaction ??= transactions.begin()
      within.transaction.check()
      return statement.run(this.running(within.transaction))
    }
    const transaction = transactions.begin()
    try {
      const result = await statement.run(this.running(transaction))
      transaction.check()
      if (result === "conflict") {
        this.counts.conflicts += 1
        transactions.end(transaction, "aborted")
        return result
      }
      transaction.isCommitting = true
      await this.pass(this.faults.commitMs)
      // A crash may have committed it meanwhile.
      if (transaction.committedAs === undefined) {
        transaction.check()
        transactions.end(transaction, "committed")
      }
      return result
    } catch (error) {
      if (transaction.state === "running") transactions.end(transaction, "aborted")
      throw error
    }
  }

  private running(transaction: Transaction): Running {
    const { tables, dice, faults } = this
    let partsLeft = dice.happens(faults.aborted) ? dice.upTo(ABORTED_AFTER_MAX) : Infinity
    return {
      tables,
      transaction,
      clockUs: Math.floor(this.clockMs * 1000),
      unordered: rows => dice.shuffled(rows),
      between: async () => {
        await this.pass(this.faults.partMs)
        transaction.check()
        partsLeft -= 1
        if (partsLeft > 0) return
        this.counts.aborted += 1
        throw new TryAgain("the server has aborted the transaction")
      },
    }
  }

  /** Begins a transaction that holds its locks until it is ended. */
  hold(): HeldTransaction {
    const { transactions, tables } = this
    const transaction = transactions.begin()
    const lock = async <Row>(table: SimulatedTable<Row>, key: string, mode: RowLockMode = "exclusive") => {
      const found = table.find(transaction, key)
      return found && table.lock(transaction, found, mode, () => true)
    }
    const { rows } = tables
    return {
      lockRow: async (key, mode) => void (await lock(rows, rowName(key), mode)),
      lockLane: async lane => void (await lock(tables.lanes, laneKey(lane))),
      lockStore: async () => void (await lock(tables.store, "")),
      async addRow(key, version, value) {
        await rows.insert(transaction, { ...key, version, value, head: undefined, payload: undefined })
      },
      async replaceRow(key, version, value) {
        const found = await lock(rows, rowName(key))
        if (found) rows.replace(transaction, found, { ...found.row, version, value })
      },
      async deleteRow(key) {
        const found = await lock(rows, rowName(key))
        if (found) rows.remove(transaction, found)
      },
      end: async how => transactions.end(transaction, how === "commit" ? "committed" : "aborted"),
    }
  }
}
