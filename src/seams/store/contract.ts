/**
 * Store: the ordered base below a device's overlay (LMDB, or a tree in memory).
 *
 * One writer commits large transactions with a sync; readers see the latest commit after `refresh`.
 * After a crash the store holds exactly the last commit that returned, nothing else.
 * A reader may see a commit before its `refresh`, but always whole; a range that has begun keeps what
 * it began with.
 * Keys are byte strings of 1 to `KEY_BYTES_MAX` bytes, ordered by bytes; values of up to
 * `VALUE_BYTES_MAX`. Both are asserted. Failures: `corruptRow` where the store finds its own
 * structure broken, `deviceFull` and `deviceFailed` otherwise.
 */
import { assert } from "../../base/assert.js"
import type { RowKey } from "../../base/ids.js"
import type { Family } from "../../base/families.js"
import type { KeyRange } from "../../base/key-range.js"

export type { KeyRange } from "../../base/key-range.js"

/** What LMDB allows with pages of 4 KiB, so that a base can be moved to any page size. */
export const KEY_BYTES_MAX = 1978
export const VALUE_BYTES_MAX = 1024 * 1024

/** Takes rows where they lie. What it is given is good for the call only. */
export interface RowTaker {
  /** The key of the next row, in `bytes[from…to)`. */
  key(bytes: Uint8Array, from: number, to: number): void
  /** Its value, the first bytes. False ends the scan. */
  value(bytes: Uint8Array, lengthBytes: number): boolean
}

export interface StoreReader {
  get(family: Family, key: RowKey): Uint8Array | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]>
  /** As `range`, forward, without an object for each row. The taker must not scan this store itself. */
  scan(family: Family, range: KeyRange, taker: RowTaker): void
  /**
   * Brings pages into memory off the thread, so that the `get`s that follow do not fault. Undefined
   * where there is nothing to wait for: the store is known to be in memory as a whole. Rejects with
   * `deviceFailed` where they do not come in time: to read them then would hold up the thread.
   */
  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined
  /**
   * Reads every row of the latest commit, a few in each turn of the event loop, and compares the number of rows and the
   * sum of their hashes, family by family, with what that commit recorded. Rejects with `corruptRow`, which names the
   * family, if a row is missing, extra or changed; with `deviceFailed` if the device cannot be read; with `stopping`
   * if the signal fires.
   */
  verify(signal: AbortSignal): Promise<void>
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

/** An absent folder is made, and is an empty store. Values handed out and taken in are copies. */
export interface Stores {
  openReader(path: string): Promise<StoreReader>
  openWriter(path: string): Promise<StoreWriter>
  /** Forgets all that a store holds; nobody may have it open. No error when it is not there. */
  discard(path: string): Promise<void>
}

/** A scan by way of a range. */
export function takeRows(rows: Iterable<readonly [RowKey, Uint8Array]>, taker: RowTaker): void {
  for (const [key, value] of rows) {
    const bytes = Buffer.from(key, "latin1")
    taker.key(bytes, 0, bytes.length)
    if (!taker.value(value, value.length)) return
  }
}

/** The pair of checks that every implementation makes of a write, before anything is changed. */
export function assertWrite({ key, value }: StoreWrite): void {
  assert(key.length > 0, "a key is not empty")
  assert(key.length <= KEY_BYTES_MAX, () => `a key of ${key.length} bytes is too long`)
  assert(value === undefined || value.length <= VALUE_BYTES_MAX, () => `a value of ${value?.length} bytes is too long`)
}
