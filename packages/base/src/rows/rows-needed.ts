/**
 * Rows that must be read first: how synchronous decisions read rows that are not in memory.
 *
 * Decisions read rows synchronously. If a block of rows is not in memory, and reading it synchronously would
 * block the thread, the store throws `RowsNeeded`; `withRows` waits until the block is loaded and runs the decision
 * again. It runs synchronously if everything is in memory. After `ATTEMPTS_MAX` attempts, or outside
 * `withRows`, the store reads synchronously.
 */
const ATTEMPTS_MAX = 256

/** Thrown by a store for a block that is not in memory. Its fields are valid until the next one is thrown. */
export class RowsNeeded extends Error {
  override readonly name = "RowsNeeded"
  /** Reads the block. */
  read: () => Promise<void> = () => Promise.resolve()
}

let mayWait = false

/** Returns true if the current code is run again after `RowsNeeded`. */
export const canWaitForRows = (): boolean => mayWait

/** A read that has to happen before the same code is run again. */
export class RowsRead {
  constructor(readonly read: () => Promise<void>) {}
}

/** Runs code that may throw `RowsNeeded` once; in that case returns the read. Rethrows any other error. */
export function runOnce<T>(run: () => T): { readonly value: T } | RowsRead {
  const before = mayWait
  mayWait = true
  try {
    return { value: run() }
  } catch (error) {
    if (error instanceof RowsNeeded) return new RowsRead(error.read)
    throw error
  } finally {
    mayWait = before
  }
}

/**
 * Runs a pure function repeatedly until the rows that it reads are in memory. Returns its result,
 * or a promise if rows had to be read. Throws what it throws.
 */
export function withRows<T>(run: () => T): T | Promise<T> {
  const outcome = runOnce(run)
  return outcome instanceof RowsRead ? readAndRun(run, outcome.read) : outcome.value
}

async function readAndRun<T>(run: () => T, first: () => Promise<void>): Promise<T> {
  let read = first
  for (let attempts = 1; attempts < ATTEMPTS_MAX; attempts += 1) {
    await read()
    const outcome = runOnce(run)
    if (!(outcome instanceof RowsRead)) return outcome.value
    read = outcome.read
  }
  await read()
  return run()
}
