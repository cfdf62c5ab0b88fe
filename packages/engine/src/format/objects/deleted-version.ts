/**
 * Deleted versions: what undelete keeps of a bucket without versioning, until its time (family `deleted`). The row has the
 * version's record as it was, with all its details, and its payload. See decision 59.
 */
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { BYTES, NUMBER, oneOf, record, type RowOf } from "../encoding/fields.js"
import { versionRowKey } from "../row-key.js"
import { decodeVersion, encodeVersion, type VersionRecord } from "./version-record.js"

/** How a version was taken. Numbers are on disk: append only. */
const REASONS = ["deleted", "overwritten", "expired"] as const
export type DeletedReason = (typeof REASONS)[number]

/** When, until when and why. */
const DELETION = {
  deletedMs: NUMBER,
  untilMs: NUMBER,
  reason: oneOf(REASONS),
}
export type Deletion = RowOf<typeof DELETION>

interface DeletedVersion extends Deletion {
  /** Its details are in it, whatever their size, and no other version references its bytes. */
  readonly record: VersionRecord
}

const DELETED = record("deleted version", { ...DELETION, record: BYTES })
/** Without decoding the version's record. Throws `corruptRecord`. */
export const { decode: openDeletedVersion } = DELETED

/** The families with a version in each row. */
export const VERSION_FAMILIES = ["current", "versions", "deleted"] as const
export type VersionFamily = (typeof VERSION_FAMILIES)[number]

export const isVersionFamily = (family: string): family is VersionFamily =>
  VERSION_FAMILIES.some(each => each === family)

export const encodeDeletedVersion = (deleted: DeletedVersion): Uint8Array =>
  DELETED.encode({ ...deleted, record: encodeVersion(deleted.record) })

/** Throws `corruptRecord`. */
export function decodeDeletedVersion(value: Uint8Array): DeletedVersion {
  const { record, ...deletion } = openDeletedVersion(value)
  return { ...deletion, record: decodeVersion(record) }
}

/** The version in a row. Throws `corruptRecord`. */
export const versionOfRow = (family: VersionFamily, value: Uint8Array): VersionRecord =>
  decodeVersion(family === "deleted" ? openDeletedVersion(value).record : value)

/**
 * The newest of a key first. The id of the decision that takes a version makes the key one that no other row ever has: the
 * order alone could be used again, once the object is gone.
 */
export const deletedRowKey = (row: RowKey, order: number, decisionId: string): RowKey =>
  rowKeyOf(versionRowKey(row, order) + decisionId)

/** A record of a version with a change, in whichever family it is. */
export function changedVersion(
  family: VersionFamily,
  value: Uint8Array,
  change: (record: VersionRecord) => VersionRecord,
): Uint8Array {
  if (family !== "deleted") return encodeVersion(change(decodeVersion(value)))
  const { record, ...deletion } = decodeDeletedVersion(value)
  return encodeDeletedVersion({ ...deletion, record: change(record) })
}
