/**
 * Decodes the metadata store of a device (the folder `base/`): every row of every family, each checked against its
 * hash, and the rows that checkpoints have set aside. While the store runs, it shows the last checkpoint.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { FAMILY_NAMES, type Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { asideRows, behindDamage } from "@hayloft/engine/device/index.js"
import { ASIDE_MARKS } from "@hayloft/engine/format/tables/aside-row.js"
import { decodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import { KEY_BYTES_MAX, type StoreReader } from "@hayloft/base/seams/store/contract.js"
import { hexOfKey, type Finding } from "./inspect.js"

const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(KEY_BYTES_MAX)) }

/** `noManifest`: why it is unknown which tables are valid; all are shown. */
export async function* inspectMetadataStore(store: StoreReader, noManifest?: Failure): AsyncGenerator<Finding> {
  if (noManifest !== undefined) {
    yield { what: "manifest", offsetBytes: 0, intact: false, fields: { reason: noManifest.message } }
  }
  for (const family of FAMILY_NAMES) {
    let [rows, bytes] = [0, 0]
    for (const found of foundRows(store, family)) {
      const fields = { family, row: hexOfKey(found.key), ...(found.isAside === true && { setAside: true }) }
      try {
        if ("failure" in found) throw found.failure
        rows += 1
        bytes += found.stored.length
        const { value, place } = decodeStoredRow(family, found.key, found.stored)
        const payload = place === undefined ? {} : { payload: `volume ${place.volume} at ${place.offsetBytes}` }
        yield { what: "row", offsetBytes: 0, intact: true, fields: { ...fields, valueBytes: value.length, ...payload } }
      } catch (error) {
        if (!isFailure(error)) throw error
        yield { what: "row", offsetBytes: 0, intact: false, fields: { ...fields, reason: error.message } }
      }
    }
    if (rows > 0) yield { what: "family", offsetBytes: 0, intact: true, fields: { family, rows, bytes } }
  }
}

/** A row, or the reason why rows from a key on cannot be read. */
type FoundRow = { readonly key: RowKey; readonly isAside?: boolean } & (
  | { readonly stored: Uint8Array }
  | { readonly failure: Failure }
)

/** The rows of the family, then those that checkpoints have set aside. */
function* foundRows(store: StoreReader, family: Family): Generator<FoundRow> {
  yield* rowsOf(store, family)
  try {
    for (const { key, stored, ...row } of asideRows(store))
      if (row.family === family) yield { key, stored, isAside: true }
  } catch (error) {
    if (!isFailure(error, "corruptRow", "corruptRecord")) throw error
    if (family === "marks") yield { key: ASIDE_MARKS.start, failure: error, isAside: true }
  }
}

/** Continues after damage. */
function* rowsOf(store: StoreReader, family: Family): Generator<FoundRow> {
  for (let start: RowKey | undefined = ALL.start; start !== undefined;) {
    let at: RowKey = start
    start = undefined
    try {
      for (const [key, stored] of store.range(family, { start: at, end: ALL.end })) {
        at = key
        yield { key, stored }
      }
    } catch (error) {
      if (!isFailure(error, "corruptRow")) throw error
      yield { key: at, failure: error }
      start = behindDamage(error, family, at)?.key
    }
  }
}
