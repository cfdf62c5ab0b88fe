/**
 * Tables of records: sortable by the head, rows of two lines on a phone, one caption for screen readers. A list that arrives in
 * pages ends with a button for the next one (`more`), and says that more exist. With `selection` each row has a check box,
 * and Shift with a click or the space key selects all from the one before.
 */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useRef } from "preact/hooks"
import { Button } from "./button.js"
import { countText, sizeText } from "./format.js"
import { Icon } from "./icon.js"
import { useScrollEdges } from "./scroll-edges.js"
import { EmptyState } from "./states.js"

export interface Column<T> {
  /** Unique within the table. */
  readonly key: string
  readonly title: string
  readonly cell: (row: T) => ComponentChildren
  /** Makes the column sortable. */
  readonly sortBy?: (row: T) => number | string
  readonly align?: "end"
  /**
   * The place on a phone. `name` begins the row, and `end` is at the end of the same line; the others follow on the second
   * line, with their titles unless they are `plain`. `minor` columns are only on wide screens. Default: the first column is the name.
   */
  readonly narrow?: "name" | "end" | "plain" | "minor"
}

interface Sorting {
  readonly key: string
  readonly isDown: boolean
}

interface MorePages {
  readonly hasMore: boolean
  readonly isLoading: boolean
  readonly load: () => void
}

export interface RowSelection<T> {
  /** By the keys of rows. */
  readonly selected: ReadonlyMap<string, T>
  /** Returns the name of a row. */
  readonly nameOf: (row: T) => string
  readonly onSelect: (rows: readonly T[], isSelected: boolean) => void
  /** The name of the check box in the head, which selects all rows that are shown. */
  readonly allLabel: string
}

interface TableProps<T> {
  /** The caption says what the table lists; it is read aloud, and shown if `isCaptionShown`. */
  readonly caption: string
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly rowKey: (row: T) => string
  /** Shown in place of an empty table. */
  readonly empty?: ComponentChildren
  readonly sort?: Sorting
  readonly more?: MorePages
  readonly selection?: RowSelection<T> | undefined
}

/** The column of a size in bytes. */
export const sizeColumn = <T,>(bytesOf: (row: T) => number): Column<T> => ({
  key: "size",
  narrow: "plain",
  title: "Size",
  align: "end",
  cell: row => sizeText(bytesOf(row)),
  sortBy: bytesOf,
})

const compare = (a: number | string, b: number | string): number =>
  typeof a === "number" && typeof b === "number"
    ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true })

/** Rows in the order of a column; equal ones stay in their order. */
export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], sort: Sorting | undefined): readonly T[] {
  const sortBy = columns.find(({ key }) => key === sort?.key)?.sortBy
  if (sort === undefined || sortBy === undefined) return rows
  const direction = sort.isDown ? -1 : 1
  return rows.toSorted((a, b) => direction * compare(sortBy(a), sortBy(b)))
}

function Head<T>(props: {
  readonly column: Column<T>
  readonly sort: Sorting | undefined
  readonly onSort: (sort: Sorting) => void
}) {
  const { column, sort, onSort } = props
  const { key, title, sortBy, align = "", narrow } = column
  const isSorted = sort?.key === key
  const direction = sort?.isDown === true ? "descending" : "ascending"
  return (
    <th
      scope="col"
      role="columnheader"
      class={`${align} ${narrow === "minor" ? "in-minor" : ""}`}
      aria-sort={isSorted ? direction : undefined}
    >
      {sortBy === undefined ? (
        title
      ) : (
        <button type="button" class="sort" onClick={() => onSort({ key, isDown: isSorted && !sort.isDown })}>
          {title}
          <Icon name={isSorted ? (sort.isDown ? "sortDown" : "sortUp") : "sort"} />
        </button>
      )}
    </th>
  )
}

/** The check boxes of the rows as they are shown. */
function SelectCell<T>(props: {
  readonly selection: RowSelection<T>
  readonly row: T
  readonly rows: readonly T[]
  readonly rowKey: (row: T) => string
  readonly isSelected: boolean
  /** The key of the row that was clicked before. */
  readonly anchor: { current: string | undefined }
}) {
  const { selection, row, rows, rowKey, isSelected, anchor } = props
  const select = (isRange: boolean): void => {
    const [from, to] = [rows.findIndex(each => rowKey(each) === anchor.current), rows.indexOf(row)]
    const range = isRange && from >= 0 ? rows.slice(Math.min(from, to), Math.max(from, to) + 1) : [row]
    selection.onSelect(range, !isSelected)
    anchor.current = rowKey(row)
  }
  return (
    <td role="cell" data-title="Select" class="select">
      <input
        type="checkbox"
        aria-label={`Select ${selection.nameOf(row)}`}
        checked={isSelected}
        onClick={event => select(event.shiftKey)}
      />
    </td>
  )
}

function SelectAll<T>(props: {
  readonly selection: RowSelection<T>
  readonly rows: readonly T[]
  readonly rowKey: (row: T) => string
}) {
  const { selection, rows, rowKey } = props
  const count = rows.filter(row => selection.selected.has(rowKey(row))).length
  return (
    <th scope="col" role="columnheader" class="select">
      <input
        type="checkbox"
        aria-label={selection.allLabel}
        title={selection.allLabel}
        checked={count === rows.length}
        indeterminate={count > 0 && count < rows.length}
        onChange={event => selection.onSelect(rows, event.currentTarget.checked)}
      />
    </th>
  )
}

/** A cell without a value takes no place on a phone. */
function Cell<T>({ column, row, isName }: { readonly column: Column<T>; readonly row: T; readonly isName: boolean }) {
  const { key, title, cell, align = "", narrow } = column
  const value = cell(row)
  const isEmpty = value === null || value === "" || value === "–"
  const place = isName ? "in-name" : narrow === undefined ? "" : `in-${narrow}`
  return (
    <td role="cell" data-title={title} class={`cell-${key} ${align} ${place} ${isEmpty ? "in-none" : ""}`}>
      <div>{value}</div>
    </td>
  )
}

export function DataTable<T>(props: TableProps<T>) {
  const { caption, columns, rows, rowKey, empty, more, selection } = props
  const sort = useSignal(props.sort)
  const anchor = useRef<string | undefined>(undefined)
  const frame = useScrollEdges()
  if (rows.length === 0) return <>{empty ?? <EmptyState title="Nothing to show" />}</>
  const shown = sorted(rows, columns, sort.value)
  const nameKey = columns.find(({ narrow }) => narrow === "name")?.key ?? columns[0]?.key
  return (
    <div ref={frame} class="table-frame">
      <table role="table">
        <caption class="sr-only">{caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {selection && <SelectAll {...{ selection, rows, rowKey }} />}
            {columns.map(column => (
              <Head key={column.key} column={column} sort={sort.value} onSort={next => (sort.value = next)} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {shown.map(row => {
            const isSelected = selection?.selected.has(rowKey(row)) ?? false
            return (
              <tr key={rowKey(row)} role="row" class={isSelected ? "selected" : ""}>
                {selection && <SelectCell {...{ selection, row, rows: shown, rowKey, isSelected, anchor }} />}
                {columns.map(column => (
                  <Cell key={column.key} column={column} row={row} isName={column.key === nameKey} />
                ))}
              </tr>
            )
          })}
        </tbody>
      </table>
      {more?.hasMore === true && (
        <div class="more">
          <span>{countText(rows.length)} shown, more exist</span>
          <Button isBusy={more.isLoading} onClick={more.load}>
            Show more
          </Button>
        </div>
      )}
    </div>
  )
}
