/** Where the rows of a family are stored: an object's head is a column of its current row. Pure. */
import { FAMILY_NAMES, type Family } from "../base/families.js"
import type { Column, StoredFamily } from "./database.js"

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
