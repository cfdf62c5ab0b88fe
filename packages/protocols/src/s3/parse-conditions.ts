/**
 * Conditions of a request: `If-Match` and the like.
 *
 * Unreadable dates, and an If-Modified-Since in the future, are ignored (RFC 9110).
 */
import { parseDate } from "@hayloft/base/text/dates.js"
import { COPY_HEADER } from "@hayloft/base/http/copy-header.js"
import { fail } from "@hayloft/base/failures.js"
import { FENCE_HEADER, parseFence } from "@hayloft/base/fence.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Conditions, GetRequest } from "@hayloft/objects/contract.js"
import type { S3Caller } from "./caller.js"
import { parseETags, parseStrongETags } from "./wire/etags.js"

/** Amazon has these two for directory buckets only. */
export const MATCH_SIZE_HEADER = "x-amz-if-match-size"
export const MATCH_MODIFIED_HEADER = "x-amz-if-match-last-modified-time"
/** The header is for an upload that is aborted. */
export const MATCH_INITIATED_HEADER = "x-amz-if-match-initiated-time"

/** By lower-case name. */
interface Headers {
  get(name: string): string | undefined
}

/** The headers, the caller and the signer of a write. */
interface Write {
  readonly headers: Headers
  /** The caller is undefined if the request is anonymous. */
  readonly caller?: { readonly id: AccountId } | undefined
  readonly signer?: Pick<S3Caller, "ifUnchanged">
}

/** A request by which another store sends what it has: see `Conditions.isCopy`. */
function withCopy(conditions: Conditions, headers: Headers): Conditions {
  return headers.get(COPY_HEADER) === undefined ? conditions : { ...conditions, isCopy: true }
}

/** Operations by which objects are copied from store to store. */
const COPYING: ReadonlySet<string> = new Set([
  "PutObject",
  "CreateMultipartUpload",
  "CompleteMultipartUpload",
  "DeleteObject",
])

/** Throws `invalidArgument` for another value than `true`, and `notImplemented` for an operation that would ignore the header. */
export function checkCopying(headers: Headers, operation: string): void {
  const text = headers.get(COPY_HEADER)
  if (text === undefined) return
  if (text !== "true") throw fail("invalidArgument", { argumentName: COPY_HEADER, argumentValue: text.slice(0, 80) })
  if (COPYING.has(operation)) return
  throw fail("notImplemented", { message: `${operation} does not accept the header ${COPY_HEADER}.` })
}

/** Only requests that write objects have one: see `checkFenced`. Throws `invalidArgument`, `accessDenied`. */
function withFence(conditions: Conditions, { headers, caller }: Write): Conditions {
  const text = headers.get(FENCE_HEADER)
  if (text === undefined) return conditions
  if (caller === undefined)
    throw fail("accessDenied", { message: "A fence is of the caller's account: sign the request." })
  return { ...conditions, fence: parseFence(text, caller.id) }
}

/** Operations that show a fence to the decision which makes their change. */
const FENCED: ReadonlySet<string> = new Set([
  "PutObject",
  "CopyObject",
  "CompleteMultipartUpload",
  "AppendObject",
  "RenameObject",
  "DeleteObject",
  "DeleteObjects",
  "CommitTransaction",
])

/** Throws `notImplemented` for a fence that the operation would ignore. */
export function checkFenced(headers: Headers, operation: string): void {
  if (headers.get(FENCE_HEADER) === undefined || FENCED.has(operation)) return
  throw fail("notImplemented", { message: `${operation} does not accept the header ${FENCE_HEADER}.` })
}

/** `If-Match` compares strongly, `If-None-Match` weakly (RFC 9110, 13.1). */
function etagsOf(
  headers: Headers,
  name: string,
  parse: (text: string) => readonly string[],
): readonly string[] | undefined {
  const text = headers.get(name)
  return text === undefined ? undefined : parse(text)
}

function dateOf(headers: Headers, name: string): number | undefined {
  const text = headers.get(name)
  return text === undefined ? undefined : parseDate(text)
}

const NONE: Conditions = {}

/** Conditions of a read; `prefix` selects those on the source of a copy. */
export function readConditionsOf(headers: Headers, nowMs: number, prefix = ""): Conditions {
  const modifiedSinceMs = dateOf(headers, `${prefix}if-modified-since`)
  const ifModifiedSinceMs = modifiedSinceMs !== undefined && modifiedSinceMs <= nowMs ? modifiedSinceMs : undefined
  const ifUnmodifiedSinceMs = dateOf(headers, `${prefix}if-unmodified-since`)
  const { ifMatch, ifNoneMatch } = etagConditionsOf(headers, prefix)
  if (ifModifiedSinceMs === undefined && ifUnmodifiedSinceMs === undefined && !ifMatch && !ifNoneMatch) return NONE
  return { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs }
}

/** Conditions of a write: ETags, as on S3, a fence, and the condition of the store's own requests. */
export function writeConditionsOf(write: Write): Conditions {
  const conditions = withCopy(withFence(etagConditionsOf(write.headers, ""), write), write.headers)
  const ifUnchanged = write.signer?.ifUnchanged
  return ifUnchanged === undefined ? conditions : { ...conditions, ifUnchanged }
}

/** In whole seconds. Throws `invalidArgument` for what is no date: an unreadable condition must not remove anything. */
export function exactTimeOf(name: string, text: string): number {
  const timeMs = parseDate(text)
  if (timeMs === undefined) throw fail("invalidArgument", { argumentName: name, argumentValue: text.slice(0, 80) })
  return Math.floor(timeMs / 1000) * 1000
}

/** In bytes. Throws `invalidArgument`. */
export function exactSizeOf(name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw fail("invalidArgument", { argumentName: name, argumentValue: text.slice(0, 80) })
}

/** Conditions of a deletion: also size and time. Throws `invalidArgument`. */
export function deleteConditionsOf(write: Write): Conditions {
  const conditions = writeConditionsOf(write)
  const { headers } = write
  const [size, modified] = [headers.get(MATCH_SIZE_HEADER), headers.get(MATCH_MODIFIED_HEADER)]
  if (size === undefined && modified === undefined) return conditions
  return {
    ...conditions,
    ifMatchSize: size === undefined ? undefined : exactSizeOf(MATCH_SIZE_HEADER, size),
    ifMatchModifiedMs: modified === undefined ? undefined : exactTimeOf(MATCH_MODIFIED_HEADER, modified),
  }
}

/** A fence alone: of many deletions in one request. Throws as `writeConditionsOf`. */
export const fenceConditionsOf = (write: Write): Conditions => withFence(NONE, write)

/**
 * Conditions of a rename, on its destination, or with the prefix on its source. Throws `invalidArgument` for what is no
 * date: an unreadable condition must not remove anything.
 */
export function renameConditionsOf(headers: Headers, prefix = ""): Conditions {
  const timeOf = (name: string): number | undefined => {
    const text = headers.get(name)
    return text === undefined ? undefined : exactTimeOf(name, text)
  }
  const ifModifiedSinceMs = timeOf(`${prefix}if-modified-since`)
  const ifUnmodifiedSinceMs = timeOf(`${prefix}if-unmodified-since`)
  return { ...etagConditionsOf(headers, prefix), ifModifiedSinceMs, ifUnmodifiedSinceMs }
}

function etagConditionsOf(headers: Headers, prefix: string): Conditions {
  const ifMatch = etagsOf(headers, `${prefix}if-match`, parseStrongETags)
  const ifNoneMatch = etagsOf(headers, `${prefix}if-none-match`, parseETags)
  return ifMatch === undefined && ifNoneMatch === undefined ? NONE : { ifMatch, ifNoneMatch }
}

/** `If-Range`: an ETag or a date; any other value matches nothing, so that the whole object is sent. */
export function ifRangeOf(headers: Headers): GetRequest["ifRange"] {
  const text = headers.get("if-range")
  if (text === undefined) return undefined
  const unmodifiedSinceMs = parseDate(text)
  if (unmodifiedSinceMs !== undefined) return { unmodifiedSinceMs }
  // A weak validator never holds for a range (RFC 9110 section 13.1.5).
  return { etag: parseStrongETags(text)[0] ?? "" }
}
