/**
 * Object lock: what protects a version from removal, and what a bucket gives its new versions.
 *
 * Promises  A release that does not know locks refuses every record that has one: flag 32 of a version's head, format 2
 *           of a bucket's record. So it removes nothing that is locked.
 */
import { fail } from "../base/failures.js"
import { pick, type RecordReader } from "./pack.js"

/** `COMPLIANCE` can only be prolonged; `GOVERNANCE` yields to those who may bypass it. */
type LockMode = "GOVERNANCE" | "COMPLIANCE"

export interface Retention {
  readonly mode: LockMode
  /** By the store's clock. */
  readonly untilMs: number
}

/** The retention and the legal hold that a version has been given; both may be over or off. */
export interface VersionLock {
  readonly retention: Retention | undefined
  /** The legal hold is undefined if it was never set. */
  readonly legalHold: boolean | undefined
}

export interface DefaultRetention {
  readonly mode: LockMode
  readonly unit: "days" | "years"
  readonly count: number
}

/** The lock of a bucket, which is on and stays on. */
export interface BucketLock {
  /** The retention of new versions whose request states none. */
  readonly defaultRetention: DefaultRetention | undefined
}

/** Numbers are on disk: append only. */
const MODES: readonly LockMode[] = ["GOVERNANCE", "COMPLIANCE"]
const UNITS: readonly DefaultRetention["unit"][] = ["days", "years"]

export const packVersionLock = ({ retention, legalHold }: VersionLock): readonly unknown[] => [
  retention ? [MODES.indexOf(retention.mode), retention.untilMs] : null,
  legalHold === undefined ? null : Number(legalHold),
]

/** Throws `corruptRecord`. */
export function readVersionLock(row: RecordReader): VersionLock {
  const retention = row.optional(() => {
    const pair = row.row()
    return { mode: pick(MODES, pair.number(), "lock mode"), untilMs: wholeNumber(pair) }
  })
  const hold = row.optional(() => pick([false, true], row.number(), "legal hold"))
  return { retention, legalHold: hold }
}

export const packBucketLock = ({ defaultRetention: given }: BucketLock): readonly unknown[] => [
  given ? [MODES.indexOf(given.mode), UNITS.indexOf(given.unit), given.count] : null,
]

/** Throws `corruptRecord`. */
export function readBucketLock(row: RecordReader): BucketLock {
  const defaultRetention = row.optional(() => {
    const fields = row.row()
    const mode = pick(MODES, fields.number(), "lock mode")
    return { mode, unit: pick(UNITS, fields.number(), "lock unit"), count: wholeNumber(fields) }
  })
  return { defaultRetention }
}

function wholeNumber(row: RecordReader): number {
  const value = row.number()
  if (!Number.isSafeInteger(value) || value < 0) throw fail("corruptRecord", { what: "lock" })
  return value
}
