/** Views: the rows of one moment, as decisions and queries see them. */
import type { Family } from "@hayloft/base/rows/families.js"
import type { Position, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { Incarnations } from "./incarnations.js"

/** The location of a row's inline payload: private to the engine, unless it contains the bytes. */
interface RowPayload {
  readonly in: string
  readonly bytes?: Uint8Array
}

export interface MetadataRow {
  readonly value: Uint8Array
  /** `Metadata.payload` reads it. Undefined if the row has none. */
  readonly payload: RowPayload | undefined
}

/** The rows of one moment. */
export interface RowView {
  get(family: Family, key: RowKey): MetadataRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, MetadataRow]>
}

export interface QueryView extends RowView {
  /** The last committed change that the view shows. */
  readonly position: Position
  readonly incarnations: Incarnations
  /**
   * Stands for the rows of buckets and identities: all views that return the same object have the same of them, so a value
   * that was computed from such rows alone may be kept with it. Undefined: the rows have to be read.
   */
  readonly generationMark: object | undefined
  /** Like `range`, forward, without an object for each row. One scan at a time. */
  scan(family: Family, range: KeyRange, visitor: RowVisitor): void
}

/** The rows of one moment as a decision sees them. What it relies on must be guarded: see `guards.ts`. */
export interface DecisionView extends RowView {
  /** The payload of a row, for a write that keeps it. The decision is repeated once the payload has been read. */
  payload(family: Family, key: RowKey, row: MetadataRow): Uint8Array | undefined
}

/** The rows of one moment as a command sees them. */
export interface CommandView extends DecisionView {
  /** A row, for a decision that does not rely on its absence: it may be made before the decision is committed. */
  ifPresent(family: Family, key: RowKey): MetadataRow | undefined
}
