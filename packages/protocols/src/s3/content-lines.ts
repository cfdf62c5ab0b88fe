/** The stored headers of an object as header lines of an answer. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { isHeaderValue } from "@hayloft/base/http/header-text.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { HeaderLines } from "../http/index.js"
import type { ContentHeaders } from "@hayloft/objects/contract.js"
import { encodedWords } from "./wire/encoded-words.js"
import type { RequestQuery } from "./wire/query.js"

const DEFAULT_CONTENT_TYPE = "binary/octet-stream"

const SHOWN: readonly (readonly [keyof ContentHeaders, header: string, override: string | undefined])[] = [
  ["contentType", "Content-Type", "response-content-type"],
  ["cacheControl", "Cache-Control", "response-cache-control"],
  ["contentDisposition", "Content-Disposition", "response-content-disposition"],
  ["contentEncoding", "Content-Encoding", "response-content-encoding"],
  ["contentLanguage", "Content-Language", "response-content-language"],
  ["expires", "Expires", "response-expires"],
  ["websiteRedirect", "x-amz-website-redirect-location", undefined],
]

const NO_OVERRIDES = (): undefined => undefined

export class ContentLines {
  /** Cache: objects with the same headers share them. */
  private readonly known = new WeakMap<ContentHeaders, string>()

  /** Lines of the stored headers, or of the request's `response-*` overrides. Throws `invalidArgument`. */
  of(headers: ContentHeaders, query: RequestQuery): string {
    if (!query.isEmpty) return linesOf(headers, name => overrideIn(query, name))
    const known = this.known.get(headers)
    if (known !== undefined) return known
    const lines = linesOf(headers, NO_OVERRIDES)
    this.known.set(headers, lines)
    return lines
  }
}

function linesOf(headers: ContentHeaders, overrideOf: (parameter: string) => string | undefined): string {
  const fields: string[] = []
  for (const [name, header, parameter] of SHOWN) {
    const value =
      (parameter === undefined ? undefined : overrideOf(parameter)) ??
      (name === "contentType" ? encodedWords(headers[name] ?? DEFAULT_CONTENT_TYPE) : headers[name])
    if (value !== undefined) fields.push(header, value)
  }
  return HeaderLines.of([...fields, "Accept-Ranges", "bytes"]).text
}

/** Throws `invalidArgument` for an override of another header: a page would be shown without it. */
export function checkOverrides(query: RequestQuery): void {
  for (const name of query.names()) {
    if (!name.startsWith("response-") || SHOWN.some(([, , parameter]) => parameter === name)) continue
    throw fail("invalidArgument", {
      message: `${name.slice(0, 80)} is not in the set of overridable response headers. Please refer to the S3 API documentation for a complete list of overridable response headers.`,
      argumentName: name.slice(0, 80),
      argumentValue: (query.get(name) ?? "").slice(0, 80),
    })
  }
}

/** A failure with the headers that the request's overrides give an answer: "not modified" names some. */
export function withOverrides(failure: Failure, query: RequestQuery): Failure {
  if (failure.kind !== "notModified" || query.isEmpty) return failure
  const cacheControl = overrideIn(query, "response-cache-control") ?? failure.details["cacheControl"]
  const expires = overrideIn(query, "response-expires") ?? failure.details["expires"]
  return fail("notModified", { ...failure.details, cacheControl, expires })
}

/** A parameter has UTF-8, a header ISO 8859-1. */
function overrideIn(query: RequestQuery, parameter: string): string | undefined {
  const stated = query.get(parameter)
  const value = stated && textOfObjectKey(stated)
  if (value !== undefined && /[\x00-\x08\x0a-\x1f\x7f]/.test(value)) {
    throw fail("invalidArgument", {
      message: "Header value cannot contain control characters.",
      argumentName: parameter,
    })
  }
  if (value !== undefined && !isHeaderValue(value)) {
    throw fail("invalidArgument", {
      message: "Header value cannot be represented using ISO-8859-1.",
      argumentName: parameter,
    })
  }
  return value
}
