/**
 * Transactions of the simulated database: snapshots, waits for other transactions, and deadlocks, as in PostgreSQL at
 * READ COMMITTED. Each statement is a transaction.
 *
 * Promises  A snapshot shows what was committed before it was taken, and nothing else. A wait ends when the other
 *           transaction does, in the order of the waits. Of those that wait in a circle one fails with `TryAgain`.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { TryAgain } from "../database.js"

/** A wait that has taken so long is checked for a deadlock, as PostgreSQL does; up to a tenth later. */
const DEADLOCK_TIMEOUT_MS = 1_000

/** The server ended the transaction, which has not committed and never will. */
export class BackendEnded extends Error {
  override readonly name = "BackendEnded"
}

export class Transaction {
  state: "running" | "committed" | "aborted" = "running"
  /** Its place in the order of commits. */
  committedAs: number | undefined
  /** Everything is done but the commit: a crash of the server may still commit it. */
  isCommitting = false
  waitsFor: Transaction | undefined
  /** Ends its wait with an error. */
  interrupt: ((error: Error) => void) | undefined
  private readonly atEnd: (() => void)[] = []

  /** `snapshot` is the last commit that it sees. */
  constructor(readonly snapshot: number) {}

  /** Returns true if its snapshot shows what the other transaction did. It does not see its own statement's changes. */
  sees({ committedAs }: Transaction): boolean {
    return committedAs !== undefined && committedAs <= this.snapshot
  }

  onEnd(call: () => void): void {
    this.atEnd.push(call)
  }

  /** Throws `BackendEnded` once it has ended. */
  check(): void {
    if (this.state !== "running") throw new BackendEnded("the server has ended the transaction")
  }

  end(state: "committed" | "aborted"): void {
    this.state = state
    this.interrupt?.(new BackendEnded("the server has ended the transaction"))
    for (const call of this.atEnd.splice(0)) call()
  }
}

interface TransactionsHost {
  readonly clock: Clock
  readonly random: Random
  /** Passes between the end of a wait and the moment when the transaction continues. */
  wakeUp(): Promise<void>
}

export class SimulatedTransactions {
  private lastCommit = 0
  readonly running = new Set<Transaction>()
  deadlocks = 0

  constructor(private readonly host: TransactionsHost) {}

  begin(): Transaction {
    const transaction = new Transaction(this.lastCommit)
    this.running.add(transaction)
    return transaction
  }

  /** Returns the last commit that all snapshots see: rows deleted or replaced up to it are in no snapshot any more. */
  get seenByAll(): number {
    let oldest = this.lastCommit
    for (const { snapshot } of this.running) oldest = Math.min(oldest, snapshot)
    return oldest
  }

  /** Transactions that wait for others. */
  get waiting(): number {
    return [...this.running].filter(({ waitsFor }) => waitsFor !== undefined).length
  }

  /** Some wait in a circle, until one of them is chosen to fail. */
  get isDeadlocked(): boolean {
    return [...this.running].some(isInCircle)
  }

  /** Waits until the other has ended. Throws `TryAgain` if this one is chosen to break a deadlock. */
  async wait(transaction: Transaction, other: Transaction): Promise<void> {
    const { clock, random } = this.host
    const checkAfterMs = DEADLOCK_TIMEOUT_MS + random.below(DEADLOCK_TIMEOUT_MS / 10)
    let cancel: (() => void) | undefined
    transaction.waitsFor = other
    try {
      await new Promise<void>((resolve, reject) => {
        other.onEnd(resolve)
        transaction.interrupt = reject
        cancel = clock.alarm(checkAfterMs, () => {
          if (!isInCircle(transaction)) return
          this.deadlocks += 1
          reject(new TryAgain("deadlock detected"))
        })
      })
    } finally {
      cancel?.()
      transaction.waitsFor = undefined
      transaction.interrupt = undefined
    }
    await this.host.wakeUp()
    transaction.check()
  }

  end(transaction: Transaction, state: "committed" | "aborted"): void {
    if (state === "committed") {
      this.lastCommit += 1
      transaction.committedAs = this.lastCommit
    }
    this.running.delete(transaction)
    transaction.end(state)
  }
}

function isInCircle(transaction: Transaction): boolean {
  const passed = new Set<Transaction>()
  for (let next = transaction.waitsFor; next !== undefined && !passed.has(next); next = next.waitsFor) {
    if (next === transaction) return true
    passed.add(next)
  }
  return false
}
