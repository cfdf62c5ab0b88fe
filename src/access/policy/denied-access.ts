/**
 * The failure of whoever is denied something by policies: `accessDenied`, as the client hears it, and with it the
 * decision, of which it does not.
 */
import { Failure, type FailureDetails } from "../../base/failures.js"
import type { DecidedRequest, Denied } from "./contract.js"

export class DeniedAccess extends Failure {
  constructor(
    readonly asked: DecidedRequest,
    readonly decision: Denied,
    details: FailureDetails = {},
  ) {
    super("accessDenied", details)
  }
}
