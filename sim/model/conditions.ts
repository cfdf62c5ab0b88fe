/**
 * Conditions in the order of RFC 9110 section 13.2.2: If-Match takes precedence over If-Unmodified-Since,
 * If-None-Match over If-Modified-Since.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Conditions } from "@hayloft/objects/contract.js"
import type { ModelObject, ModelVersion } from "./state.js"

/** A large object is also named by its ETag without the number of its segments. */
const names = (etags: readonly string[], { etag, segmentListBytes }: ModelObject["info"]): boolean =>
  etags.some(each => each === "*" || each === etag || (segmentListBytes !== undefined && etag.startsWith(`${each}-`)))
const seconds = (timeMs: number): number => Math.floor(timeMs / 1000)

type Verdict = "go" | "failed" | "notModified"

function evaluate(conditions: Conditions, version: ModelObject): Verdict {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = conditions
  const { lastModifiedMs } = version.info
  if (ifMatch !== undefined) {
    if (!names(ifMatch, version.info)) return "failed"
  } else if (ifUnmodifiedSinceMs !== undefined && seconds(lastModifiedMs) > seconds(ifUnmodifiedSinceMs)) {
    return "failed"
  }
  if (ifNoneMatch !== undefined) return names(ifNoneMatch, version.info) ? "notModified" : "go"
  if (ifModifiedSinceMs === undefined) return "go"
  return seconds(lastModifiedMs) > seconds(ifModifiedSinceMs) ? "go" : "notModified"
}

/** Throws `preconditionFailed` or `notModified`. */
export function checkRead(conditions: Conditions, version: ModelObject): void {
  const verdict = evaluate(conditions, version)
  if (verdict === "failed") throw fail("preconditionFailed")
  if (verdict === "go") return
  const { etag, lastModifiedMs, versionId, headers } = version.info
  const { cacheControl, expires } = headers
  throw fail("notModified", { etag, lastModifiedMs, versionId, cacheControl, expires })
}

/** Throws `preconditionFailed`, also if a read would be "not modified". */
export function checkCopySource(conditions: Conditions, version: ModelObject): void {
  if (evaluate(conditions, version) !== "go") throw fail("preconditionFailed")
}

/** Writes check ETags, deletions also size and time; a delete marker counts as a missing key. Throws `preconditionFailed`, `noSuchKey`. */
export function checkWrite(conditions: Conditions, current: ModelVersion | undefined): void {
  const object = current?.kind === "object" ? current : undefined
  const { ifMatch, ifNoneMatch } = conditions
  if (ifMatch !== undefined && object === undefined) throw fail("noSuchKey")
  if (ifMatch !== undefined && object !== undefined && !names(ifMatch, object.info)) {
    throw fail("preconditionFailed", { condition: "If-Match" })
  }
  if (ifNoneMatch !== undefined && object !== undefined && names(ifNoneMatch, object.info)) {
    throw fail("preconditionFailed", { condition: "If-None-Match" })
  }
  if (object !== undefined) checkSame(conditions, object)
}

function checkSame({ ifMatchSize, ifMatchModifiedMs }: Conditions, { info }: ModelObject): void {
  const isOtherSize = ifMatchSize !== undefined && ifMatchSize !== info.sizeBytes
  const isOtherTime = ifMatchModifiedMs !== undefined && seconds(ifMatchModifiedMs) !== seconds(info.lastModifiedMs)
  if (isOtherSize || isOtherTime) throw fail("preconditionFailed", { condition: isOtherSize ? "size" : "time" })
}
