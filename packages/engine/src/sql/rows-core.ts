/**
 * Rows of one moment, as the database returned them, with the changes of the decisions of a batch on top. Pure.
 *
 * A view that lacks rows notes them and throws `RowsMissing`: then all rows of the batch are fetched again, together
 * with those, so that they are again of one moment.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import type { Folding, KeyRange } from "@hayloft/base/rows/key-range.js"
import { COMMAND_ROWS_MAX } from "@hayloft/base/limits.js"
import { encodeCounters, NO_COUNTS, type Counters } from "../format/records.js"
import { bucketIdOfRowKey, nameOfRow } from "../format/row-key.js"
import { addUsage, encodeUsage, type Usage } from "../format/objects/usage.js"
import type { DecisionView, MetadataRow, Touches } from "../metadata/index.js"
import type { Column, Fetched, FetchRequest, StoredFamily, StoredKey, StoredRange, StoredRow } from "./database.js"
import { storedIn } from "./stored-key.js"

/** Rows of a range that are fetched first; each further fetch takes four times as many. */
const RANGE_ROWS_FIRST = 16
/** The first fetch of a range that continues another one behind a seek: it is one of many. */
const RANGE_ROWS_AFTER_SEEK = 64
const RANGE_ROWS_EXPECTED_MAX = 2_048
const RANGE_ROWS_FACTOR = 4
const RANGE_ROWS_MAX = 1_000_000

/** The rows of a batch are to be fetched again, with more of them. */
export class RowsMissing extends Error {
  override readonly name = "RowsMissing"
}

/** The only one: most queries throw it once, and a stack would cost more than the query. */
export const ROWS_MISSING = new RowsMissing()

/** The decision cannot be made in this batch: it needs what an earlier one writes as a row of the database. */
export class LaterBatch extends Error {
  override readonly name = "LaterBatch"
}

interface WantedRange {
  readonly range: Omit<StoredRange, "max">
  max: number
}

/** The data that a batch needs from the database: it only grows until the batch is decided. */
export class Wants {
  readonly keys = new Map<string, StoredKey>()
  readonly ranges = new Map<string, WantedRange>()
  readonly counters = new Set<BucketId>()
  readonly usage = new Set<RowKey>()
  wantsAllUsage = false
  /** The ends of its ranges. */
  private readonly ends = new Set<string>()

  add(touches: Touches): void {
    for (const [family, key] of touches) this.addRow(family, key)
  }

  addRow(family: Family, key: RowKey): void {
    if (family === "counters") this.counters.add(bucketIdOfRowKey(key))
    else if (family === "usage") this.usage.add(key)
    else {
      const { family: stored } = storedIn(family)
      const name = nameOfRow(stored, key)
      if (!this.keys.has(name)) this.keys.set(name, { family: stored, key })
    }
  }

  /** Also everything that the others want. */
  addAll({ keys, ranges, counters, usage, wantsAllUsage }: Wants): void {
    for (const key of usage) this.usage.add(key)
    this.wantsAllUsage ||= wantsAllUsage
    for (const [name, key] of keys) this.keys.set(name, key)
    for (const bucketId of counters) this.counters.add(bucketId)
    for (const [name, { range, max }] of ranges) {
      const known = this.ranges.get(name)
      if (known) known.max = Math.max(known.max, max)
      else this.ranges.set(name, { range, max })
    }
  }

  request(): Omit<FetchRequest, "lane"> {
    return {
      keys: [...this.keys.values()],
      ranges: Array.from(this.ranges.values(), ({ range, max }) => ({ ...range, max })),
      counters: [...this.counters],
      usage: this.wantsAllUsage ? "all" : [...this.usage],
    }
  }

  /** A range of which so many rows were fetched, and do not suffice, needs more than it had, however often it is wanted. */
  addRange(family: Family, wanted: KeyRange, fetchedMax: number): void {
    const { start, end, reverse = false, expectedRows = 0 } = wanted
    const { family: stored, column } = storedIn(family)
    const name = rangeNameOf(family, wanted)
    const known = this.ranges.get(name)
    if (known) {
      if (known.max > fetchedMax) return
      if (known.max >= RANGE_ROWS_MAX)
        throw fail("invalidRequest", { message: "a range has too many rows to read at once" })
      known.max = Math.min(known.max * RANGE_ROWS_FACTOR, RANGE_ROWS_MAX)
    } else {
      const range = { family: stored, column, start, end, reverse, folding: foldingIn(wanted) }
      const isAfterSeek = this.ends.has(`${family} ${end}`)
      this.ends.add(`${family} ${end}`)
      const first = isAfterSeek ? RANGE_ROWS_AFTER_SEEK : RANGE_ROWS_FIRST
      this.ranges.set(name, { range, max: Math.max(first, Math.min(expectedRows, RANGE_ROWS_EXPECTED_MAX)) })
    }
  }

  /** Returns the keys, ranges, counters and usage that are wanted here and missing from `fetched`. */
  missingIn(fetched: FetchedRows): Wants {
    const missing = new Wants()
    for (const [name, key] of this.keys) if (!fetched.has(key.family, key.key)) missing.keys.set(name, key)
    for (const [name, range] of this.ranges) if (fetched.rowsOf(name) < range.max) missing.ranges.set(name, range)
    for (const bucketId of this.counters) {
      if (fetched.countersOf(bucketId) === undefined) missing.counters.add(bucketId)
    }
    for (const key of this.usage) if (!fetched.hasUsage(key)) missing.usage.add(key)
    missing.wantsAllUsage = this.wantsAllUsage && fetched.allUsage === undefined
    return missing
  }
}

const foldingIn = ({ folding, reverse = false }: KeyRange): Folding | undefined => (reverse ? undefined : folding)

function rangeNameOf(family: Family, range: KeyRange): string {
  const { start, end, reverse = false } = range
  const folding = foldingIn(range)
  const folded = folding === undefined ? "" : `${folding.from} ${folding.delimiter}`
  return `${family} ${reverse ? "-" : "+"} ${start.length} ${end.length} ${start}${end}${folded}`
}

/** Returns true if rows of one range that are folded so are all that a range needs which is folded like that. */
const servesFolding = (one: Folding | undefined, other: Folding | undefined): boolean =>
  one === undefined || (one.from === other?.from && one.delimiter === other.delimiter)

interface KnownRange {
  readonly range: Omit<StoredRange, "max">
  readonly max: number
  readonly rows: readonly StoredRow[]
  /** The database has no more. */
  readonly isWhole: boolean
}

/** Rows of one moment. */
export class FetchedRows {
  private readonly rows = new Map<string, StoredRow | undefined>()
  private readonly ranges = new Map<string, KnownRange>()
  private readonly counters = new Map<BucketId, Counters>()
  private readonly usage = new Map<RowKey, Usage | undefined>()
  /** It is undefined if it was not asked for. */
  allUsage: ReadonlyMap<RowKey, Usage> | undefined

  /** The rows that one fetch returned for everything wanted. */
  static of(wants: Wants, fetched: Fetched): FetchedRows {
    const rows = new FetchedRows()
    rows.add(wants, fetched)
    return rows
  }

  /** Adds rows of the same moment. */
  add(wants: Wants, fetched: Fetched): void {
    for (const [at, name] of [...wants.keys.keys()].entries()) this.rows.set(name, fetched.rows[at])
    for (const [at, [name, { range, max }]] of [...wants.ranges].entries()) {
      const rows = fetched.ranges[at] ?? []
      this.ranges.set(name, { range, max, rows, isWhole: rows.length < max })
    }
    for (const [at, bucketId] of [...wants.counters].entries()) {
      this.counters.set(bucketId, fetched.counters[at] ?? NO_COUNTS)
    }
    for (const key of wants.usage) this.usage.set(key, fetched.usage.get(key))
    if (wants.wantsAllUsage) this.allUsage = fetched.usage
  }

  hasNamed(name: string): boolean {
    return this.rows.has(name)
  }

  /** Adds a row by the name that `Wants` gives it. */
  addNamed(name: string, row: StoredRow | undefined): void {
    this.rows.set(name, row)
  }

  has(family: StoredFamily, key: RowKey): boolean {
    return this.rows.has(nameOfRow(family, key))
  }

  row(family: StoredFamily, key: RowKey): StoredRow | undefined {
    return this.rows.get(nameOfRow(family, key))
  }

  /** How many rows of the range were asked for; 0: it was not. */
  rowsOf(name: string): number {
    return this.ranges.get(name)?.max ?? 0
  }

  /** The rows of a range, if it was fetched, or begins in one that was. */
  range(family: Family, range: KeyRange): Pick<KnownRange, "rows" | "isWhole"> | undefined {
    const known = this.ranges.get(rangeNameOf(family, range))
    if (known !== undefined || range.reverse === true) return known
    const { family: stored, column } = storedIn(family)
    for (const { range: other, rows, isWhole } of this.ranges.values()) {
      const isSame = other.family === stored && other.column === column && !other.reverse && other.end === range.end
      if (!isSame || other.start > range.start || !servesFolding(other.folding, range.folding)) continue
      const last = rows.at(-1)
      if (isWhole || (last !== undefined && last.key >= range.start)) {
        return { rows: rows.slice(firstAt(rows, range.start)), isWhole }
      }
    }
    return undefined
  }

  hasUsage(key: RowKey): boolean {
    return this.usage.has(key)
  }

  /** Returns undefined if the usage is absent, or was not asked for. */
  usageOf(key: RowKey): Usage | undefined {
    return this.usage.get(key)
  }

  countersOf(bucketId: BucketId): Counters | undefined {
    return this.counters.get(bucketId)
  }
}

/** The index of the first row whose key is not below `start`. */
function firstAt(rows: readonly StoredRow[], start: RowKey): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rows[middle]?.key ?? start) < start) low = middle + 1
    else high = middle
  }
  return low
}

/** A row as the batch leaves it; both columns undefined: it is deleted. */
export interface ChangedRow {
  readonly family: StoredFamily
  readonly key: RowKey
  /** The row of the database; undefined: it was absent, or is new. */
  readonly base: StoredRow | undefined
  value: Uint8Array | undefined
  head: Uint8Array | undefined
  payload: Uint8Array | undefined
  /** The payload is that of the database. */
  keepsPayload: boolean
}

/** The changes by earlier decisions of the batch. */
export interface BatchSoFar {
  readonly rows: ReadonlyMap<string, ChangedRow>
  /** Counters that rows of the database do not show yet, by bucket. */
  readonly counts: ReadonlyMap<BucketId, unknown>
  readonly usage: ReadonlyMap<RowKey, UsageSoFar | "dropped">
}

/** The changes of a batch to a count. */
export interface UsageSoFar {
  readonly added: Usage
  /** The batch makes the row. */
  readonly isNew: boolean
  /** The most that the row may have had before, for all commands of the batch to be within their limits. */
  readonly bytesBeforeMax: number
  readonly objectsBeforeMax: number
}

/** A row of the database that a decision relied on. */
interface ReadRow {
  readonly family: StoredFamily
  readonly row: StoredRow
}

/** The place where a row's payload is, for the engine: bytes if they came with the row. */
interface SqlPayload {
  readonly in: "sql"
  readonly bytes?: Uint8Array
}

/** Rows and ranges that one decision or query may find missing before it is broken off. */
const GATHERED_MAX = 2 * COMMAND_ROWS_MAX

/**
 * The rows of a batch as one decision or query sees them. One that gathers shows a missing row as absent, and a range as if
 * it ended, and goes on, so that what reads row after row has them fetched together. Its outcome is not to be used then.
 */
export class BatchView implements DecisionView {
  /** Rows of the database that it read, by name. */
  readonly reads = new Map<string, ReadRow>()
  private gathered = 0

  constructor(
    private readonly fetched: FetchedRows,
    private readonly wants: Wants,
    private readonly changes: BatchSoFar,
    private readonly gathers = false,
  ) {}

  get hasGathered(): boolean {
    return this.gathered > 0
  }

  get(family: Family, key: RowKey): MetadataRow | undefined {
    if (family === "counters") return this.countersRow(key)
    if (family === "usage") return this.usageRow(key)
    const { family: stored, column } = storedIn(family)
    const changed = this.changes.rows.get(nameOfRow(stored, key))
    if (changed) {
      const value = changed[column]
      return value && { value, payload: column === "value" ? this.payloadOf(changed) : undefined }
    }
    if (!this.fetched.has(stored, key)) {
      this.wants.addRow(family, key)
      this.miss()
      return undefined
    }
    const row = this.fetched.row(stored, key)
    return row && this.shown(stored, column, row)
  }

  /** Notes that something is missing. Throws `RowsMissing`, unless the view gathers. */
  protected miss(): void {
    if (!this.gathers || this.gathered >= GATHERED_MAX) throw ROWS_MISSING
    this.gathered += 1
  }

  /**
   * A row of the bucket that this batch changes does not tell yet what others may count: they go by the one before, until the
   * commit. Only then are the counters of a closed bucket final, for example. Throws `LaterBatch`.
   */
  private countersRow(key: RowKey): MetadataRow {
    const bucketId = bucketIdOfRowKey(key)
    const isChanged = this.changes.counts.has(bucketId) || this.changes.rows.has(nameOfRow("buckets", key))
    if (isChanged) throw new LaterBatch()
    const counters = this.fetched.countersOf(bucketId)
    if (counters === undefined) {
      this.wants.counters.add(bucketId)
      this.miss()
    }
    return { value: encodeCounters(counters ?? NO_COUNTS), payload: undefined }
  }

  private usageRow(key: RowKey): MetadataRow | undefined {
    const changed = this.changes.usage.get(key)
    if (changed === "dropped") return undefined
    if (changed?.isNew === true) return usageRowOf(changed.added)
    if (!this.fetched.hasUsage(key)) {
      this.wants.usage.add(key)
      this.miss()
    }
    const found = this.fetched.usageOf(key)
    return found && usageRowOf(changed === undefined ? found : addUsage(found, changed.added))
  }

  private *usageIn({ start, end, reverse = false }: KeyRange): Generator<readonly [RowKey, MetadataRow]> {
    if (this.changes.usage.size > 0) throw new LaterBatch()
    const all = this.fetched.allUsage
    if (all === undefined) {
      this.wants.wantsAllUsage = true
      this.miss()
    }
    const found = [...(all ?? [])].filter(([key]) => key >= start && key < end).sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [key, usage] of reverse ? found.reverse() : found) yield [key, usageRowOf(usage)]
  }

  /** Counters are summed when they are read: each bucket has them. */
  private *countersIn(range: KeyRange): Generator<readonly [RowKey, MetadataRow]> {
    const keys = Array.from(this.range("buckets", range), ([key]) => key)
    const missing = keys.map(bucketIdOfRowKey).filter(bucketId => this.fetched.countersOf(bucketId) === undefined)
    for (const bucketId of missing) this.wants.counters.add(bucketId)
    if (missing.length > 0) this.miss()
    for (const key of keys) yield [key, this.countersRow(key)]
  }

  private shown(family: StoredFamily, column: Column, row: StoredRow): MetadataRow | undefined {
    this.reads.set(nameOfRow(family, row.key), { family, row })
    const value = row[column]
    if (value === undefined) return undefined
    return { value, payload: column === "value" ? payloadOf(row.payload) : undefined }
  }

  private payloadOf({ payload, keepsPayload, base }: ChangedRow): SqlPayload | undefined {
    return keepsPayload ? payloadOf(base?.payload) : payloadOf(payload)
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, MetadataRow]> {
    if (family === "counters") {
      yield* this.countersIn(range)
      return
    }
    if (family === "usage") {
      yield* this.usageIn(range)
      return
    }
    const { family: stored, column } = storedIn(family)
    for (const { family: changed, key } of this.changes.rows.values()) {
      if (changed === stored && key >= range.start && key < range.end) throw new LaterBatch()
    }
    const known = this.fetched.range(family, range)
    for (const row of known?.rows ?? []) {
      const shown = this.shown(stored, column, row)
      if (shown) yield [row.key, shown]
    }
    if (known?.isWhole === true) return
    this.wants.addRange(family, range, this.fetched.rowsOf(rangeNameOf(family, range)))
    this.miss()
  }

  payload(family: Family, key: RowKey, row: MetadataRow): Uint8Array | undefined {
    const { payload } = row
    if (payload === undefined || payload.bytes) return payload?.bytes
    const { family: stored } = storedIn(family)
    if (!this.fetched.has(stored, key)) {
      this.wants.addRow(family, key)
      this.miss()
    }
    // A range returned the row without its payload; both are of one moment.
    return payloadOf(this.fetched.row(stored, key)?.payload)?.bytes
  }
}

const usageRowOf = (usage: Usage): MetadataRow => ({ value: encodeUsage(usage), payload: undefined })

function payloadOf(payload: StoredRow["payload"]): SqlPayload | undefined {
  if (payload === undefined) return undefined
  return payload === "elsewhere" ? { in: "sql" } : { in: "sql", bytes: payload }
}
