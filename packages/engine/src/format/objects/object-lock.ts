/**
 * Object lock: what protects a version from removal, and what a bucket gives its new versions.
 *
 * Promises  A release that does not know locks refuses every record that has one: flag 32 of a version's head, format 2
 *           of a bucket's record. So it removes nothing that is locked.
 */
import { FLAG, oneOf, optional, row, whole, type ValueOf } from "../encoding/fields.js"

/** `COMPLIANCE` can only be prolonged; `GOVERNANCE` yields to those who may bypass it. Numbers are on disk: append only. */
const MODES = ["GOVERNANCE", "COMPLIANCE"] as const
const UNITS = ["days", "years"] as const

const RETENTION = row({
  mode: oneOf(MODES),
  /** By the store's clock. */
  untilMs: whole(),
})
export type Retention = ValueOf<typeof RETENTION>

/** The retention and the legal hold that a version has been given; both may be over or off. */
export const VERSION_LOCK = row({
  retention: optional(RETENTION),
  /** The legal hold is undefined if it was never set. */
  legalHold: optional(FLAG),
})
export type VersionLock = ValueOf<typeof VERSION_LOCK>

const DEFAULT_RETENTION = row({ mode: oneOf(MODES), unit: oneOf(UNITS), count: whole() })
export type DefaultRetention = ValueOf<typeof DEFAULT_RETENTION>

/** The lock of a bucket, which is on and stays on. */
export const BUCKET_LOCK = row({
  /** The retention of new versions whose request states none. */
  defaultRetention: optional(DEFAULT_RETENTION),
})
export type BucketLock = ValueOf<typeof BUCKET_LOCK>
