/**
 * Reads an object's attributes from a request: stored headers and user metadata.
 *
 * Header values are bytes (one character for each byte) and are stored unchanged.
 */
import { fail } from "@hayloft/base/failures.js"
import { Remembered, RememberedByObject } from "@hayloft/base/remembered.js"
import type { ContentHeaders, ObjectAttributes, UserMetadata } from "@hayloft/objects/contract.js"
import type { Headers, HeaderShape, RequestHeaders } from "@hayloft/base/http/request-headers.js"
import { withoutAwsChunked } from "./wire/aws-chunked.js"

/** Limit on names and values together, as S3 counts them. */
const USER_METADATA_BYTES_MAX = 2048
const META = "x-amz-meta-"
export const REDIRECT_HEADER = "x-amz-website-redirect-location"

function contentHeadersOf(headers: Headers): ContentHeaders {
  const encoding = headers.get("content-encoding")
  const stored = {
    contentType: headers.get("content-type"),
    cacheControl: headers.get("cache-control"),
    contentDisposition: headers.get("content-disposition"),
    contentEncoding: encoding === undefined ? undefined : withoutAwsChunked(encoding),
    contentLanguage: headers.get("content-language"),
    expires: headers.get("expires"),
    websiteRedirect: websiteRedirectOf(headers),
  }
  return Object.fromEntries(Object.entries(stored).filter(([, value]) => value !== undefined && value !== ""))
}

const REDIRECT_CHARACTERS_MAX = 2048

/** Returns where a website redirects requests for the object. Throws `invalidRedirectLocation`. */
export function websiteRedirectOf(headers: Headers): string | undefined {
  const text = headers.get(REDIRECT_HEADER)
  if (text === undefined || text === "") return undefined
  if (!/^(?:\/|https?:\/\/)/.test(text)) {
    const message = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
    throw fail("invalidRedirectLocation", { message })
  }
  if (text.length <= REDIRECT_CHARACTERS_MAX && /^[\x21-\x7e]*$/.test(text)) return text
  const message = `The website redirect location must be a URL of at most ${REDIRECT_CHARACTERS_MAX} ASCII characters.`
  throw fail("invalidRedirectLocation", { message })
}

/** Throws `metadataTooLarge`. */
function userMetadataOf(headers: Headers): UserMetadata {
  const metadata: (readonly [string, string])[] = []
  let sizeBytes = 0
  for (const [name, value] of headers) {
    if (!name.startsWith(META)) continue
    metadata.push([name.slice(META.length), value])
    sizeBytes += name.length - META.length + value.length
  }
  if (sizeBytes > USER_METADATA_BYTES_MAX) {
    throw fail("metadataTooLarge", { sizeBytes, maxSizeAllowedBytes: USER_METADATA_BYTES_MAX })
  }
  return metadata
}

const STORED: ReadonlySet<string> = new Set([
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
  REDIRECT_HEADER,
])

/** Reads the stored headers. Clients send the same ones repeatedly: equal lines return the same object. */
export class AttributeReader {
  private readonly names = new RememberedByObject(({ uniqueNames }: HeaderShape) =>
    uniqueNames.filter(name => STORED.has(name) || name.startsWith(META)),
  )
  /** By the number of headers, and a line for each name and each value: one with a line feed in it adds no header. */
  private readonly known = new Remembered((text: string): ObjectAttributes => {
    const [count, ...lines] = text.split("\n").slice(0, -1)
    if (lines.length !== 2 * Number(count))
      throw fail("invalidArgument", { message: "A header of the object has a line feed in its name or its value." })
    const headers = new Map<string, string>()
    for (let at = 0; at < lines.length; at += 2) headers.set(lines[at] ?? "", lines[at + 1] ?? "")
    return { headers: contentHeadersOf(headers), userMetadata: userMetadataOf(headers) }
  })

  /** Throws `metadataTooLarge`, `invalidRedirectLocation`, `invalidArgument`. */
  of(headers: RequestHeaders): ObjectAttributes {
    const names = this.names.of(headers.shape)
    let text = `${names.length}\n`
    for (const name of names) text += `${name}\n${headers.get(name) ?? ""}\n`
    return this.known.of(text)
  }
}
