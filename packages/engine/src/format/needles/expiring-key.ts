/**
 * Row keys of the family `expiringNeedles`, where each class of needles that end has its part of the index: the number of
 * the class (1), then the index key of the needle (27).
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"

export const EXPIRING_FAMILY = "expiringNeedles" as const satisfies Family

/** `key`: of the needle, or a bound of a range. */
export const expiringKeyOf = (classNumber: number, key: RowKey): RowKey =>
  rowKeyOf(`${String.fromCharCode(classNumber)}${key}`)

/** The needle's key, in a row key of the family. */
export const needleKeyIn = (key: RowKey): RowKey => rowKeyOf(key.slice(1))

/** Returns true if the row is one of the class. */
export const isOfClass = (classNumber: number, key: RowKey): boolean => key.charCodeAt(0) === classNumber
