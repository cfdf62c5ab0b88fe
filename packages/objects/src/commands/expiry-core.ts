/**
 * Expiring objects: a version may have a second from which on its object no longer exists, whether or not a job has
 * removed it by then. Pure.
 *
 * This concerns the current version alone. One that a newer version has replaced stays, and can be read by its id, like
 * one that is hidden behind a delete marker. If removing the current version would leave nothing (no versioning, or
 * a null version while versioning is suspended), it cannot be read by its id either.
 */
import { fail } from "@hayloft/base/failures.js"
import type { VersionId } from "@hayloft/base/ids.js"
import type { Versioning } from "@hayloft/engine/format/records.js"
import { expiryOfRecord, type VersionHead, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { MetadataRow } from "@hayloft/engine/metadata/index.js"

/** Until the year 2286: ten digits. */
const EXPIRES_AT_MAX = 9_999_999_999

/** A version where it is stored. */
interface StoredVersion {
  readonly family: string
  readonly row: Pick<MetadataRow, "value">
  readonly head: Pick<VersionHead, "isMarker" | "isNull">
}

/** Returns true if the object's second has come. */
export function isExpired({ family, row }: Pick<StoredVersion, "family" | "row">, nowMs: number): boolean {
  const expiresAtSeconds = family === "current" ? expiryOfRecord(row.value) : undefined
  return expiresAtSeconds !== undefined && expiresAtSeconds * 1000 <= nowMs
}

/**
 * Returns true if a version goes without a trace once it is no longer current: a removal leaves no noncurrent version
 * of it.
 */
export const leavesNothing = ({ isNull }: Pick<VersionHead, "isNull">, versioning: Versioning): boolean =>
  versioning === "never" || (versioning === "suspended" && isNull)

/** By which versions are found: `versionId`: by its id. */
interface Finding {
  readonly versionId: VersionId | undefined
  readonly versioning: Versioning
  readonly nowMs: number
}

/** Throws `noSuchKey` or `noSuchVersion` if the version does not exist any more for this request. */
export function requireUnexpired(found: StoredVersion, { versionId, versioning, nowMs }: Finding): void {
  if (!isExpired(found, nowMs)) return
  if (versionId === undefined) throw fail("noSuchKey")
  if (leavesNothing(found.head, versioning)) throw fail("noSuchVersion", { versionId })
}

/**
 * The time by which objects expire in a decision: the earlier of both clocks, so that one that is ahead ends none. The
 * store's is 0 while it is unknown.
 */
export const expiryClock = ({ nowMs }: { readonly nowMs: number }, clockMs = 0): number =>
  clockMs === 0 ? nowMs : Math.min(clockMs, nowMs)

/** Sets or removes the expiry: the version does not expire if `expiresAtSeconds` is undefined. */
export const withExpiry = (
  { expiresAtSeconds: _before, ...record }: VersionRecord,
  expiresAtSeconds: number | undefined,
): VersionRecord => (expiresAtSeconds === undefined ? record : { ...record, expiresAtSeconds })

/** Throws `invalidArgument` for a second that has passed, or is none. */
export function checkExpiry(expiresAtSeconds: number, nowMs: number): void {
  if (!Number.isSafeInteger(expiresAtSeconds) || expiresAtSeconds < 0 || expiresAtSeconds > EXPIRES_AT_MAX)
    throw fail("invalidArgument", {
      message: `the time at which an object expires is in whole seconds up to ${EXPIRES_AT_MAX}`,
    })
  if (expiresAtSeconds * 1000 <= nowMs)
    throw fail("invalidArgument", { message: "the time at which the object expires has passed" })
}
