/**
 * Watched metadata: counts the commands of services that change what users see, so that a backup knows whether there is
 * anything new, and tells which current versions they may have changed. Background jobs, which only tidy up, use the
 * metadata itself.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { Position, RowKey } from "@hayloft/base/ids.js"
import type { LentSoon } from "@hayloft/base/memory/lent.js"
import type { Soon } from "@hayloft/base/soon.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import {
  query,
  type Command,
  type Incarnations,
  type Metadata,
  type MetadataRow,
  type Query,
} from "@hayloft/engine/metadata/index.js"

/** The order of the current version of each row, which every write of the object increases; 0 if there is no object. */
export const readOrders = query("ReadOrders", (view, rows: readonly RowKey[]): readonly number[] =>
  rows.map(key => {
    const row = view.get("current", key)
    return row === undefined ? 0 : decodeVersionHead(row.value).order
  }),
)

export class WatchedMetadata implements Metadata {
  /** Counted after their commit: a query that starts later sees all counted changes. */
  changes = 0

  constructor(
    private readonly metadata: Metadata,
    /** Called after the commit, with the row of an object. */
    private readonly onChange: (row: RowKey) => void = () => undefined,
  ) {}

  get position(): Position {
    return this.metadata.position
  }

  get incarnations(): Incarnations {
    return this.metadata.incarnations
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    return this.metadata.ask(query)
  }

  known<Result>(query: Query<Result>): Soon<Result> {
    return this.metadata.known(query)
  }

  confirm(): Promise<void> | undefined {
    return this.metadata.confirm()
  }

  closeTo(us?: number): Promise<number> {
    return this.metadata.closeTo(us)
  }

  setEarliestTime(earliestMs: number): void {
    this.metadata.setEarliestTime(earliestMs)
  }

  get generation(): number {
    return this.metadata.generation
  }

  askEveryReplica<Result>(verifiedSinceMs: number, query: Query<Result>): Promise<readonly Result[] | undefined> {
    return this.metadata.askEveryReplica(verifiedSinceMs, query)
  }

  payload(family: Family, key: RowKey, row: MetadataRow): LentSoon {
    return this.metadata.payload(family, key, row)
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    return this.metadata.run(command).then(
      result => {
        this.noteChange(command)
        return result
      },
      (error: unknown) => {
        if (isFailure(error, "indeterminate")) this.noteChange(command)
        throw error
      },
    )
  }

  private noteChange({ touches }: Command<unknown>): void {
    this.changes += 1
    for (const [family, row] of touches) if (family === "current") this.onChange(row)
  }
}
