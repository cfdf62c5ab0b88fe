/**
 * The filter `name-check`: refuses names that programs of later readers trip over: quotes, angle brackets, segments `.` and
 * `..`, and paths that are too long. It looks at the path of a request and at `Destination` of a copy, not into bodies.
 *
 * Source  `common/middleware/name_check.py`, OpenStack Swift, whose defaults these are.
 */
import { fail } from "@hayloft/base/failures.js"
import { percentDecode, splitTarget } from "@hayloft/base/http/uri.js"
import type { Filter } from "../http/index.js"

const FORBIDDEN = /['"`<>]/
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/

/** The limit is for the whole path, decoded, in bytes. */
export const NAME_BYTES_DEFAULT = 255

/** Requests with such names are answered 400. */
export const nameCheck = (bytesMax: number): Filter => ({
  name: "name-check",
  handle: (exchange, next) => {
    const paths = [splitTarget(exchange.rawTarget).rawPath, `/${exchange.header("destination") ?? ""}`]
    for (const path of paths.map(percentDecode)) {
      if (FORBIDDEN.test(path)) throw refused(`contains a forbidden character, one of ' " \` < >`)
      if (DOT_SEGMENT.test(path)) throw refused(`contains a forbidden segment, "." or ".."`)
      if (path.length > bytesMax) throw refused(`is longer than the allowed maximum of ${bytesMax} bytes with its path`)
    }
    return next(exchange)
  },
})

const refused = (reason: string) => fail("invalidRequest", { message: `the name ${reason}` })
