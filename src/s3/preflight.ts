/** OPTIONS of cross-origin requests: no bucket has CORS rules, so none is allowed. */
import { fail } from "../base/failures.js"
import { s3ErrorOf } from "./failures.js"
import type { S3Error } from "./failures.js"
import type { Headers } from "./call.js"

/** The answer to a preflight. Without `Origin` it is none. */
export function preflight(headers: Headers): S3Error {
  if (headers.has("origin")) {
    const method = headers.get("access-control-request-method")?.slice(0, 32)
    const refusal = s3ErrorOf(fail("accessForbidden", { method, resourceType: "BUCKET" }))
    return { ...refusal, headers: [...refusal.headers, ["Vary", "Origin"]] }
  }
  return {
    code: "BadRequest",
    status: 400,
    message: "Insufficient information. Origin request header needed.",
    fields: [],
    headers: [],
  }
}
