/** Headers of objects of Swift: what a request states, and what the answer to a write says. */
import { httpDate } from "@hayloft/base/text/dates.js"
import type { VersionId } from "@hayloft/base/ids.js"
import type { Bucket, ObjectAttributes, ObjectInfo } from "@hayloft/objects/contract.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { segmentsMd5Of } from "@hayloft/objects/index.js"
import type { ObjectCall } from "../s3/index.js"
import { checkedMetadata, metadataIn, OBJECT_METADATA, type SwiftMetadata } from "./metadata-core.js"
import type { SwiftObjectRequest } from "./requests.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** Throws `metadataTooLarge`, `invalidRequest`. */
export const metadataHeaders = ({ exchange }: SwiftObjectRequest): SwiftMetadata =>
  checkedMetadata(metadataIn(exchange.headers, OBJECT_METADATA).filter(([, value]) => value !== ""))

/** Headers of the content that S3 stores under the same names. */
export function statedContent({ exchange }: SwiftObjectRequest): ObjectAttributes["headers"] {
  const stated = {
    contentEncoding: exchange.header("content-encoding"),
    contentDisposition: exchange.header("content-disposition"),
    contentLanguage: exchange.header("content-language"),
    cacheControl: exchange.header("cache-control"),
    expires: exchange.header("expires"),
  }
  return Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined && value !== ""))
}

/** The ETag as Swift's clients see it: that of a large object in quotes. */
export function shownEtag(info: Pick<ObjectInfo, "etag" | "segmentListBytes">): string {
  const md5 = segmentsMd5Of(info)
  return md5 === undefined ? info.etag : `"${md5}"`
}

/** Swift names no version that was written while versions were not kept: the null version of S3. */
export const versionFields = (
  { versioning }: Pick<Bucket, "versioning">,
  versionId: VersionId | undefined,
): HeaderField[] =>
  versionId === undefined || versionId === NULL_VERSION || versioning === "never"
    ? []
    : [["X-Object-Version-Id", versionId]]

interface Written {
  readonly etag: string
  readonly lastModifiedMs: number
  readonly versionId: VersionId | undefined
}

/** `isLarge`: a manifest was written. */
export const writtenFields = (
  { bucket }: ObjectCall,
  { etag, lastModifiedMs, versionId }: Written,
  isLarge = false,
): HeaderField[] => [
  ["Etag", shownEtag({ etag, segmentListBytes: isLarge ? 0 : undefined })],
  ["Last-Modified", httpDate(lastModifiedMs)],
  ...versionFields(bucket, versionId),
]
