/** A denied request as the list of denials keeps it, so that the operator can look up the reason. */
import type { Denials } from "@hayloft/access/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import { READ_TIMESTAMP } from "./operations/moments.js"
import type { S3Request } from "./request.js"
import { requestedOf } from "./rights/required-actions-core.js"

type DeniedRequest = Parameters<Denials["note"]>[0]

interface Denied extends Pick<DeniedRequest, "service" | "status" | "code"> {
  /** The key that the request claims to come from, unverified. */
  readonly claimed: string | undefined
}

export function deniedRequest(request: S3Request, failure: Failure, denied: Denied): DeniedRequest {
  const { exchange, target, query, operation, caller, headers, nowMs } = request
  const { claimed, ...answered } = denied
  const isOfVersion = query?.has("versionId") === true || query?.has(READ_TIMESTAMP) === true
  const requested = operation && target && requestedOf(operation.requiredActions, target, headers, isOfVersion)
  const { accessKeyId } = failure.details
  return {
    ...answered,
    requestId: exchange.requestId,
    deniedMs: nowMs,
    operation: operation?.name ?? "",
    remoteAddress: exchange.remoteAddress,
    accessKeyId: caller?.request.accessKeyId ?? (accessKeyId === undefined ? claimed : String(accessKeyId)),
    principal: caller?.principal,
    action: requested?.action,
    resource: requested?.resource,
  }
}
