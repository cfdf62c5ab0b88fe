/** The denial of one unsigned request, for tests of the admin API. */
import { Denials } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"

const DENIED_MS = 7

/** The id of an unsigned request. */
export const DENIED_REQUEST = "0123456789ABCDEF"

export function denialsOfOne(): Denials {
  const denials = new Denials()
  const request = {
    requestId: DENIED_REQUEST,
    deniedMs: DENIED_MS,
    service: "s3",
    operation: "ListBuckets",
    status: 403,
    code: "AccessDenied",
    remoteAddress: "192.0.2.1",
    accessKeyId: undefined,
    principal: { kind: "anonymous" },
    action: "s3:ListAllMyBuckets",
    resource: "arn:aws:s3:::*",
  } as const
  denials.note(request, fail("accessDenied", { reason: "the request carries no credentials" }))
  return denials
}
