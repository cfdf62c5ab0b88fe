/** Parses `x-amz-rename-source`, which names the object to rename: `/bucket/key` or `key`, percent-encoded. */
import { fail } from "../../base/failures.js"
import { percentDecode } from "../../base/uri.js"

export const RENAME_SOURCE_HEADER = "x-amz-rename-source"

/**
 * The key's bytes as a byte string. A leading `/` is that of the long form, so a key that begins with one needs that form.
 * Throws `invalidArgument`, for another bucket too.
 */
export function parseRenameSource(text: string | undefined, bucket: string): string {
  if (text === undefined || text === "") throw refusal("The source of the rename is missing.", text)
  if (/\?versionId=/i.test(text)) throw refusal("A rename takes the latest version: its source names none.", text)
  const decoded = decode(text)
  if (!decoded.startsWith("/")) return decoded
  const prefix = `/${bucket}/`
  if (!decoded.startsWith(prefix)) throw refusal("The source of a rename must be in the same bucket.", text)
  if (decoded.length === prefix.length) throw refusal("The source of the rename has no key.", text)
  return decoded.slice(prefix.length)
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
