/**
 * The headers of a request, with those that a presigned URL carries in its query.
 *
 * SDKs move `x-amz-*` headers of a presigned request into the query, where the signature covers
 * them. They count as headers, except the checksum of no bytes: an SDK that presigns before it has seen the body writes that
 * of an empty one, and users upload what they like with such URLs.
 *
 * Refuses  The source of a copy in a query: as a header it would select another operation, which the query does not. A
 *          client's key: URLs are kept in histories and logs. SDKs send it as a header unless they sign with version 2.
 */
import { fail } from "@hayloft/base/failures.js"
import type { HeaderShapes, RequestHeaders } from "@hayloft/base/http/request-headers.js"
import { SECRET_HEADERS } from "./encryption.js"
import { isChecksumOfNothing } from "./parse-checksums.js"
import type { RequestQuery } from "./wire/query.js"

/** Parameters of the signature itself. */
const OF_SIGNATURE = new Set([
  "x-amz-algorithm",
  "x-amz-credential",
  "x-amz-date",
  "x-amz-expires",
  "x-amz-signedheaders",
  "x-amz-signature",
  "x-amz-security-token",
  "x-amz-content-sha256",
])

const COPY_SOURCE = "x-amz-copy-source"

/** Adds the headers of a presigned query; headers that were sent take precedence. Throws `invalidRequest`. */
export function withHoisted(headers: RequestHeaders, query: RequestQuery, shapes: HeaderShapes): RequestHeaders {
  const hoisted: string[] = []
  for (const name of query.names()) {
    const header = name.toLowerCase()
    if (!header.startsWith("x-amz-") || OF_SIGNATURE.has(header) || headers.has(header)) continue
    if (isChecksumOfNothing(header, query.get(name) ?? "")) continue
    if (SECRET_HEADERS.includes(header)) {
      throw fail("invalidRequest", { message: `${header} must be sent as a header: sign the URL with version 4.` })
    }
    if (header === COPY_SOURCE) throw fail("invalidRequest", { message: `${COPY_SOURCE} must be sent as a header.` })
    // Names that differ only in case are one header: the first counts.
    if (!hoisted.includes(header)) hoisted.push(header, query.get(name) ?? "")
  }
  return hoisted.length === 0 ? headers : shapes.ofFlat([...headers.flat(), ...hoisted])
}
