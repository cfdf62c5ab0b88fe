/**
 * Last writes: the writes in the log since the last checkpoint that count. Pure.
 *
 * The log is walked twice. The first walk only numbers the writes and finds the last one of each row; the second
 * returns those. So nothing of the log is kept in memory between them: a checkpoint's log is hundreds of megabytes, and
 * most writes of a busy row have been overwritten.
 */
import { assert } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { Position, RowKey, TabletId } from "@hayloft/base/ids.js"
import { EntryReader } from "../../format/device/entry.js"
import { STORE_PREFIX_BYTES, storePrefixOf } from "../../format/device/replica-incarnation.js"
import type { LoggedRecord, ReplicaIncarnations } from "../contract.js"

const WRITES_FIRST = 65_536

/** Called with a write that is its row's last. Value and payload are valid for the call only. */
export type TakeLast = (
  family: Family,
  key: RowKey,
  value: Uint8Array | undefined,
  payload: Uint8Array | undefined,
) => void

type Bytes = Pick<LoggedRecord, "bytes">

export class LastWrites {
  /** The number of each row's last write, by store prefix, family and key. */
  private readonly rows = new Map<string, Map<Family, Map<RowKey, number>>>()
  /** By number: 1 if the write is its row's last. */
  private isLast = new Uint8Array(WRITES_FIRST)
  private noted = 0
  private taken = 0
  private readonly lastPositions = new Map<TabletId, Position>()

  /** Entries of other tablets, and of earlier incarnations, are skipped. */
  constructor(private readonly replicaIncarnations: ReplicaIncarnations) {}

  get positions(): ReadonlyMap<TabletId, Position> {
    return this.lastPositions
  }

  /** Returns true if the row is written. */
  has(family: Family, key: RowKey): boolean {
    const rows = this.rows.get(key.slice(0, STORE_PREFIX_BYTES))?.get(family)
    return rows?.has(rowKeyOf(key.slice(STORE_PREFIX_BYTES))) ?? false
  }

  /** The first walk: the records of the log, in order. */
  note(records: readonly Bytes[]): void {
    for (const { bytes } of records) this.noteOne(bytes)
  }

  private noteOne(record: Uint8Array): void {
    const entry = EntryReader.open(record)
    const prefix = this.prefixOf(entry)
    if (prefix === undefined) return
    this.lastPositions.set(entry.tabletId, entry.position)
    for (let family = entry.next(); family !== undefined; family = entry.next()) {
      const rows = this.rowsOf(prefix, family)
      const { key } = entry
      const earlier = rows.get(key)
      if (earlier !== undefined) this.isLast[earlier] = 0
      if (this.noted === this.isLast.length) this.grow()
      this.isLast[this.noted] = 1
      rows.set(key, this.noted)
      this.noted += 1
    }
  }

  /** The second walk: the same records in the same order. */
  take(records: readonly Bytes[], take: TakeLast): void {
    for (const { bytes } of records) this.takeOne(bytes, take)
  }

  private takeOne(record: Uint8Array, take: TakeLast): void {
    const entry = EntryReader.open(record)
    const prefix = this.prefixOf(entry)
    if (prefix === undefined) return
    for (let family = entry.next(); family !== undefined; family = entry.next()) {
      if (this.isLast[this.taken] === 1) take(family, rowKeyOf(prefix + entry.key), entry.value, entry.payload)
      this.taken += 1
    }
    assert(this.taken <= this.noted, "both walks see the same records")
  }

  private prefixOf({ tabletId, epoch }: EntryReader): string | undefined {
    const since = this.replicaIncarnations.get(tabletId)
    return since === undefined || epoch < since ? undefined : storePrefixOf(since)
  }

  private rowsOf(prefix: string, family: Family): Map<RowKey, number> {
    const families = this.rows.get(prefix) ?? new Map<Family, Map<RowKey, number>>()
    const rows = families.get(family) ?? new Map<RowKey, number>()
    if (rows.size === 0) this.rows.set(prefix, families.set(family, rows))
    return rows
  }

  private grow(): void {
    const larger = new Uint8Array(2 * this.isLast.length)
    larger.set(this.isLast)
    this.isLast = larger
  }
}
