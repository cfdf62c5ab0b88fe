/**
 * Rejects requests that Node's parser accepts although their host or body length is ambiguous.
 *
 * Source  RFC 9112 sections 3.2 and 6.1-6.3; each check stops a known way to smuggle requests.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { isHeaderName, isHeaderValue } from "@hayloft/base/http/header-text.js"

interface RequestHead {
  readonly httpVersion: string
  readonly headersAll: (name: string) => readonly string[]
}

/** The failure of a head that must be refused and its connection closed; undefined for a valid one. */
export function framingFault({ httpVersion, headersAll }: RequestHead): Failure | undefined {
  if (httpVersion !== "1.1" && httpVersion !== "1.0") {
    return fail("invalidRequest", { message: "only HTTP/1.1 and HTTP/1.0 are supported" })
  }
  const hosts = headersAll("host")
  if (hosts.length > 1 || (hosts.length === 0 && httpVersion === "1.1")) {
    return fail("invalidRequest", { message: "a request needs one Host header" })
  }
  const codings = headersAll("transfer-encoding")
  if (codings.length === 0) return undefined
  const onlyChunked = codings.length === 1 && codings[0]?.toLowerCase() === "chunked"
  if (!onlyChunked || httpVersion === "1.0" || headersAll("content-length").length > 0) {
    return fail("invalidRequest", { message: "the only Transfer-Encoding is chunked, without a Content-Length" })
  }
  return undefined
}

/** Throws `internal` for a header that would not reach the client unchanged. */
export function checkHeaders(headers: readonly string[]): void {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ""
    const value = headers[i + 1]
    if (value === undefined || !isHeaderName(name) || !isHeaderValue(value)) {
      throw fail("internal", { reason: "a response header holds characters that HTTP forbids", header: name })
    }
  }
}
