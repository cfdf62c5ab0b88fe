/**
 * Failures as `/coord/` reports them: `{"error": {"code", "message"}}`, with the failure's kind as the code, as in the rest of
 * the admin port. The status follows from the remedy, unless the kind has a row. Details of internal errors never leave
 * the process.
 */
import { FAILURES, sentenceOf, type Failure, type FailureKind, type Remedy } from "../base/failures.js"

const STATUS_BY_REMEDY: Readonly<Record<Remedy, number>> = {
  fixRequest: 400,
  signIn: 403,
  reread: 409,
  backOff: 503,
  addSpace: 507,
  repair: 500,
  askOperator: 500,
  reportBug: 500,
}

const STATUS_BY_KIND: { readonly [kind in FailureKind]?: number } = {
  noSuchSession: 404,
  noSuchFile: 404,
  preconditionFailed: 412,
  entityTooLarge: 413,
  methodNotAllowed: 405,
  limitExceeded: 409,
  rateExceeded: 429,
  accessForbidden: 403,
  outOfScope: 403,
}

const INTERNAL_STATUS = 500

export interface CoordError {
  readonly code: string
  readonly status: number
  readonly message: string
}

export function coordErrorOf(failure: Failure): CoordError {
  const { kind, remedy } = failure
  const status = STATUS_BY_KIND[kind] ?? STATUS_BY_REMEDY[remedy]
  const isHidden = status >= INTERNAL_STATUS && remedy !== "backOff"
  return { code: kind, status, message: isHidden ? FAILURES[kind].message : sentenceOf(failure) }
}
