/** The view of a query: fetched rows, without any change. While the store is halted, only rows of coordination. */
import type { Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { Position, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { visitRows, type RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { Incarnations, MetadataRow, QueryView } from "../metadata/index.js"
import { BatchView, type BatchSoFar, type FetchedRows, type Wants } from "./rows-core.js"

const NO_CHANGES: BatchSoFar = { rows: new Map(), counts: new Map(), usage: new Map() }

/** The mark of a view that no statement has returned rows for. */
export const NOT_FETCHED = "not fetched"

interface Moment {
  readonly incarnations: Incarnations
  readonly position: Position
  /** The mark of the generation of the fetched rows, if it is the newest that is known. */
  readonly mark: object | typeof NOT_FETCHED | undefined
}

export class SqlQueryView extends BatchView implements QueryView {
  readonly incarnations: Incarnations
  readonly position: Position
  private readonly mark: Moment["mark"]

  /** `refusal`: why only rows of coordination may be read. */
  constructor(
    fetched: FetchedRows,
    wants: Wants,
    { incarnations, position, mark }: Moment,
    private readonly refusal?: Failure,
    gathers = false,
  ) {
    super(fetched, wants, NO_CHANGES, gathers)
    this.incarnations = incarnations
    this.position = position
    this.mark = mark
  }

  /** It is undefined also once something was missing: what has been read since is incomplete. */
  get generationMark(): object | undefined {
    this.check("buckets")
    if (this.mark === NOT_FETCHED) this.miss()
    return this.mark === NOT_FETCHED || this.hasGathered ? undefined : this.mark
  }

  override get(family: Family, key: RowKey): MetadataRow | undefined {
    this.check(family)
    return super.get(family, key)
  }

  override range(family: Family, range: KeyRange): Generator<readonly [RowKey, MetadataRow]> {
    this.check(family)
    return super.range(family, range)
  }

  private check(family: Family): void {
    if (this.refusal !== undefined && family !== "cluster") throw this.refusal
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    visitRows(this.range(family, range), visitor)
  }
}
