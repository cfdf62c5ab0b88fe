/**
 * Failures as K2V reports them, in Garage's form: JSON with code, message, region and path. Code and status are by kind if
 * the kind has a row, by remedy otherwise. Details of internal errors never leave the process.
 */
import { FAILURES, type Failure, type FailureKind, type Remedy } from "@hayloft/base/failures.js"

export interface K2vError {
  readonly code: string
  readonly status: number
  readonly message: string
}

type Row = readonly [code: string, status: number]
const INTERNAL: Row = ["InternalError", 500]
const UNAVAILABLE: Row = ["ServiceUnavailable", 503]
const DENIED: Row = ["AccessDenied", 403]

const BY_REMEDY: Readonly<Record<Remedy, Row>> = {
  fixRequest: ["InvalidRequest", 400],
  signIn: DENIED,
  reread: ["Conflict", 409],
  backOff: UNAVAILABLE,
  addSpace: ["InsufficientStorage", 507],
  repair: INTERNAL,
  askOperator: INTERNAL,
  reportBug: INTERNAL,
}

const BY_KIND: { readonly [kind in FailureKind]?: Row } = {
  noSuchBucket: ["NoSuchBucket", 404],
  noSuchKey: ["NoSuchKey", 404],
  invalidBucketName: ["InvalidBucketName", 400],
  keyTooLong: ["KeyTooLongError", 400],
  invalidKey: ["InvalidUtf8String", 400],
  entityTooLarge: ["EntityTooLarge", 413],
  limitExceeded: ["LimitExceeded", 409],
  quotaExceeded: ["QuotaExceeded", 403],
  methodNotAllowed: ["MethodNotAllowed", 405],
  notImplemented: ["NotImplemented", 501],
  contentSha256Mismatch: ["InvalidDigest", 400],
  invalidAccessKey: ["InvalidAccessKeyId", 403],
  signatureMismatch: ["SignatureDoesNotMatch", 403],
  malformedAuthorization: ["AuthorizationHeaderMalformed", 400],
  requestSkewed: ["RequestTimeTooSkewed", 403],
  tokenExpired: ["ExpiredToken", 400],
  rateExceeded: ["SlowDown", 503],
  tooManyInFlight: ["SlowDown", 503],
}

/** The rows by the field that a failure names beside its kind. */
const BY_FIELD: Readonly<Record<string, Row>> = {
  token: ["CausalityToken", 400],
  base64: ["InvalidBase64", 400],
  accept: ["NotAcceptable", 406],
}

const INTERNAL_STATUS = 500

export function k2vErrorOf({ kind, remedy, details }: Failure): K2vError {
  const [code, status] = BY_FIELD[String(details["field"])] ?? BY_KIND[kind] ?? BY_REMEDY[remedy]
  const general = FAILURES[kind].message
  const isHidden = status >= INTERNAL_STATUS && kind !== "notImplemented"
  return { code, status, message: isHidden ? general : String(details["message"] ?? general) }
}
