/**
 * Conditions of a request: `If-Match` and the like.
 *
 * Unreadable dates, and an If-Modified-Since in the future, are ignored (RFC 9110).
 */
import { parseDate } from "../base/dates.js"
import { fail } from "../base/failures.js"
import type { Conditions, GetRequest } from "../object/contract.js"
import { parseETags, parseStrongETags } from "./wire/etags.js"

/** Amazon has these two for directory buckets only. */
export const MATCH_SIZE_HEADER = "x-amz-if-match-size"
export const MATCH_MODIFIED_HEADER = "x-amz-if-match-last-modified-time"
/** Of an upload that is aborted. */
export const MATCH_INITIATED_HEADER = "x-amz-if-match-initiated-time"

/** By lower-case name. */
interface Headers {
  get(name: string): string | undefined
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

/** Conditions of a write: ETags only, as on S3. */
export const writeConditionsOf = (headers: Headers): Conditions => etagConditionsOf(headers, "")

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
export function deleteConditionsOf(headers: Headers): Conditions {
  const conditions = writeConditionsOf(headers)
  const [size, modified] = [headers.get(MATCH_SIZE_HEADER), headers.get(MATCH_MODIFIED_HEADER)]
  if (size === undefined && modified === undefined) return conditions
  return {
    ...conditions,
    ifMatchSize: size === undefined ? undefined : exactSizeOf(MATCH_SIZE_HEADER, size),
    ifMatchModifiedMs: modified === undefined ? undefined : exactTimeOf(MATCH_MODIFIED_HEADER, modified),
  }
}

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
