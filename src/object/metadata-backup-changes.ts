/**
 * Watched tablet: counts the commands of those who change what users see, so that a backup can tell
 * whether there is anything new. Chores, which only tidy up, use the tablet itself.
 */
import { isFailure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import type { RowKey } from "../base/ids.js"
import type { LentSoon } from "../base/lent.js"
import type { Command, CommittedRows, Tablet, TabletRow, TabletView } from "../tablet/index.js"

export class WatchedTablet implements Tablet {
  /** Counted once they are committed: what was counted before a view was taken is in it. */
  changes = 0

  constructor(private readonly tablet: Tablet) {}

  get committed(): CommittedRows {
    return this.tablet.committed
  }

  get committedPosition() {
    return this.tablet.committedPosition
  }

  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    return this.tablet.warm(family, keys)
  }

  payload(family: Family, key: RowKey, row: TabletRow): LentSoon {
    return this.tablet.payload(family, key, row)
  }

  askEveryReplica<Answer>(
    verifiedSinceMs: number,
    ask: (view: TabletView) => Answer,
  ): Promise<readonly Answer[] | undefined> {
    return this.tablet.askEveryReplica(verifiedSinceMs, ask)
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    return this.tablet.run(command).then(
      result => {
        this.changes += 1
        return result
      },
      (error: unknown) => {
        if (isFailure(error, "indeterminate")) this.changes += 1
        throw error
      },
    )
  }
}
