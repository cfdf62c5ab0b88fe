/**
 * A table of the simulated database: versions of rows, and locks on them, as in PostgreSQL at READ COMMITTED.
 *
 * Promises  A scan shows rows as of a transaction's snapshot. A row that is to be locked is waited for, read again in
 *           its newest version and matched again; a row that was deleted meanwhile is not found, even if there is
 *           another with its key. Only an insertion sees rows that are newer than the snapshot.
 * Limits    Versions that no snapshot shows are removed as soon as fewer than `UNSEEN_MAX` keys have such.
 */
import sortedBtree from "sorted-btree"
import { assert } from "@hayloft/base/assert.js"
import type { Transaction, SimulatedTransactions } from "./transactions.js"

const BTree = sortedBtree.default
const UNSEEN_MAX = 200

export type RowLockMode = "share" | "exclusive"

interface RowVersion<Row> {
  readonly row: Row
  /** It made this version. */
  readonly by: Transaction
  /** It replaced or deleted this version, unless it was aborted. */
  replacedBy: Transaction | undefined
  /** It is undefined in a replaced version if the row was deleted. */
  next: RowVersion<Row> | undefined
  readonly locks: Map<Transaction, RowLockMode>
}

interface ScannedRange {
  readonly start: string
  readonly end: string
  readonly reverse?: boolean
}

export class SimulatedTable<Row> {
  /** All versions of rows with a key, oldest first. */
  private readonly versions = new BTree<string, RowVersion<Row>[]>()
  /** Keys that may have versions which no snapshot shows. */
  private readonly unseen = new Set<string>()

  constructor(
    private readonly transactions: SimulatedTransactions,
    readonly keyOf: (row: Row) => string,
  ) {}

  /** The version that the transaction's snapshot shows. */
  find(transaction: Transaction, key: string): RowVersion<Row> | undefined {
    return this.versions.get(key)?.find(version => isShown(transaction, version))
  }

  /** Versions that the transaction's snapshot shows, in the order of their keys. */
  *scan(transaction: Transaction, range?: ScannedRange): Generator<RowVersion<Row>> {
    const lists = range ? this.versions.getRange(range.start, range.end) : this.versions.toArray()
    if (range?.reverse === true) lists.reverse()
    for (const [, versions] of lists) {
      const shown = versions.find(version => isShown(transaction, version))
      if (shown) yield shown
    }
  }

  /** Rows that are committed, in the order of their keys. */
  committed(): readonly Row[] {
    return this.versions.toArray().flatMap(([, versions]) => versions.filter(isCommitted).map(({ row }) => row))
  }

  /**
   * Locks the newest version of a row that the snapshot shows, and returns it. Undefined: the row was deleted, or has
   * been replaced and does not match any more. In the latter case the newest version is locked nevertheless.
   */
  async lock(
    transaction: Transaction,
    found: RowVersion<Row>,
    mode: RowLockMode,
    matches: (row: Row) => boolean,
  ): Promise<RowVersion<Row> | undefined> {
    let version = found
    for (;;) {
      const { replacedBy } = version
      if (replacedBy?.state === "committed") {
        if (version.next === undefined) return undefined
        version = version.next
        continue
      }
      const other = writerOf(version, transaction) ?? holderOf(version, transaction, mode)
      if (other === undefined) break
      await this.transactions.wait(transaction, other)
    }
    this.addLock(transaction, version, mode)
    return version === found || matches(version.row) ? version : undefined
  }

  private addLock(transaction: Transaction, { locks }: RowVersion<Row>, mode: RowLockMode): void {
    if (!locks.has(transaction)) transaction.onEnd(() => locks.delete(transaction))
    if (locks.get(transaction) !== "exclusive") locks.set(transaction, mode)
  }

  /** Replaces a version that the transaction has locked. */
  replace(transaction: Transaction, version: RowVersion<Row>, row: Row): void {
    this.end(transaction, version)
    version.next = this.push(transaction, row)
  }

  /** Deletes a version that the transaction has locked. */
  remove(transaction: Transaction, version: RowVersion<Row>): void {
    this.end(transaction, version)
    version.next = undefined
  }

  private end(transaction: Transaction, version: RowVersion<Row>): void {
    assert(version.locks.get(transaction) === "exclusive", "a row is locked before it is changed")
    version.replacedBy = transaction
    this.forget(transaction, this.keyOf(version.row))
  }

  private push(transaction: Transaction, row: Row): RowVersion<Row> {
    const key = this.keyOf(row)
    const version = { row, by: transaction, replacedBy: undefined, next: undefined, locks: new Map() }
    const versions = this.versions.get(key)
    if (versions) versions.push(version)
    else this.versions.set(key, [version])
    this.forget(transaction, key)
    return version
  }

  /**
   * Inserts the row unless there is one with its key: committed, whether the snapshot shows it or not. Waits for
   * transactions that insert, replace or delete one.
   */
  async insert(transaction: Transaction, row: Row): Promise<"inserted" | RowVersion<Row>> {
    for (;;) {
      const versions = this.versions.get(this.keyOf(row))
      const present = versions?.find(version => isNotGone(version) && version.replacedBy !== transaction)
      if (present === undefined) {
        this.push(transaction, row)
        return "inserted"
      }
      const other = writerOf(present, transaction)
      if (other === undefined) return present
      await this.transactions.wait(transaction, other)
    }
  }

  /** Inserts the row, or replaces the newest one with its key. */
  async insertOrReplace(transaction: Transaction, row: Row, replacement: (present: Row) => Row): Promise<void> {
    for (;;) {
      const present = await this.insert(transaction, row)
      if (present === "inserted") return
      const locked = await this.lock(transaction, present, "exclusive", () => true)
      if (locked !== undefined) return this.replace(transaction, locked, replacement(locked.row))
    }
  }

  /** Adds a committed row to a table that nobody uses yet. */
  load(transaction: Transaction, row: Row): void {
    this.push(transaction, row)
  }

  /** Once the transaction has ended, versions of the key may be removed. */
  private forget(transaction: Transaction, key: string): void {
    transaction.onEnd(() => {
      this.unseen.add(key)
      if (this.transactions.running.size === 0 || this.unseen.size > UNSEEN_MAX) this.vacuum()
    })
  }

  private vacuum(): void {
    const { seenByAll } = this.transactions
    for (const key of this.unseen) {
      const versions = this.versions.get(key) ?? []
      const left = versions.filter(version => !isUnseen(version, seenByAll))
      if (left.length > 0) this.versions.set(key, left)
      else this.versions.delete(key)
      if (left.length <= 1) this.unseen.delete(key)
    }
  }
}

const isShown = (transaction: Transaction, { by, replacedBy }: RowVersion<unknown>): boolean =>
  transaction.sees(by) && !(replacedBy !== undefined && transaction.sees(replacedBy))

const isCommitted = ({ by, replacedBy }: RowVersion<unknown>): boolean =>
  by.state === "committed" && replacedBy?.state !== "committed"

/** Returns true if the version is present, or will be if a running transaction commits or is aborted. */
const isNotGone = ({ by, replacedBy }: RowVersion<unknown>): boolean =>
  by.state !== "aborted" && replacedBy?.state !== "committed"

function isUnseen({ by, replacedBy }: RowVersion<unknown>, seenByAll: number): boolean {
  if (by.state === "aborted") return true
  return replacedBy?.committedAs !== undefined && replacedBy.committedAs <= seenByAll
}

/** Another transaction that is making, replacing or deleting the version. */
function writerOf({ by, replacedBy }: RowVersion<unknown>, transaction: Transaction): Transaction | undefined {
  if (by.state === "running" && by !== transaction) return by
  return replacedBy?.state === "running" && replacedBy !== transaction ? replacedBy : undefined
}

/** Another transaction whose lock excludes this one. */
function holderOf(
  { locks }: RowVersion<unknown>,
  transaction: Transaction,
  mode: RowLockMode,
): Transaction | undefined {
  for (const [other, held] of locks) {
    if (other !== transaction && (mode === "exclusive" || held === "exclusive")) return other
  }
  return undefined
}
