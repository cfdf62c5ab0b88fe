/** What Swift's clients may ask for, and this server has not: refused by name, so that nobody takes it for done. Pure. */
import { fail } from "../base/failures.js"
import type { Headers } from "../base/request-headers.js"
import type { Query } from "../s3/index.js"

const HEADERS: readonly string[] = [
  ...["x-container-sync-to", "x-container-sync-key"],
  ...["x-account-meta-quota-bytes"],
  ...["x-object-manifest", "x-symlink-target"],
]

/** With the value that asks for it; undefined: any. */
const PARAMETERS: readonly (readonly [name: string, values: readonly string[] | undefined])[] = [
  ["multipart-manifest", ["put"]],
]

/** Throws `notImplemented`. */
export function refuseUnbuilt(headers: Headers, query: Query): void {
  for (const name of HEADERS) {
    if ((headers.get(name) ?? "") !== "")
      throw fail("notImplemented", { message: `the header ${name} is not implemented` })
  }
  for (const [name, values] of PARAMETERS) {
    const value = query.get(name)
    if (value === undefined || values?.includes(value) === false) continue
    throw fail("notImplemented", { message: `the query parameter ${name} is not implemented` })
  }
}
