/**
 * Decodes the base of a device (the folder `base/`): every row of every family, each checked by the
 * hash that it carries. Beside a running store it shows the last checkpoint.
 */
import { isFailure } from "../../base/failures.js"
import { FAMILY_NAMES } from "../../base/families.js"
import { rowKeyOf } from "../../base/ids.js"
import { decodeBaseRow } from "../../format/base-row.js"
import { KEY_BYTES_MAX, type StoreReader } from "../../seams/store/contract.js"
import { hexOfKey, type Finding } from "./inspect.js"

const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(KEY_BYTES_MAX)) }

export async function* inspectBase(store: StoreReader): AsyncGenerator<Finding> {
  for (const family of FAMILY_NAMES) {
    let [rows, bytes] = [0, 0]
    for (const [key, stored] of store.range(family, ALL)) {
      rows += 1
      bytes += stored.length
      const fields = { family, row: hexOfKey(key) }
      try {
        const { value, place } = decodeBaseRow(family, key, stored)
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
