/**
 * The headers of a request, checked against the table, with those that a presigned URL carries in
 * its query.
 *
 * SDKs move `x-amz-*` headers of a presigned request into the query, where the signature covers
 * them. They count as headers, except checksums: an SDK that presigns has not seen the body and
 * writes the checksum of an empty one, which S3 leaves alone too.
 *
 * Refuses  The source of a copy in a query: it makes another operation of a request, which the query does not.
 */
import { fail } from "../base/failures.js"
import type { Headers } from "./call.js"
import { checkHeader } from "./headers.js"
import type { Query } from "./wire/query.js"

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

/** Headers by lower-case name; repeated ones joined by ",". */
export function headersOf(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase()
    const earlier = headers.get(name)
    const value = rawHeaders[i + 1] ?? ""
    headers.set(name, earlier === undefined ? value : `${earlier},${value}`)
  }
  return headers
}

/** Adds what a presigned query carries; a header that was really sent counts before it. Throws `invalidRequest`. */
export function withHoisted(headers: Headers, query: Query): Headers {
  const all = new Map(headers)
  for (const name of query.names()) {
    const header = name.toLowerCase()
    const isChecksum =
      header.startsWith("x-amz-checksum-") &&
      header !== "x-amz-checksum-mode" &&
      header !== "x-amz-checksum-algorithm" &&
      header !== "x-amz-checksum-type"
    if (!header.startsWith("x-amz-") || OF_SIGNATURE.has(header) || isChecksum || all.has(header)) continue
    if (header === COPY_SOURCE) throw fail("invalidRequest", { message: `${COPY_SOURCE} must be sent as a header.` })
    all.set(header, query.get(name) ?? "")
  }
  return all
}

/** Throws what the table says of the first header that asks for what is not done. */
export function checkHeaders(headers: Headers): void {
  for (const [name, value] of headers) checkHeader(name, value)
}
