/**
 * ETags in quotes, as HTTP has them and Swift has not, for caches and browsers that need them: chosen for a container, or for all
 * containers of an account that do not choose. Pure.
 *
 * Source  `common/middleware/etag_quoter.py`, OpenStack Swift.
 */
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { HeaderLines } from "../../http/index.js"
import type { S3Answer } from "../../s3/index.js"
import { isTrue } from "../metadata-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

type Chooser = "Account" | "Container"

/** Returns the choice of a request: null removes an earlier choice, undefined leaves it as it is. */
export function etagQuotesIn(headers: Headers, chooser: Chooser): boolean | null | undefined {
  const name = `${chooser.toLowerCase()}-rfc-compliant-etags`
  const text = headers.get(`x-${name}`)
  if ((headers.get(`x-remove-${name}`) ?? "") !== "" || text === "") return null
  return text === undefined ? undefined : isTrue(text)
}

/** The choice after a request. */
export const chosenQuotes = (former: boolean | undefined, asked: boolean | null | undefined): boolean | undefined =>
  asked === undefined ? former : (asked ?? undefined)

export const etagQuotesField = (chooser: Chooser, chosen: boolean | undefined): readonly HeaderField[] =>
  chosen === undefined ? [] : [[`X-${chooser}-Rfc-Compliant-Etags`, chosen ? "True" : "False"]]

export function withQuotedEtag(answer: S3Answer): S3Answer {
  const flat = answer.headers.flat()
  const at = flat.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "etag")
  const etag = flat[at + 1] ?? ""
  if (at < 0 || etag.startsWith('"')) return answer
  return { ...answer, headers: HeaderLines.of(flat.with(at + 1, `"${etag}"`)) }
}
