/**
 * Versions in another container: where they go, and which container keeps them. Pure.
 *
 * Source  The middleware `versioned_writes` of OpenStack Swift: `X-Versions-Location` (a stack: a deletion brings the version
 *         before back) and `X-History-Location` (a history: a deletion is one more version).
 */
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { byteStringOfText, parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { percentDecode, percentEncode } from "@hayloft/base/http/uri.js"
import type { SwiftArchive } from "@hayloft/engine/format/swift/swift-container.js"
import { timestampOf } from "../answers.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"
import { withoutOuter } from "@hayloft/base/text/trailing.js"

/** The type of the version that stands for a deletion. */
export const DELETION_TYPE = "application/x-deleted;swift_versions_deleted=1"

const NAME_BYTES_MAX = 0xfff

/** Returns the prefix of all versions of an object; a byte string. */
export const archivePrefixOf = (object: string): string => `${object.length.toString(16).padStart(3, "0")}${object}/`

/** Versions of one millisecond that have names: a timestamp has five decimals. */
export const NAMES_OF_MOMENT = 100
const NAME_STEP_MS = 0.01

/** Returns where a version goes that was modified then, the `nth` one of that moment. Throws `keyTooLong`. */
export function archivedName(object: string, modifiedMs: number, nth: number): string {
  if (object.length > NAME_BYTES_MAX) throw fail("keyTooLong", { lengthBytes: object.length })
  return `${archivePrefixOf(object)}${timestampOf(modifiedMs + nth * NAME_STEP_MS)}`
}

const HEADERS: readonly (readonly [mode: SwiftArchive["mode"], header: string, removal: string])[] = [
  ["stack", "x-versions-location", "x-remove-versions-location"],
  ["history", "x-history-location", "x-remove-history-location"],
]

const SHOWN = { stack: "X-Versions-Location", history: "X-History-Location" } as const

/** Earlier releases stored names that no container has, and that no header can carry. */
export const archiveFields = (archive: SwiftArchive | undefined): HeaderField[] =>
  archive === undefined ? [] : [[SHOWN[archive.mode], percentEncode(byteStringOfText(archive.location))]]

function locationIn(text: string, header: string): string {
  const location = withoutOuter(textOfObjectKey(percentDecode(text)), "/")
  if (unlessRefused(() => parseBucketName(location)) === undefined)
    throw fail("invalidRequest", { message: `${header} is the name of a container` })
  return location
}

/** Returns what a request says of it: null removes it, undefined is nothing. Throws `invalidRequest`. */
export function archiveIn(headers: Headers): SwiftArchive | null | undefined {
  const stated = HEADERS.filter(([, header]) => (headers.get(header) ?? "") !== "")
  if (stated.length > 1)
    throw fail("invalidRequest", { message: "Only one of X-Versions-Location or X-History-Location may be specified" })
  const [first] = stated
  if (first !== undefined) {
    if (headers.has("x-versions-enabled"))
      throw fail("invalidRequest", { message: "X-Versions-Enabled excludes versions in another container" })
    const [mode, header] = first
    return { mode, location: locationIn(headers.get(header) ?? "", header) }
  }
  return HEADERS.some(([, header, removal]) => headers.has(header) || headers.has(removal)) ? null : undefined
}
