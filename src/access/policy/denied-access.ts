/**
 * The failure of a request that policies deny: `accessDenied` as the client receives it, together with the decision,
 * which the client does not receive.
 */
import { Failure, type FailureDetails } from "../../base/failures.js"
import type { DecidedRequest, Denied } from "./contract.js"

export class DeniedAccess extends Failure {
  constructor(
    readonly request: DecidedRequest,
    readonly decision: Denied,
    details: FailureDetails = {},
  ) {
    super("accessDenied", details)
  }
}
