/**
 * Counts the references to segments again, by a walk over all segments of the bucket.
 *
 * Promises  A count is that of one moment while its row was as it says: a row of references changes whenever a reference to
 *           its segments is made or dropped (`ReferencesRecord.changes`), so one that is the same before and after the walk
 *           was counted exactly. Rows that have changed are counted again, `RECOUNT_LIMITS.passesMax` times at most.
 * Limits    `RECOUNT_LIMITS`: memory is that of so many rows, and of the ranges that are referenced of them.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { decodeSegment, type SegmentSource } from "@hayloft/engine/format/records.js"
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { laterTurn } from "@hayloft/base/life/index.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { referencesRowKey, sourcesOf } from "./manifest-core.js"

export const RECOUNT_LIMITS = {
  /** Rows of references that one walk counts. */
  rowsMax: 4_096,
  /** The number of walks after which a row that changes is given up. */
  passesMax: 4,
  /** Segments that one query reads: some milliseconds. */
  segmentsPerQuery: 2_000,
  /** Rows of references that one query reads. */
  rowsPerQuery: 1_000,
  /** Referencing segments that are named for one row. */
  byMax: 64,
} as const

export interface WalkSeams {
  /** Tests have smaller limits. */
  readonly limits: { segmentsPerQuery: number }
  readonly clock: Clock
  readonly metadata: Pick<Metadata, "ask">
}

/** A row of references, and the references to its segments. */
export interface Recounted {
  /** The row while it was counted; undefined if there was none. */
  readonly value: Uint8Array | undefined
  /** The row has changed during each walk: the other members are not exact. */
  readonly isChanging: boolean
  readonly count: number
  /** The bytes of all references together. */
  readonly bytes: number
  /** Each referenced byte once. */
  readonly distinctBytes: number
  /** The first referencing segments, by their keys. */
  readonly by: readonly RowKey[]
}

interface SegmentsPage {
  readonly found: readonly { readonly rowKey: RowKey; readonly source: SegmentSource }[]
  /** It is undefined at the end. */
  readonly next: RowKey | undefined
}

/** The references that some segments of a bucket have. */
export const sourcesFrom = query(
  "SourcesFrom",
  (view, bucketId: BucketId, start: RowKey, rowsMax: number): SegmentsPage => {
    const found: { readonly rowKey: RowKey; readonly source: SegmentSource }[] = []
    const range = { ...suffixRange(bucketRowKey(bucketId)), start, expectedRows: rowsMax + 1 }
    let rows = 0
    for (const [rowKey, { value }] of view.range("segments", range)) {
      if (rows === rowsMax || found.length >= rowsMax) return { found, next: rowKey }
      rows += 1
      for (const source of sourcesOf(decodeSegment(value))) found.push({ rowKey, source })
    }
    return { found, next: undefined }
  },
)

/** The values of rows of references. */
export const referencesRows = query(
  "ReferencesRows",
  (view, rowKeys: readonly RowKey[]): readonly (Uint8Array | undefined)[] =>
    rowKeys.map(rowKey => view.get("references", rowKey)?.value),
)

/** Ranges that do not overlap, by their beginnings. */
class Ranges {
  private ranges: { first: number; end: number }[] = []
  private isSorted = true

  add({ offsetBytes, lengthBytes }: Pick<SegmentSource, "offsetBytes" | "lengthBytes">): void {
    const known = this.ranges.at(-1)
    const end = offsetBytes + lengthBytes
    // Copies have the same references, one after another.
    if (known !== undefined && known.first <= offsetBytes && end <= known.end) return
    this.ranges.push({ first: offsetBytes, end })
    this.isSorted = this.ranges.length === 1
    if (this.ranges.length > RANGES_MERGED_AT && this.ranges.length % RANGES_MERGED_AT === 0) this.merge()
  }

  get bytes(): number {
    this.merge()
    return this.ranges.reduce((sum, { first, end }) => sum + end - first, 0)
  }

  private merge(): void {
    if (this.isSorted) return
    const merged: { first: number; end: number }[] = []
    for (const range of [...this.ranges].sort((a, b) => a.first - b.first)) {
      const last = merged.at(-1)
      if (last !== undefined && range.first <= last.end) last.end = Math.max(last.end, range.end)
      else merged.push({ ...range })
    }
    this.ranges = merged
    this.isSorted = true
  }
}

const RANGES_MERGED_AT = 256

class Tally {
  count = 0
  bytes = 0
  readonly ranges = new Ranges()
  readonly by: RowKey[] = []

  add(rowKey: RowKey, source: SegmentSource): void {
    if (this.by.length < RECOUNT_LIMITS.byMax && this.by.at(-1) !== rowKey) this.by.push(rowKey)
    this.count += 1
    this.bytes += source.lengthBytes
    this.ranges.add(source)
  }
}

/** Counts the references to the segments of these rows, `RECOUNT_LIMITS.rowsMax` at most. */
export async function recount(
  seams: WalkSeams,
  bucketId: BucketId,
  rowKeys: readonly RowKey[],
): Promise<ReadonlyMap<RowKey, Recounted>> {
  const found = new Map<RowKey, Recounted>()
  const { metadata } = seams
  let left = await readRows(metadata, rowKeys)
  for (let pass = 1; left.size > 0; pass += 1) {
    const tallies = await walk(seams, bucketId, left)
    const now = await readRows(metadata, [...left.keys()])
    for (const [rowKey, value] of now) {
      const isChanging = !isSame(left.get(rowKey), value)
      if (isChanging && pass < RECOUNT_LIMITS.passesMax) continue
      const { count = 0, bytes = 0, ranges, by = [] } = tallies.get(rowKey) ?? {}
      found.set(rowKey, { value, isChanging, count, bytes, distinctBytes: ranges?.bytes ?? 0, by })
    }
    left = new Map([...now].filter(([rowKey]) => !found.has(rowKey)))
  }
  return found
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : equalBytes(a, b)

async function readRows(metadata: Pick<Metadata, "ask">, rowKeys: readonly RowKey[]) {
  const rows = new Map<RowKey, Uint8Array | undefined>()
  const { rowsPerQuery } = RECOUNT_LIMITS
  for (let at = 0; at < rowKeys.length; at += rowsPerQuery) {
    const page = rowKeys.slice(at, at + rowsPerQuery)
    const values = await metadata.ask(referencesRows(page))
    page.forEach((rowKey, i) => rows.set(rowKey, values[i]))
  }
  return rows
}

async function walk(
  { metadata, clock, limits }: WalkSeams,
  bucketId: BucketId,
  rows: ReadonlyMap<RowKey, unknown>,
): Promise<ReadonlyMap<RowKey, Tally>> {
  const tallies = new Map<RowKey, Tally>()
  const pages = walkPages(bucketRowKey(bucketId), from =>
    metadata.ask(sourcesFrom(bucketId, from, limits.segmentsPerQuery)),
  )
  for await (const page of pages) {
    for (const { rowKey: by, source } of page.found) {
      const rowKey = referencesRowKey(bucketId, source)
      if (!rows.has(rowKey)) continue
      const tally = tallies.get(rowKey) ?? new Tally()
      tallies.set(rowKey, tally)
      tally.add(by, source)
    }
    await laterTurn(clock)
  }
  return tallies
}
