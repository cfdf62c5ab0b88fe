/**
 * Rows aside: rows that a checkpoint cannot write, because the metadata store refuses their length.
 *
 * They are kept in marks, which are committed together with the other rows of the checkpoint. So they survive restarts
 * and cuts of the log, and reads find them above the rows of the store. A later write or deletion of the row removes
 * its marks in the same commit.
 *
 * Limits    `ASIDE_LIMITS`: every generation of the manifest contains the marks. Beyond them, and for rows with an
 *           inline payload, whose volume upkeep finds by rows only, the checkpoint fails.
 */
import { FAMILIES, REPLICATED_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { ASIDE_MARKS, decodeAsideRows, encodeAsideRow, type AsideRow } from "../../format/tables/aside-row.js"
import { STORE_PREFIX_BYTES, storePrefixOf } from "../../format/device/replica-incarnation.js"
import { decodeStoredRow, encodeStoredRow } from "../../format/tables/stored-row.js"
import { refusalOf, type StoreReader, type StoreWrite } from "@hayloft/base/seams/store/contract.js"
import type { ReplicaIncarnations } from "../contract.js"

export const ASIDE_LIMITS = { rowsMax: 16, bytesMax: 24 * MIB } as const

const PRINTED_BYTES_MAX = 48

export const rowName = (family: Family, key: RowKey): string => String.fromCharCode(FAMILIES[family]) + key

/** Family and key, safe to print: a key may contain any byte and be of any length. */
export function printedRow(family: Family, key: RowKey): string {
  const shown = JSON.stringify(key.slice(0, PRINTED_BYTES_MAX).replaceAll(/[^\x20-\x7e]/g, "?"))
  return `${family} ${shown}${key.length > PRINTED_BYTES_MAX ? ` and ${key.length - PRINTED_BYTES_MAX} bytes` : ""}`
}

/** The rows that are set aside in the generation that the store shows. */
export function asideRows(store: StoreReader): readonly AsideRow[] {
  const marks = Array.from(store.range("marks", ASIDE_MARKS), ([mark, bytes]) => {
    return [mark, decodeStoredRow("marks", mark, bytes).value] as const
  })
  return decodeAsideRows(marks)
}

const bytesOf = ({ key, stored }: AsideRow): number => key.length + stored.length

/** `writes`, each row once, with those that the store refuses replaced by marks. */
export function setAside(
  store: StoreReader,
  writes: readonly StoreWrite[],
  replicaIncarnations: ReplicaIncarnations,
): readonly StoreWrite[] {
  const before = asideRows(store)
  if (before.length === 0 && !writes.some(write => refusalOf(write) !== undefined)) return writes
  const written = new Set(writes.map(({ family, key }) => rowName(family, key)))
  const prefixes = new Set(Array.from(replicaIncarnations.values(), storePrefixOf))
  const isCurrent = ({ family, key }: AsideRow): boolean =>
    !REPLICATED_FAMILIES.includes(family) || prefixes.has(key.slice(0, STORE_PREFIX_BYTES))
  const kept = before.filter(row => isCurrent(row) && !written.has(rowName(row.family, row.key)))
  const { rowsMax, bytesMax } = ASIDE_LIMITS
  let [rows, bytes] = [kept.length, kept.reduce((sum, row) => sum + bytesOf(row), 0)]
  const added: AsideRow[] = []
  const others = writes.filter(write => {
    const { family, key, value } = write
    if (refusalOf(write) === undefined) return true
    // The store cannot contain the row: there is nothing to delete below its marks.
    if (value === undefined) return refusalOf({ family, key, value: new Uint8Array() }) === undefined
    const row: AsideRow = { family, key, stored: value }
    if (decodeStoredRow(family, key, value).place !== undefined) return true
    if (rows + 1 > rowsMax || bytes + bytesOf(row) > bytesMax) return true
    rows += 1
    bytes += bytesOf(row)
    added.push(row)
    return false
  })
  return [...others, ...marksBetween(before, [...kept, ...added])]
}

/** The marks that turn one set of rows into the other. */
function marksBetween(before: readonly AsideRow[], after: readonly AsideRow[]): readonly StoreWrite[] {
  const marks = new Map<RowKey, Uint8Array | undefined>()
  for (const [mark] of before.flatMap(encodeAsideRow)) marks.set(mark, undefined)
  for (const [mark, bytes] of after.flatMap(encodeAsideRow)) marks.set(mark, encodeStoredRow(bytes, undefined))
  return Array.from(marks, ([key, value]): StoreWrite => ({ family: "marks", key, value }))
}
