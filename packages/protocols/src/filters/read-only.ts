/**
 * The filter `read-only`: clients of S3 and of Swift can read, and change nothing.
 *
 * Promises  Signing in goes on: `POST /` of the S3 port is IAM and STS, which store no object.
 * Source    `common/middleware/read_only.py`, OpenStack Swift.
 */
import { fail } from "@hayloft/base/failures.js"
import { splitTarget } from "@hayloft/base/http/uri.js"
import type { Exchange, Filter } from "../http/index.js"

const READING = ["GET", "HEAD", "OPTIONS"]

const reads = ({ method, rawTarget }: Exchange): boolean =>
  READING.includes(method) || (method === "POST" && splitTarget(rawTarget).rawPath === "/")

/** Requests that write are answered 405. */
export const readOnly = (): Filter => ({
  name: "read-only",
  handle: (exchange, next) => {
    if (reads(exchange)) return next(exchange)
    const message = "writes are disabled: the server was started with the filter read-only"
    throw fail("methodNotAllowed", { message, method: exchange.method.slice(0, 32), allow: READING.join(", ") })
  },
})
