/** Requests that are refused while so many devices do not answer that it is one stall. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Exchange } from "@hayloft/protocols/http/index.js"

/** They are answered from memory. */
const PROBES = ["/health/", "/minio/health/"]

export const stalledBy =
  (reason: () => string | undefined) =>
  ({ rawTarget }: Pick<Exchange, "rawTarget">): Failure | undefined => {
    const message = reason()
    if (message === undefined || PROBES.some(path => rawTarget.startsWith(path))) return undefined
    return fail("deviceFailed", { message })
  }
