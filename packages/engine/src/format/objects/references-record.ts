/**
 * References to segments (family `references`): how many segments of other objects have these bytes too, see decision 82.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { appended, FLAG, NUMBER, record, row, since, TRUE, type ValueOf } from "../encoding/fields.js"
import { STORAGE_CLASS } from "../encoding/id-fields.js"

/** How many segments of other objects reference segments (family `references`). Earlier releases refuse closed ones, and packs. */
const REFERENCES = record("references", {
  count: NUMBER,
  /** No version of the key has them any more: they are deleted with the last reference. */
  isReleased: FLAG,
  /**
   * The class of the first object that referenced the segments, and their own class at that time: its redundancy stays.
   */
  storageClass: STORAGE_CLASS,
  /** Deduplication adds no references: the segments are being deleted, have lost bytes, or were encrypted or moved. */
  isClosed: since(2, TRUE),
  /** How often the record has changed: one that is the same as before was not changed and changed back. Absent: never counted. */
  changes: appended(NUMBER),
  /**
   * The segments are a pack: no object was ever theirs, and those that were packed reference them. It has so many objects,
   * of so many bytes: what is between and behind them does not count.
   */
  pack: since(3, row({ objects: NUMBER, bytes: NUMBER })),
})
export type ReferencesRecord = ValueOf<typeof REFERENCES>
export const { encode: encodeReferences, decode: decodeReferences } = REFERENCES

/** The record after another change. */
export const changedReferences = (before: ReferencesRecord, change: Partial<ReferencesRecord>): ReferencesRecord => ({
  ...before,
  ...change,
  changes: (before.changes ?? 0) + 1,
})
