/** The model's object lock: what a version has been given, and when it yields. */
import { fail } from "@hayloft/base/failures.js"
import type { Bucket, Retention, VersionLock } from "@hayloft/objects/contract.js"
import type { ModelObject } from "./state.js"

const isActive = (retention: Retention | undefined, nowMs: number): retention is Retention =>
  retention !== undefined && retention.untilMs > nowMs

function requireFuture(retention: Retention | undefined, nowMs: number): void {
  if (retention !== undefined && !isActive(retention, nowMs)) throw fail("retentionIsOver")
}

/** The lock of a new version. */
export function newLock({ lock }: Bucket, stated: VersionLock | undefined, nowMs: number): VersionLock | undefined {
  if (lock === undefined && stated !== undefined) throw fail("noObjectLock")
  requireFuture(stated?.retention, nowMs)
  const given = lock?.defaultRetention
  const until = new Date(nowMs)
  if (given?.unit === "days") until.setUTCDate(until.getUTCDate() + given.count)
  if (given?.unit === "years") until.setUTCFullYear(until.getUTCFullYear() + given.count)
  const retention = stated?.retention ?? (given && { mode: given.mode, untilMs: until.getTime() })
  const legalHold = stated?.legalHold
  return retention === undefined && legalHold === undefined ? undefined : { retention, legalHold }
}

export function requireFree(version: ModelObject, nowMs: number, bypassGovernance: boolean): void {
  const { retention, legalHold } = version.info.lock ?? {}
  if (legalHold === true) throw fail("objectLocked")
  if (!isActive(retention, nowMs)) return
  const yieldsToBypass = retention.mode === "GOVERNANCE"
  if (!yieldsToBypass || !bypassGovernance) throw fail("objectLocked", { yieldsToBypass })
}

export function retain(
  version: ModelObject,
  to: Retention | undefined,
  nowMs: number,
  bypassGovernance: boolean,
): void {
  const before = version.info.lock?.retention
  const isShorter = to === undefined || to.mode !== before?.mode || to.untilMs < before.untilMs
  const yieldsToBypass = before?.mode === "GOVERNANCE"
  if (isActive(before, nowMs) && isShorter && !(yieldsToBypass && bypassGovernance)) {
    throw fail("objectLocked", { yieldsToBypass })
  }
  requireFuture(to, nowMs)
  setLock(version, { retention: to, legalHold: version.info.lock?.legalHold })
}

export const hold = (version: ModelObject, legalHold: boolean): void =>
  setLock(version, { retention: version.info.lock?.retention, legalHold })

function setLock(version: ModelObject, lock: VersionLock): void {
  const isSet = lock.retention !== undefined || lock.legalHold !== undefined
  version.info = { ...version.info, lock: isSet ? lock : undefined }
}
