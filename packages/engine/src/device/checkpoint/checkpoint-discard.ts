/**
 * Discards the rows that a source has brought into the metadata store, so that the source supplies them again: the way
 * out if the rows of an unlogged family are damaged and their origin is not.
 *
 * Promises  The marks of the sources are removed first: wherever this is cut off, the next opening and the next checkpoint
 *           collect everything. Rows of other families stay as they are.
 * Refuses   Nothing by itself: the caller must make sure that the metadata store is not open.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { StoreHost, StoreReader, Stores } from "@hayloft/base/seams/store/contract.js"
import { sourceMark } from "./checkpoint.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"

const ROWS_PER_COMMIT = 20_000

/**
 * `sources`: all that the rows of the family come from. Returns the number of discarded rows. Throws `corruptRow` if the structure of the store is broken, `deviceFull`,
 * `deviceFailed`.
 */
export async function discardSource(
  stores: Stores,
  folder: string,
  host: StoreHost,
  sources: readonly string[],
  family: Family,
): Promise<number> {
  const store = await stores.openWriter(folder, host)
  try {
    await store.commit(sources.map(source => ({ family: "marks", key: sourceMark(source), value: undefined })))
    let rows = 0
    for (;;) {
      const keys = firstKeys(store, family)
      if (keys.length === 0) return rows
      await store.commit(keys.map(key => ({ family, key, value: undefined })))
      rows += keys.length
    }
  } finally {
    await store.close()
  }
}

function firstKeys(store: StoreReader, family: Family): readonly RowKey[] {
  const keys: RowKey[] = []
  for (const [key] of store.range(family, ALL_ROWS)) {
    keys.push(key)
    if (keys.length === ROWS_PER_COMMIT) break
  }
  return keys
}
