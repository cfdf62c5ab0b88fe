/** The admin API's explanation of a denied request. */
import { DENIALS_KEPT, explainDenial, type Denial } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import type { AdminServices } from "./operation.js"

/** A request may name any text as its key. */
const isAccessKeyId = (text: string | undefined): text is AccessKeyId => text !== undefined && KEY_ID.test(text)
const KEY_ID = /^[0-9A-Za-z._=+/@-]{3,128}$/
const REQUEST_ID = /^[0-9A-F]{16}$/

/** Throws `invalidArgument`, `noSuchEntity`. */
function findDenial({ denials }: AdminServices, text: string): Denial {
  // Swift's clients see the id as that of a transaction.
  const requestId = text.trim().replace(/^tx/i, "").toUpperCase()
  if (!REQUEST_ID.test(requestId)) {
    throw fail("invalidArgument", { message: `"${text.slice(0, 80)}" is not a request id (16 hex digits)` })
  }
  const found = denials.find(requestId)
  if (found !== undefined) return found
  const kept = `the server keeps the latest ${DENIALS_KEPT} of each kind of caller (authenticated, with an invalid key, anonymous) until it stops`
  throw fail("noSuchEntity", {
    message: `no denial of request ${requestId} is known: it does not exist, was not denied, or its entry was evicted; ${kept}`,
  })
}

function callerOf({ principal, accessKeyId }: Denial) {
  if (principal === undefined) return { kind: "unknown", accessKeyId }
  if (principal.kind === "anonymous") return { kind: principal.kind }
  if (principal.kind === "federated") return { kind: principal.kind, arn: principal.providerArn }
  const { kind, accountId, accountNumber } = principal
  return {
    kind,
    accountId,
    accountNumber,
    accessKeyId,
    arn: principal.kind === "session" ? principal.sessionArn : principal.arn,
  }
}

/** In the shape of the schema `DENIAL`. */
export async function denialJson(services: AdminServices, requestId: string) {
  const denial = findDenial(services, requestId)
  const { deniedMs, service, operation, status, code, remoteAddress, action, resource, accessKeyId } = denial
  const key = isAccessKeyId(accessKeyId) ? await services.accounts.getKey(accessKeyId) : undefined
  const { sentence, decidedBy, grants, hints } = explainDenial(denial, key)
  return {
    requestId: denial.requestId,
    deniedMs,
    service,
    operation,
    status,
    code,
    remoteAddress,
    caller: callerOf(denial),
    action,
    resource,
    sentence,
    decidedBy: decidedBy && {
      side: decidedBy.side,
      policy: decidedBy.policy,
      sid: decidedBy.sid,
      statement: decidedBy.index + 1,
    },
    grants,
    hints,
  }
}
