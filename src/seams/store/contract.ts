/**
 * Store: the ordered base below a device's overlay (LMDB, or a tree in memory).
 *
 * One writer commits large transactions with a sync; readers see the latest commit after `refresh`.
 * After a crash the store holds exactly the last commit that returned, nothing else.
 * Keys are byte strings up to 1,978 bytes, ordered by bytes.
 */
import type { RowKey } from "../../base/ids.js"
import type { Family } from "../../base/families.js"

export interface KeyRange {
  /** Inclusive, in both directions. */
  readonly start: RowKey
  /** Exclusive, in both directions. */
  readonly end: RowKey
  /** Descending: from just below `end` down to `start`. */
  readonly reverse?: boolean
}

export interface StoreReader {
  get(family: Family, key: RowKey): Uint8Array | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]>
  /** Brings pages into memory off the thread, so that the `get`s that follow do not fault. */
  warm(family: Family, keys: readonly RowKey[]): Promise<void>
  /** Lets later reads see what has been committed since. */
  refresh(): void
  close(): Promise<void>
}

export interface StoreWrite {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
}

export interface StoreWriter extends StoreReader {
  /** One transaction, durable when it returns. Throws `deviceFull` or `deviceFailed`; then nothing changed. */
  commit(writes: Iterable<StoreWrite>): Promise<void>
}

export interface Stores {
  openReader(path: string): Promise<StoreReader>
  openWriter(path: string): Promise<StoreWriter>
}
