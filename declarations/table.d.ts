/**
 * `hayloft/table`: sorted files of keys and values that programs read in place (docs/guide/tables.md).
 *
 * The public types of packages/engine/src/table-files/library.ts, as programs see them; a test has the compiler compare the two.
 */

/** A key: bytes, or the UTF-8 of a text. */
export type TableKey = string | Uint8Array

export interface OpenTableOptions {
  /** Bytes of blocks that are kept in memory; 64 MiB if absent. */
  readonly cacheBytes?: number | undefined
  /** "whole": every byte is read and verified first. */
  readonly check?: "index" | "whole" | undefined
  /** Breaks off the check of the whole file. */
  readonly signal?: AbortSignal | undefined
}

export interface BuildOptions {
  /** The type of values; "json" takes what `JSON.stringify` takes. */
  readonly values: "bytes" | "text" | "json"
  /** Texts that describe the file. */
  readonly notes?: Readonly<Record<string, string>> | undefined
  /** Which of several rows with one key the file gets; "error" if absent. */
  readonly duplicates?: "error" | "first" | "last" | undefined
  /** A file of this name is replaced. */
  readonly replaces?: boolean | undefined
  /** Rows that are sorted in memory at a time; 128 MiB if absent. */
  readonly sortBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface TableRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface TableRange {
  /** Only keys that begin with it. */
  readonly prefix?: TableKey | undefined
  /** Only this key and those behind it. */
  readonly from?: TableKey | undefined
  /** Only keys before it. */
  readonly to?: TableKey | undefined
  readonly limit?: number | undefined
}

export interface TableStat {
  readonly path: string
  readonly keys: number
  readonly sizeBytes: number
  readonly values: "bytes" | "text" | "json"
  readonly notes: Readonly<Record<string, string>>
  /** 16 hex digits: two files with the same rows have the same checksum. */
  readonly checksum: string
}

/** An open file. Each thread and each process opens it for itself. */
export interface TableFile {
  readonly values: "bytes" | "text" | "json"
  /** Blocks that were damaged, and that parity has mended in memory. */
  readonly mendedBlocks: number
  /** Bytes of blocks in memory. */
  readonly cachedBytes: number
  stat(): TableStat
  /** The bytes of the value; undefined if the file does not have the key. Throws if the file is damaged there. */
  get(key: TableKey): Uint8Array | undefined
  /** The values of several keys, in their order. */
  getAll(keys: readonly TableKey[]): (Uint8Array | undefined)[]
  /** The value as a text, as a value of JSON, or as bytes. */
  value(key: TableKey): unknown
  /** Keys and values in the order of the keys' bytes. */
  scan(range?: TableRange): Generator<TableRow>
  /** Reads the whole file; throws if a byte differs from what was written. */
  verify(signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

export function openTable(path: string, options?: OpenTableOptions): Promise<TableFile>

export function buildTable(
  path: string,
  source: Iterable<readonly [key: TableKey, value: unknown]> | AsyncIterable<readonly [key: TableKey, value: unknown]>,
  options: BuildOptions,
): Promise<void>
