/**
 * Store: the ordered rows of one device below its memtable, as checkpoints write them.
 *
 * One writer commits large batches, durable as a whole; readers see what has been committed after `prepare` and
 * `adopt`. After a crash the store holds the last commit that returned, or the one in progress.
 * Keys are byte strings of 1 to `KEY_BYTES_MAX` bytes, ordered by bytes; values of up to `VALUE_BYTES_MAX`. Both are
 * asserted. Failures: `corruptRow` if stored bytes differ from the written ones, `deviceFull` and
 * `deviceFailed` otherwise. A row that cannot be read is never reported as absent.
 */
import { assert } from "../../assert.js"
import type { Failure } from "../../failures.js"
import {
  ENTRY_BYTES_MAX,
  ROW_KEY_BYTES_MAX,
  STORED_KEY_OVERHEAD_BYTES_MAX,
  STORED_VALUE_OVERHEAD_BYTES_MAX,
} from "../../limits.js"
import type { DeviceCipher } from "../../encryption/device-cipher.js"
import type { DeviceId, RowKey } from "../../ids.js"
import type { Family } from "../../rows/families.js"
import type { KeyRange } from "../../rows/key-range.js"
import type { RowVisitor } from "../../rows/row-scan.js"
import type { Disk } from "../disk/contract.js"

export type { KeyRange } from "../../rows/key-range.js"

/** A store takes each row that a command may write, in the form in which a device stores it. */
export const KEY_BYTES_MAX = ROW_KEY_BYTES_MAX + STORED_KEY_OVERHEAD_BYTES_MAX
export const VALUE_BYTES_MAX = ENTRY_BYTES_MAX + STORED_VALUE_OVERHEAD_BYTES_MAX

/** Reads are synchronous and consumed within one turn. Values are in shared memory: callers must not write to them. */
export interface StoreReader {
  get(family: Family, key: RowKey): Uint8Array | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]>
  /** Like `range`, forward, without an object for each row. */
  scan(family: Family, range: KeyRange, visitor: RowVisitor): void
  /**
   * Loads the rows of these keys into memory, so that a following `get` does not block the thread. Undefined
   * if there is nothing to wait for. Rejects with `deviceFailed` if they cannot be read.
   */
  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined
  /**
   * Reads every row of the latest commit, a few in each turn of the event loop, and compares the number of rows and the
   * sum of their hashes, family by family, with what that commit recorded. Rejects with `corruptRow`, which names the
   * family, if a row is missing, extra or changed; with `deviceFailed` if the device cannot be read; with `stopping`
   * if the signal fires.
   */
  verify(signal: AbortSignal): Promise<void>
  /** Opens the commits since then. Reads do not see them yet. */
  prepare(): Promise<void>
  /** Makes reads see what `prepare` has opened. */
  adopt(): void
  /** The commit or merge that reads see: numbers increase. */
  readonly generation: number
  close(): Promise<void>
}

export interface StoreWrite {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
  /** The payload of the row that this one replaces is already counted as dead. */
  readonly isOlderCounted?: true
}

/** Called once for each stored value that no row has any more. */
export type DroppedRow = (family: Family, key: RowKey, value: Uint8Array) => void

/**
 * The purpose of a merge. `due`: keeps reads fast. `quiet`: also removes deleted and replaced rows, while the store is
 * idle. `full`: removes all of them, since the disk is full.
 */
export type MergeUrgency = "due" | "quiet" | "full"

export interface Merging {
  readonly urgency: MergeUrgency
  /** The most that a step may write, unless even the smallest one is larger. */
  readonly spaceBytes: number
  /** Numbers of files that recently could not be read: merges skip them. */
  readonly unread?: readonly number[]
  readonly dropped: DroppedRow
  /** Marks that change with the merge; called once all dropped rows are known. */
  marks(): readonly StoreWrite[]
}

export interface StoreWriter extends StoreReader {
  /**
   * Writes all of these, or nothing; durable once it returns. Of writes to one row the last wins. Throws `deviceFull`
   * or `deviceFailed`; `isCertain` then returns whether nothing has changed.
   */
  commit(writes: Iterable<StoreWrite>): Promise<void>
  /** False if the last commit or merge failed, and may still appear after a restart. */
  readonly isCertain: boolean
  /**
   * Merges some rows. Returns how many were written; undefined if there was nothing to do. If one of its files
   * cannot be read, it throws `deviceFailed` with the number of that file as `file`.
   */
  merge(merging: Merging): Promise<number | undefined>
  /** The unmerged files are so many that reads become slow. */
  readonly isCrowded: boolean
  /** Removes files that no reader needs, all of which have adopted the present generation. */
  removeUnused(): Promise<void>
}

/** The device of a store. */
export interface StoreHost {
  readonly disk: Disk
  readonly deviceId: DeviceId
  /** Encrypts what is written; absent: nothing is. */
  readonly cipher?: DeviceCipher | undefined
  /** Runs a read on the calling thread; undefined if it fails, or reads were slow lately. Absent if never. */
  readonly syncReads?: { read<T>(read: () => T): T | undefined }
  /** The store is only read: nothing is written back. */
  readonly isReadOnly?: true
  /**
   * Told why the store does not know which of its files count; all that are there are shown then, which may be more.
   * Absent: such a store is not opened.
   */
  readonly onNoManifest?: (failure: Failure) => void
  /** Told of damage in a file that the store has undone by itself. */
  readonly rebuilt?: (path: string, offsetBytes: number) => void
}

/** Rows of one file that cannot be read. */
export interface LostRows {
  readonly path: string
  /** The place where their keys lie: hexadecimal, number of the family first; up to and with `toKey`. */
  readonly ranges: readonly { readonly fromKey: string; readonly toKey: string }[]
  /** How many they are. */
  readonly rows: number
}

/** A folder without files is an empty store. */
export interface Stores {
  openReader(path: string, host: StoreHost): Promise<StoreReader>
  openWriter(path: string, host: StoreHost): Promise<StoreWriter>
  /** Returns true if one of its files is not encrypted. */
  holdsPlain(path: string, host: StoreHost): Promise<boolean>
  /** Makes it an empty store, whatever it holds; nobody may have it open. No error when it is not there. */
  discard(path: string, host: StoreHost): Promise<void>
}

/** The checks that every implementation makes of a write, before anything is changed. */
export function assertWrite(write: StoreWrite): void {
  const refusal = refusalOf(write)
  assert(refusal === undefined, () => refusal ?? "")
}

/** Returns why no store takes the write; undefined if it is taken. */
export function refusalOf({ key, value }: StoreWrite): string | undefined {
  if (key.length === 0) return "a key is not empty"
  if (key.length > KEY_BYTES_MAX) return `a key of ${key.length} bytes is too long`
  if (value !== undefined && value.length > VALUE_BYTES_MAX) return `a value of ${value.length} bytes is too long`
  return undefined
}
