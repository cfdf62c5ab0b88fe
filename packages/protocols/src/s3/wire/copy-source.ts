/**
 * Parses `x-amz-copy-source`, which names the object and the version to copy.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { percentDecode } from "@hayloft/base/http/uri.js"

interface CopySourceName {
  readonly bucket: string
  /** The key's bytes as a byte string. */
  readonly rawKey: string
  /** The version id in the header, decoded but not yet checked. */
  readonly versionId: string | undefined
}

const VERSION = "versionId="

/**
 * `[/]bucket/key[?versionId=id]`, decoded once as the fields of a form are: an unescaped `+` is a space, as with Amazon. A
 * raw `?` without `versionId=` after it belongs to the key. Throws `invalidArgument`.
 */
export function parseCopySource(text: string): CopySourceName {
  const mark = text.lastIndexOf("?")
  const isVersioned = mark >= 0 && text.startsWith(VERSION, mark + 1)
  const decoded = decode(isVersioned ? text.slice(0, mark) : text)
  const path = decoded.startsWith("/") ? decoded.slice(1) : decoded
  const slash = path.indexOf("/")
  const bucket = checked(slash < 0 ? path : path.slice(0, slash))
  if (slash < 0 || slash === path.length - 1) throw refused("Invalid copy source object key", text)
  return {
    bucket,
    rawKey: path.slice(slash + 1),
    versionId: isVersioned ? decode(text.slice(mark + 1 + VERSION.length)) : undefined,
  }
}

/** The name, if a bucket may have it. A client that writes `s3://bucket/key` learns that it is the form which is wrong. */
function checked(bucket: string): string {
  try {
    return parseBucketName(bucket)
  } catch (error) {
    if (!isFailure(error, "invalidBucketName")) throw error
    throw refused("Invalid copy source bucket name", bucket)
  }
}

const refused = (message: string, value: string) =>
  fail("invalidArgument", { message, argumentName: "x-amz-copy-source", argumentValue: value.slice(0, 80) })

function decode(text: string): string {
  try {
    return percentDecode(text.replaceAll("+", " "))
  } catch {
    throw refused("Invalid copy source encoding.", text)
  }
}
