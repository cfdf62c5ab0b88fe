/**
 * Features that Swift's clients may ask for, and this server lacks: they are refused by name, so that nobody takes them
 * for done. Pure.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"

/** A condition of a deletion: ignoring it would remove an object that its client wants to keep. */
const IF_DELETE_AT = "x-if-delete-at"
const QUOTA_OF_POLICY = /^x-(?:remove-)?account-quota-(?:bytes|count)-policy-/

/** Throws `notImplemented`. */
export function refuseUnbuilt(headers: Headers): void {
  if (headers.has(IF_DELETE_AT))
    throw fail("notImplemented", { message: "deletions with the condition X-If-Delete-At are not implemented" })
  for (const [name] of headers) {
    if (QUOTA_OF_POLICY.test(name))
      throw fail("notImplemented", { message: `quotas of storage policies are not implemented: ${name.slice(0, 80)}` })
  }
}
