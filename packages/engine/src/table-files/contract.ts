/** Tables of users: sorted keys and values in one file that never changes. */
import type { ValueKind } from "../format/tables/user-table.js"

export type { ValueKind } from "../format/tables/user-table.js"

/** A key as a program names it: bytes, or the UTF-8 of a text. */
export type TableKey = string | Uint8Array

export interface TableRow {
  readonly key: Buffer
  readonly value: Buffer
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
  /** The format of keys and values: "bytes", "text" or "json". */
  readonly values: ValueKind
  /** Texts that describe the file. */
  readonly notes: Readonly<Record<string, string>>
  /** 16 hex digits: two files with the same rows have the same checksum. */
  readonly checksum: string
}

/** The key "" is the shortest one. */
export const keyBytes = (key: TableKey): Buffer =>
  typeof key === "string" ? Buffer.from(key, "utf8") : Buffer.from(key.buffer, key.byteOffset, key.byteLength)

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text of these bytes; undefined if they are no UTF-8. */
export function textOfBytes(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** A key in messages. */
export const keyText = (key: Uint8Array): string =>
  JSON.stringify(textOfBytes(key) ?? `base64 ${Buffer.from(key).toString("base64")}`)
