/**
 * Object lock in requests about objects: the lock that a new object asks for, the digest that its body then needs, the
 * lock that a read shows, and the bypass of governance mode.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { BodySource, ObjectInfo, Retention, VersionLock } from "@hayloft/objects/contract.js"
import type { BucketCall, ObjectCall } from "../call.js"
import type { ActionTarget } from "../rights/permissions.js"
import { HOLD_HEADER, holdText, lockInHeaders, retentionFields, UNTIL_HEADER, untilText } from "../wire/object-lock.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/**
 * The lock that the request states for a new object; undefined: none. Checked here too, before the body is sent.
 * Throws `invalidArgument`, `noObjectLock`, `retentionIsOver`.
 */
export function statedLock({ bucket, headers, nowMs }: ObjectCall): VersionLock | undefined {
  const lock = lockInHeaders(headers)
  if (lock === undefined) return undefined
  if (lock.retention !== undefined) requireAhead(lock.retention, nowMs, UNTIL_HEADER)
  // Amazon's message for writes differs from the one for Get and Put of a lock.
  if (bucket.lock === undefined) throw fail("noObjectLock", { message: "Bucket is missing ObjectLockConfiguration" })
  return lock
}

/** Throws `retentionIsOver` for a time that has passed, and names the part of the request that states it. */
export function requireAhead(retention: Retention, nowMs: number, argumentName: string): void {
  if (retention.untilMs <= nowMs) {
    throw fail("retentionIsOver", { argumentName, argumentValue: untilText(retention) })
  }
}

/**
 * Throws `invalidRequest` if the object will be locked and its body has no digest. S3 requires one if a bucket's default
 * retention applies too; the signed SHA-256 of a request does not count.
 * Source  "PutObject", Amazon S3 API Reference: "The Content-MD5 or x-amz-sdk-checksum-algorithm header is required for
 *         any request to upload an object with a retention period configured using Amazon S3 Object Lock."
 */
export function requireDigest(
  what: "Object" | "Part",
  { md5, checksumAlgorithm }: BodySource,
  isLocked: boolean,
): void {
  if (!isLocked || md5 !== undefined || checksumAlgorithm !== undefined) return
  throw fail("invalidRequest", {
    message: `Content-MD5 OR x-amz-checksum- HTTP header is required for Put ${what} requests with Object Lock parameters`,
  })
}

/** The headers of a version's lock, as far as the caller may see it. */
export function lockFields({ bucket, key, permissions }: ObjectCall, info: ObjectInfo): Soon<readonly HeaderField[]> {
  const { lock, versionId } = info
  if (lock === undefined) return []
  const { retention, legalHold } = lock
  // This is the version that is shown, which may no longer be the latest.
  const place = { bucket, key, versionId }
  const maySeeRetention = retention !== undefined && permissions.may("GetObjectRetention", place)
  return after(maySeeRetention, seesRetention => {
    const shown = retention !== undefined && seesRetention ? retentionFields(retention) : []
    const maySeeHold = legalHold !== undefined && permissions.may("GetObjectLegalHold", place)
    return after(maySeeHold, (seesHold): readonly HeaderField[] =>
      legalHold !== undefined && seesHold ? [...shown, [HOLD_HEADER, holdText(legalHold)]] : shown,
    )
  })
}

export const asksToBypass = ({ headers }: BucketCall): boolean =>
  headers.get("x-amz-bypass-governance-retention")?.trim().toLowerCase() === "true"

/**
 * Runs an attempt, and if a lock in governance mode prevents it, runs it again past the lock for a caller who asks for
 * that and may do it. So the header has no effect, and requires no permission, where nothing is locked. Throws
 * `accessDenied`, and the failures of the attempt.
 */
export function pastGovernance<Result>(
  call: BucketCall,
  place: ActionTarget,
  attempt: (bypassGovernance: boolean) => Promise<Result>,
): Promise<Result> {
  const attempted = attempt(false)
  if (!asksToBypass(call)) return attempted
  return attempted.catch(async (error: unknown) => {
    if (!isFailure(error, "objectLocked") || error.details["yieldsToBypass"] !== true) throw error
    await call.permissions.require("BypassGovernanceRetention", place)
    return attempt(true)
  })
}
