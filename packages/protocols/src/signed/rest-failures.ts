/**
 * Failures as the APIs of the admin port return them: `{"error": {"code", "message"}}`, with the failure's kind as the code.
 * The status follows from the remedy; kinds for which that would be wrong have their own row.
 */
import { DeniedAccess } from "@hayloft/access/index.js"
import { asFailure, sentenceOf, type FailureKind, type Remedy } from "@hayloft/base/failures.js"

const STATUS_BY_REMEDY: Readonly<Record<Remedy, number>> = {
  fixRequest: 400,
  signIn: 401,
  reread: 409,
  backOff: 503,
  addSpace: 507,
  repair: 500,
  askOperator: 500,
  reportBug: 500,
}

const STATUS_BY_KIND: { readonly [kind in FailureKind]?: number } = {
  noSuchBucket: 404,
  noSuchQueue: 404,
  noSuchSession: 404,
  noSuchFile: 404,
  noSuchTransform: 404,
  lockHeld: 409,
  preconditionFailed: 412,
  noSuchWebsite: 404,
  invalidRedirectLocation: 400,
  noSuchAccount: 404,
  noSuchAccessKey: 404,
  noSuchEntity: 404,
  noSuchKmsKey: 404,
  kmsKeyState: 409,
  kmsKeyDisabled: 409,
  entityExists: 409,
  limitExceeded: 409,
  quotaExceeded: 403,
  outOfScope: 403,
  accessForbidden: 403,
  rateExceeded: 429,
  remoteRefused: 502,
  bucketExists: 409,
  bucketOwnedByYou: 409,
  bucketNotEmpty: 409,
  accountExists: 409,
  accessKeyExists: 409,
  entityTooLarge: 413,
  methodNotAllowed: 405,
  notImplemented: 501,
  // The operator's request is at fault, not the configuration of this store.
  invalidConfig: 400,
  folderInUse: 409,
  foreignFolder: 409,
  folderNotEmpty: 409,
  devicesMissing: 409,
}

export interface ErrorReply {
  readonly status: number
  readonly code: string
  readonly message: string
}

/** The caller is known once the request's credentials have been accepted. */
export type CallerState = "known" | "unknown"

/**
 * 401 is the answer to credentials that are missing or wrong, and ends a session of the console; a known caller who may
 * not do something gets 403. Internal errors show no details: those are in the log.
 */
export function errorReplyOf(error: unknown, caller: CallerState): ErrorReply {
  const failure = asFailure(error)
  const usual = STATUS_BY_KIND[failure.kind] ?? STATUS_BY_REMEDY[failure.remedy]
  const isKnown = caller === "known" || failure instanceof DeniedAccess
  const status = usual === 401 && isKnown ? 403 : usual
  const message = failure.kind === "internal" ? "internal error; see the log" : sentenceOf(failure)
  return { status, code: failure.kind, message }
}
