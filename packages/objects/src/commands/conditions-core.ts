/**
 * Conditions: RFC 9110 section 13 as S3 applies it. Pure.
 *
 * On reads If-Match takes precedence over If-Unmodified-Since, and If-None-Match over If-Modified-Since. Writes use
 * only the ETag conditions, deletions also size and time; a delete marker counts as no object.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { shownOfValue, versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import type { Conditions, ContentHeaders, ObjectAt } from "../contract.js"
import type { VersionMatch } from "./found-versions-core.js"

interface ConditionSubject {
  readonly etag: string
  readonly modifiedMs: number
  /** The ETag of a large object without the number of segments. */
  readonly segmentsMd5?: string | undefined
  /** Stored headers; "not modified" names those that caches need (RFC 9110, section 15.4.5). */
  readonly headers?: Pick<ContentHeaders, "cacheControl" | "expires">
}

interface WriteSubject extends ConditionSubject {
  readonly sizeBytes: number
}

/** Returns the subject of conditions on a version. */
export function conditionSubject({ head, row }: VersionMatch): WriteSubject {
  const { etag, sizeBytes, segmentsMd5 } = shownOfValue(row.value)
  return { etag, sizeBytes, segmentsMd5, modifiedMs: head.modifiedMs }
}

const namesEtag = (list: readonly string[], { etag, segmentsMd5 }: ConditionSubject): boolean =>
  list.includes("*") || list.includes(etag) || (segmentsMd5 !== undefined && list.includes(segmentsMd5))
const wholeSeconds = (timeMs: number): number => Math.floor(timeMs / 1000) * 1000

/** Evaluates a read's conditions on an existing version; undefined: continue. */
export function evaluateRead(conditions: Conditions, subject: ConditionSubject): Failure | undefined {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = conditions
  const modifiedMs = wholeSeconds(subject.modifiedMs)
  const matchFails = ifMatch
    ? !namesEtag(ifMatch, subject)
    : ifUnmodifiedSinceMs !== undefined && modifiedMs > ifUnmodifiedSinceMs
  if (matchFails) return fail("preconditionFailed", { condition: ifMatch ? "If-Match" : "If-Unmodified-Since" })
  const notModified = ifNoneMatch
    ? namesEtag(ifNoneMatch, subject)
    : ifModifiedSinceMs !== undefined && modifiedMs <= ifModifiedSinceMs
  if (!notModified) return undefined
  const { cacheControl, expires } = subject.headers ?? {}
  return fail("notModified", { etag: subject.etag, lastModifiedMs: subject.modifiedMs, cacheControl, expires })
}

/** Evaluates a copy's conditions on its source: as for a read, but never "not modified". */
export function evaluateCopySource(conditions: Conditions, subject: ConditionSubject): Failure | undefined {
  const failure = evaluateRead(conditions, subject)
  if (failure?.kind !== "notModified") return failure
  const condition = conditions.ifNoneMatch ? "x-amz-copy-source-if-none-match" : "x-amz-copy-source-if-modified-since"
  return fail("preconditionFailed", { condition })
}

/**
 * Evaluates the conditions of a rename on one of its objects: as for a read, but never "not modified". `undefined`: there is
 * no object, or a delete marker. `prefix`: of the headers, for the failure.
 */
export function evaluateRename(
  conditions: Conditions,
  subject: ConditionSubject | undefined,
  prefix = "",
): Failure | undefined {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs } = conditions
  const nameOf = (name: string): string => (prefix === "" ? name : prefix + name.toLowerCase())
  if (subject === undefined) {
    if (ifMatch) return fail("noSuchKey")
    // "Renames the object if the destination exists and if it has been modified since the specified time."
    const fails = ifNoneMatch === undefined && ifModifiedSinceMs !== undefined
    return fails ? fail("preconditionFailed", { condition: nameOf("If-Modified-Since") }) : undefined
  }
  const failure = evaluateRead(conditions, subject)
  if (failure === undefined) return undefined
  const ifNotModified = ifNoneMatch ? "If-None-Match" : "If-Modified-Since"
  const condition = failure.kind === "notModified" ? ifNotModified : String(failure.details["condition"])
  return fail("preconditionFailed", { condition: nameOf(condition) })
}

/** Returns true if a write need not look at the object that it replaces or removes. */
export const isUnconditional = (conditions: Conditions): boolean => {
  const { ifMatch, ifNoneMatch, ifMatchSize, ifMatchModifiedMs, fence, ifUnchanged } = conditions
  const isOfObject = (ifMatch ?? ifNoneMatch ?? ifUnchanged) !== undefined
  return !isOfObject && (ifMatchSize ?? ifMatchModifiedMs) === undefined && fence === undefined
}

/** Evaluates a write's conditions on the row's latest version (`undefined`: none, or a delete marker). */
export function evaluateWrite(conditions: Conditions, subject: WriteSubject | undefined): Failure | undefined {
  const { ifMatch, ifNoneMatch, ifMatchSize, ifMatchModifiedMs } = conditions
  if (ifMatch && !subject) return fail("noSuchKey")
  if (ifMatch && subject && !namesEtag(ifMatch, subject)) return fail("preconditionFailed", { condition: "If-Match" })
  if (ifNoneMatch && subject && namesEtag(ifNoneMatch, subject)) {
    return fail("preconditionFailed", { condition: "If-None-Match" })
  }
  if (!subject) return undefined
  if (ifMatchSize !== undefined && ifMatchSize !== subject.sizeBytes) {
    return fail("preconditionFailed", { condition: "x-amz-if-match-size" })
  }
  if (ifMatchModifiedMs !== undefined && ifMatchModifiedMs !== wholeSeconds(subject.modifiedMs)) {
    return fail("preconditionFailed", { condition: "x-amz-if-match-last-modified-time" })
  }
  return undefined
}

/** Returns true if a key is as it was: `latest` is its newest version, or delete marker; `isThere`: it is an object. */
export const isUnchanged = (
  { atUs, versionId }: ObjectAt,
  latest: VersionMatch | undefined,
  isThere: boolean,
): boolean =>
  (latest === undefined || latest.head.order <= atUs) &&
  (latest !== undefined && isThere ? versionIdOfHead(latest.head) : undefined) === versionId
