/** Says where the rows of a family are stored: an object's head is a column of its current row. Pure. */
import { FAMILIES, FAMILY_NAMES, OBJECT_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { objectRowKeyOf } from "../format/row-key.js"
import type { Column, StoredFamily, StoredKey } from "./database.js"

interface StoredIn {
  readonly family: StoredFamily
  readonly column: Column
}

const inValue = (family: StoredFamily): StoredIn => ({ family, column: "value" })
const HEAD: StoredIn = { family: "current", column: "head" }
const PLACES = new Map<Family, StoredIn>(
  FAMILY_NAMES.map(family => [family, family === "heads" ? HEAD : inValue(family)]),
)

/** The stored family and column of a family's rows. */
export const storedIn = (family: Family): StoredIn => PLACES.get(family) ?? HEAD

/** The order in which all statements lock rows. */
export function byStoredKey(a: StoredKey, b: StoredKey): number {
  if (a.family !== b.family) return FAMILIES[a.family] - FAMILIES[b.family]
  return a.key < b.key ? -1 : 1
}

const OF_OBJECTS: ReadonlySet<Family> = new Set(OBJECT_FAMILIES)

/** Commands whose first rows have the same one go to the same lane: for an object's rows, that of the object. */
export const laneKeyOf = (family: Family, key: RowKey): RowKey => (OF_OBJECTS.has(family) ? objectRowKeyOf(key) : key)
