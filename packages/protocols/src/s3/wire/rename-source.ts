/**
 * Parses `x-amz-rename-source`, which names the object to rename: `/bucket/key`, or `key` for one of the same bucket,
 * percent-encoded. Amazon knows only sources in the same bucket.
 */
import { fail } from "@hayloft/base/failures.js"
import { percentDecode } from "@hayloft/base/http/uri.js"

export const RENAME_SOURCE_HEADER = "x-amz-rename-source"

interface RenameSourceName {
  readonly bucket: string
  /** The key's bytes as a byte string. */
  readonly rawKey: string
}

/**
 * `bucket`: of the destination. A leading `/` is that of the long form, so a key that begins with one needs that form.
 * Throws `invalidArgument`.
 */
export function parseRenameSource(text: string | undefined, bucket: string): RenameSourceName {
  if (text === undefined || text === "") throw refusal("The source of the rename is missing.", text)
  if (/\?versionId=/i.test(text)) throw refusal("A rename takes the latest version: its source names none.", text)
  const decoded = decode(text)
  if (!decoded.startsWith("/")) return { bucket, rawKey: decoded }
  const slash = decoded.indexOf("/", 1)
  if (slash <= 1) throw refusal("The source of a rename in another bucket is written /bucket/key.", text)
  if (slash === decoded.length - 1) throw refusal("The source of the rename has no key.", text)
  return { bucket: decoded.slice(1, slash), rawKey: decoded.slice(slash + 1) }
}

function decode(text: string): string {
  try {
    return percentDecode(text)
  } catch {
    throw refusal("The source of the rename must be URL encoded.", text)
  }
}

const refusal = (message: string, text = "") =>
  fail("invalidArgument", { message, argumentName: RENAME_SOURCE_HEADER, argumentValue: text.slice(0, 80) })
