/**
 * What a request says about an object besides its bytes: stored headers, user metadata, conditions.
 *
 * Header values are bytes (one character a byte) and are kept byte for byte.
 */
import { fail } from "../base/failures.js"
import type { ContentHeaders, UserMetadata } from "../object/contract.js"
import type { Headers } from "./call.js"
import { withoutAwsChunked } from "./wire/aws-chunked.js"

/** Names and values together, as S3 counts them. */
export const USER_METADATA_BYTES_MAX = 2048
const META = "x-amz-meta-"

export function contentHeadersOf(headers: Headers): ContentHeaders {
  const encoding = headers.get("content-encoding")
  const stored = {
    contentType: headers.get("content-type"),
    cacheControl: headers.get("cache-control"),
    contentDisposition: headers.get("content-disposition"),
    contentEncoding: encoding === undefined ? undefined : withoutAwsChunked(encoding),
    contentLanguage: headers.get("content-language"),
    expires: headers.get("expires"),
  }
  return Object.fromEntries(Object.entries(stored).filter(([, value]) => value !== undefined && value !== ""))
}

/** Throws `metadataTooLarge`. */
export function userMetadataOf(headers: Headers): UserMetadata {
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
