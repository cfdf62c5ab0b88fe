/**
 * The rows of accounts and identities, and the one way to change them.
 *
 * Promises  The generation has moved when a change is acknowledged, and when nobody knows whether it
 *           happened: whoever remembers what the rows said drops it when it sees another generation.
 */
import type { Command, CommittedRows, Tablet } from "../tablet/index.js"

export class Directory {
  private changes = 0

  constructor(private readonly tablet: Tablet) {}

  get generation(): number {
    return this.changes
  }

  get rows(): CommittedRows {
    return this.tablet.committed
  }

  async change<Result>(command: Command<Result>): Promise<Result> {
    try {
      return await this.tablet.run(command)
    } finally {
      this.changes += 1
    }
  }

  /** A change of what nobody decides by: nothing that is remembered is dropped for it. */
  note(command: Command<void>): Promise<void> {
    return this.tablet.run(command)
  }
}
