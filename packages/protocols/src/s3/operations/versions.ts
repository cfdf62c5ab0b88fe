/** Version ids in requests and answers. */
import { fail } from "@hayloft/base/failures.js"
import { parseVersionId } from "@hayloft/base/ids.js"
import type { VersionId } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { BucketCall } from "../call.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** `versionId` of the query, or the version of the request's moment; undefined: neither. Throws `invalidArgument`. */
export function versionIdOf({ query, moment }: Pick<BucketCall, "query" | "moment">): VersionId | undefined {
  if (moment !== undefined) return moment.versionId
  const text = query.get("versionId")
  if (text === undefined) return undefined
  return parseVersion(text)
}

/** Throws `invalidArgument`, with S3's messages. */
export function parseVersion(text: string): VersionId {
  try {
    return parseVersionId(text)
  } catch {
    const message = text === "" ? "Version id cannot be the empty string" : "Invalid version id specified"
    throw fail("invalidArgument", { message, argumentName: "versionId", argumentValue: text.slice(0, 80) })
  }
}

/** The header of a version; no header in a bucket that was never versioned. */
export const versionHeader = (versionId: VersionId | undefined, name = "x-amz-version-id"): HeaderField[] =>
  versionId === undefined ? [] : [[name, versionId]]

/**
 * The header of a written version: no header for the null version, which a write creates while versioning is
 * suspended. (PutObject on Amazon answers so; its DeleteObject does name the null delete marker.)
 */
export const writtenVersionHeader = (bucket: Bucket, versionId: VersionId | undefined): HeaderField[] =>
  versionId === NULL_VERSION || hidesVersions(bucket) ? [] : versionHeader(versionId)

const NULL_VERSION = "null"

/** The id of a version that was read, for `versionHeader`. */
export const shownVersion = (bucket: Bucket, versionId: VersionId): VersionId | undefined =>
  bucket.versioning === "never" || hidesVersions(bucket) ? undefined : versionId

/** Versions of a remote bucket are pending writes: clients see none. */
export const hidesVersions = ({ settings }: Bucket): boolean => settings.includes("remote")
