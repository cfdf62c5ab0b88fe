/**
 * Object lock: whether a version may be removed, and how its lock may change. Pure.
 *
 * Times are those of the store's clock, which never goes backwards and never runs ahead: a clock that lags keeps locks
 * for longer.
 * Source  "Locking objects with Object Lock", Amazon S3 User Guide.
 */
import { fail } from "@hayloft/base/failures.js"
import type {
  BucketLock,
  DefaultRetention,
  Retention,
  VersionLock,
} from "@hayloft/engine/format/objects/object-lock.js"

interface Clocks {
  /** The store's clock. */
  readonly clockMs: number
  /** The wall clock of the process that decides. */
  readonly nowMs: number
}

export const clocksOf = (
  { clockMs = 0 }: { readonly clockMs?: number },
  { nowMs }: { readonly nowMs: number },
): Clocks => ({ clockMs, nowMs })

/** Returns true if the lock allows a removal without a bypass of governance. */
export const isRemovable = ({ retention, legalHold }: VersionLock, clockMs: number): boolean =>
  legalHold !== true && (retention === undefined || retention.untilMs <= clockMs)

/** Throws `objectLocked`. */
export function requireRemovable(
  lock: VersionLock,
  { clockMs, bypassGovernance }: { readonly clockMs: number; readonly bypassGovernance: boolean },
): void {
  const { retention, legalHold } = lock
  if (legalHold === true) throw fail("objectLocked", { reason: "legal hold" })
  if (retention === undefined || isRemovable(lock, clockMs)) return
  const yieldsToBypass = retention.mode === "GOVERNANCE"
  if (yieldsToBypass && bypassGovernance) return
  throw fail("objectLocked", { reason: `retained until ${new Date(retention.untilMs).toISOString()}`, yieldsToBypass })
}

/**
 * The lock of a new version: what its request states, and the bucket's default retention where it states none. Throws
 * `noObjectLock`, `retentionIsOver`.
 */
export function lockOfNew(
  bucket: BucketLock | undefined,
  stated: VersionLock | undefined,
  clocks: Clocks,
): VersionLock | undefined {
  if (bucket === undefined) {
    if (stated === undefined) return undefined
    throw fail("noObjectLock")
  }
  if (stated?.retention !== undefined) requireAhead(stated.retention, clocks)
  return lockOfRestored(bucket, stated, clocks)
}

/**
 * The lock of a version that is put back, from what is still known of its lock. It may be longer than the lost one, never
 * shorter than what is known: what is unknown is the bucket's default retention, counted from now.
 */
export function lockOfRestored(
  bucket: BucketLock | undefined,
  known: VersionLock | undefined,
  clocks: Clocks,
): VersionLock | undefined {
  const byDefault = bucket?.defaultRetention
  const retention = known?.retention ?? (byDefault && retentionFrom(byDefault, clocks))
  const legalHold = known?.legalHold
  return retention === undefined && legalHold === undefined ? undefined : { retention, legalHold }
}

/**
 * Returns the strictest lock of one version among those that several shards state: some were written when the lock was
 * another one. A retention may have been shortened since, with a permission to bypass it, and a hold may have been
 * released: it is not known which of them is newest, and nothing that was locked may come back without its lock.
 */
export function strictestOf(locks: readonly (VersionLock | undefined)[]): VersionLock | undefined {
  const known = locks.filter(lock => lock !== undefined)
  return known.length === 0 ? undefined : known.reduce(stricter)
}

function stricter(a: VersionLock, b: VersionLock): VersionLock {
  const legalHold = a.legalHold === true ? true : (b.legalHold ?? a.legalHold)
  if (a.retention === undefined || b.retention === undefined)
    return { retention: a.retention ?? b.retention, legalHold }
  const isCompliance = a.retention.mode === "COMPLIANCE" || b.retention.mode === "COMPLIANCE"
  const untilMs = Math.max(a.retention.untilMs, b.retention.untilMs)
  return { retention: { mode: isCompliance ? "COMPLIANCE" : "GOVERNANCE", untilMs }, legalHold }
}

/** Both clocks may lag: the later one is closer to the truth. */
const latestOf = ({ clockMs, nowMs }: Clocks): number => Math.max(clockMs, nowMs)

function retentionFrom({ mode, unit, count }: DefaultRetention, clocks: Clocks): Retention {
  const until = new Date(latestOf(clocks))
  if (unit === "days") until.setUTCDate(until.getUTCDate() + count)
  else until.setUTCFullYear(until.getUTCFullYear() + count)
  return { mode, untilMs: until.getTime() }
}

function requireAhead({ untilMs }: Retention, clocks: Clocks): void {
  if (untilMs <= latestOf(clocks))
    throw fail("retentionIsOver", { argumentName: "x-amz-object-lock-retain-until-date" })
}

/** The lock with another retention; undefined: none. Throws `objectLocked`, `retentionIsOver`. */
export function withRetention(
  lock: VersionLock | undefined,
  retention: Retention | undefined,
  { bypassGovernance, ...clocks }: Clocks & { readonly bypassGovernance: boolean },
): VersionLock {
  const before = lock?.retention
  if (before !== undefined && before.untilMs > clocks.clockMs) {
    const isKept = retention !== undefined && retention.mode === before.mode && retention.untilMs >= before.untilMs
    const yieldsToBypass = before.mode === "GOVERNANCE"
    if (!isKept && !(yieldsToBypass && bypassGovernance)) {
      throw fail("objectLocked", { reason: "the retention can only be prolonged", yieldsToBypass })
    }
  }
  if (retention !== undefined) requireAhead(retention, clocks)
  return { retention, legalHold: lock?.legalHold }
}
