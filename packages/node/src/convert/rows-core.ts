/**
 * Rows on their way to another metadata engine: what is read of the one, and the commands that write it to the other.
 * Pure.
 *
 * Promises  Rows are copied as they are: also details of a family that this program does not know. Writing them again
 *           changes nothing. An object's head travels with its current row, because a database keeps both in one row.
 * Leaves    What is of one engine only: rows of devices, and what nodes share. Counters and usage are added up by each
 *           engine in its own way, so they are copied as sums.
 */
import { REPLICATED_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { entryBytes, type EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { decodeCounters, NO_COUNTS, type Counters } from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeUsage, type Usage } from "@hayloft/engine/format/objects/usage.js"
import {
  query,
  type Command,
  type CounterChange,
  type DecisionView,
  type MetadataRow,
  type QueryView,
  type Touches,
  type UsageChange,
  plainCopy,
} from "@hayloft/engine/metadata/index.js"

/** Families whose rows are copied one by one. */
export const COPIED_FAMILIES: readonly Family[] = REPLICATED_FAMILIES.filter(
  family => family !== "counters" && family !== "usage" && family !== "cluster",
)

/** Behind all rows: no row key begins with this many bytes of 255. */
const END_OF_KEYS = rowKeyOf("\xff".repeat(16))
export const FIRST_KEY = rowKeyOf("")

/** The most that one slice contains, unless its first row is larger. */
export const SLICE_LIMITS = { rowsMax: 256, bytesMax: 512 * 1024 } as const

export interface CopiedKey {
  readonly family: Family
  readonly key: RowKey
}

export interface ReadRow extends CopiedKey {
  /** The row is undefined if there is none. */
  readonly row: MetadataRow | undefined
}

export interface RowSlice {
  readonly rows: readonly ReadRow[]
  /** The next key is undefined if the family has no more. */
  readonly next: RowKey | undefined
}

const PAYLOAD_BYTES_EXPECTED = 4 * 1024
const bytesOf = (family: Family, key: RowKey, { value, payload }: MetadataRow): number =>
  entryBytes([{ family, key, value }]) + (payload === undefined ? 0 : PAYLOAD_BYTES_EXPECTED)

function sliceOf(view: QueryView, family: Family, start: RowKey): RowSlice {
  const rows: ReadRow[] = []
  let lengthBytes = 0
  let seen = 0
  const range = { start, end: END_OF_KEYS, expectedRows: SLICE_LIMITS.rowsMax + 1 }
  for (const [key, row] of view.range(family, range)) {
    if (seen >= SLICE_LIMITS.rowsMax || lengthBytes >= SLICE_LIMITS.bytesMax) return { rows, next: key }
    seen += 1
    // The head of an object that has a current row was copied with that.
    if (family === "heads" && view.get("current", key) !== undefined) continue
    rows.push({ family, key, row })
    lengthBytes += bytesOf(family, key, row)
    const head = family === "current" ? view.get("heads", key) : undefined
    if (head === undefined) continue
    rows.push({ family: "heads", key, row: head })
    lengthBytes += bytesOf("heads", key, head)
  }
  return { rows, next: undefined }
}

/** The next rows of a family, from a key on. */
export const rowsFrom = query("RowsFrom", sliceOf)

/** Rows by their keys, each current row with its head: a slice of heads leaves out those of current rows. */
export const rowsOf = query("RowsOf", (view, keys: readonly CopiedKey[]) => {
  const currents = new Set(keys.flatMap(({ family, key }) => (family === "current" ? [key] : [])))
  return keys.flatMap(({ family, key }): readonly ReadRow[] => {
    if (family === "heads" && currents.has(key)) return []
    const row = { family, key, row: view.get(family, key) }
    return family === "current" ? [row, { family: "heads", key, row: view.get("heads", key) }] : [row]
  })
})

interface BucketCounters {
  readonly bucketId: BucketId
  /** The counters are undefined if the bucket does not exist. */
  readonly counters: Counters | undefined
}

/** The counters of buckets. */
export const countersOf = query("CountersOf", (view, buckets: readonly BucketId[]) =>
  buckets.map((bucketId): BucketCounters => {
    const exists = view.get("buckets", bucketRowKey(bucketId)) !== undefined
    return { bucketId, counters: exists ? presentCounters(view, bucketId) : undefined }
  }),
)

function presentCounters(view: Pick<DecisionView, "get">, bucketId: BucketId): Counters {
  const row = view.get("counters", bucketRowKey(bucketId))
  return row ? decodeCounters(row.value) : NO_COUNTS
}

interface CopyDecision {
  readonly writes: readonly EntryWrite[]
  readonly counts?: readonly CounterChange[]
  readonly usage?: readonly UsageChange[]
  readonly result: undefined
}

/**
 * Writes rows as they are: no guard protects them, because nothing else writes to this engine meanwhile. A write without
 * a value deletes the row.
 */
export class CopyRows implements Command<undefined> {
  readonly name = "CopyRows"
  readonly grows = true
  readonly touches: Touches

  constructor(private readonly writes: readonly EntryWrite[]) {
    this.touches = writes.map(({ family, key }) => [family, key])
  }

  get args(): readonly unknown[] {
    return [this.writes]
  }

  decide(rows: DecisionView): CopyDecision {
    const writes = this.writes.filter(({ family, key, value }) => {
      const present = rows.get(family, key)
      return value !== undefined || present !== undefined
    })
    return { writes, result: undefined }
  }

  copied(): CopyRows {
    return new CopyRows(plainCopy(this.writes))
  }
}

/** Adds what a bucket's counters lack to be these; undefined: the bucket does not exist. */
export class CopyCounters implements Command<undefined> {
  readonly name = "CopyCounters"
  readonly grows = true
  readonly touches: Touches = []

  constructor(private readonly wanted: BucketCounters) {}

  get args(): readonly unknown[] {
    return [this.wanted]
  }

  decide(rows: DecisionView): CopyDecision {
    const { bucketId, counters } = this.wanted
    if (counters === undefined) return { writes: [], counts: [{ bucketId, change: "drop" }], result: undefined }
    const present = presentCounters(rows, bucketId)
    const change: Counters = {
      objects: counters.objects - present.objects,
      versions: counters.versions - present.versions,
      bytes: counters.bytes - present.bytes,
      uploads: counters.uploads - present.uploads,
    }
    return { writes: [], counts: [{ bucketId, change }], result: undefined }
  }

  copied(): CopyCounters {
    return new CopyCounters(plainCopy(this.wanted))
  }
}

/** Makes a count be this; undefined: it has no row. */
export class CopyUsage implements Command<undefined> {
  readonly name = "CopyUsage"
  readonly grows = true
  readonly touches: Touches

  constructor(
    private readonly key: RowKey,
    private readonly wanted: Usage | undefined,
  ) {
    this.touches = [["usage", key]]
  }

  get args(): readonly unknown[] {
    return [this.key, this.wanted]
  }

  decide(rows: DecisionView): CopyDecision {
    const { key, wanted } = this
    const row = rows.get("usage", key)
    if (wanted === undefined) return { writes: [], usage: [{ key, change: "drop" }], result: undefined }
    if (row === undefined) return { writes: [], usage: [{ key, change: wanted, isNew: true }], result: undefined }
    const present = decodeUsage(row.value)
    const change: Usage = {
      bytes: wanted.bytes - present.bytes,
      objects: wanted.objects - present.objects,
      partBytes: wanted.partBytes - present.partBytes,
    }
    return { writes: [], usage: [{ key, change }], result: undefined }
  }

  copied(): CopyUsage {
    return new CopyUsage(this.key, plainCopy(this.wanted))
  }
}
