/**
 * Failures as IAM and STS report them: code and status by kind if the kind has a row, by remedy otherwise. Details of
 * internal errors never leave the process.
 * Sources  "Common errors" and the errors of each action, IAM and STS API References.
 */
import { FAILURES, type Failure, type FailureKind, type Remedy } from "@hayloft/base/failures.js"
import type { IamService } from "./action.js"

interface Row {
  readonly code: string
  readonly status: number
  /** The message is undefined to use the failure's own message. */
  readonly message?: string
}

const INTERNAL: Row = {
  code: "ServiceFailure",
  status: 500,
  message: "The request failed because of an internal error.",
}
const UNAVAILABLE: Row = { code: "ServiceUnavailable", status: 503, message: "Please try again." }
const UNKNOWN_KEY: Row = {
  code: "InvalidClientTokenId",
  status: 403,
  message: "The security token included in the request is invalid.",
}

const BY_REMEDY: Readonly<Record<Remedy, Row>> = {
  fixRequest: { code: "ValidationError", status: 400 },
  signIn: { code: "AccessDenied", status: 403 },
  reread: { code: "ConcurrentModification", status: 409 },
  backOff: UNAVAILABLE,
  addSpace: { code: "StorageFull", status: 507 },
  repair: INTERNAL,
  askOperator: INTERNAL,
  reportBug: INTERNAL,
}

const BY_KIND: { readonly [kind in FailureKind]?: Row } = {
  invalidRequest: { code: "InvalidInput", status: 400 },
  entityTooLarge: { code: "RequestEntityTooLarge", status: 413 },
  notImplemented: { code: "NotImplemented", status: 501 },
  noSuchEntity: { code: "NoSuchEntity", status: 404 },
  noSuchAccessKey: { code: "NoSuchEntity", status: 404 },
  entityExists: { code: "EntityAlreadyExists", status: 409 },
  accessKeyExists: { code: "EntityAlreadyExists", status: 409 },
  deleteConflict: { code: "DeleteConflict", status: 409 },
  limitExceeded: { code: "LimitExceeded", status: 409 },
  malformedPolicy: { code: "MalformedPolicyDocument", status: 400 },
  contentSha256Mismatch: { code: "SignatureDoesNotMatch", status: 403 },
  invalidAccessKey: UNKNOWN_KEY,
  invalidToken: UNKNOWN_KEY,
  tokenExpired: {
    code: "ExpiredToken",
    status: 403,
    message: "The security token included in the request is expired",
  },
  signatureMismatch: {
    code: "SignatureDoesNotMatch",
    status: 403,
    message:
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
  },
  malformedAuthorization: { code: "IncompleteSignature", status: 400 },
  requestSkewed: { code: "SignatureDoesNotMatch", status: 403, message: "Signature expired, or not yet current" },
  requestExpired: { code: "SignatureDoesNotMatch", status: 403, message: "Signature expired" },
  rateExceeded: { code: "Throttling", status: 400, message: "Rate exceeded" },
  tooManyInFlight: { code: "Throttling", status: 503, message: "Rate exceeded" },
  invalidIdentityToken: { code: "InvalidIdentityToken", status: 400 },
  providerUnreachable: { code: "IDPCommunicationError", status: 400 },
  directoryUnavailable: {
    code: "ServiceUnavailable",
    status: 503,
    message: "The LDAP directory does not answer. Please try again.",
  },
}

const BY_STS: { readonly [kind in FailureKind]?: Row } = {
  limitExceeded: { code: "PackedPolicyTooLarge", status: 400 },
}

/** For an unsigned request to an action that needs a signature. */
const UNSIGNED: Row = { code: "MissingAuthenticationToken", status: 403 }
const TOKEN_EXPIRED: Row = { code: "ExpiredTokenException", status: 400 }

export interface IamError {
  readonly code: string
  readonly status: number
  readonly message: string
}

const INTERNAL_STATUS = 500

function rowOf({ kind, remedy, details }: Failure, service: IamService): Row {
  if (kind === "accessDenied" && details["unsigned"] === true) return UNSIGNED
  if (kind === "tokenExpired" && details["identity"] === "web") return TOKEN_EXPIRED
  return (service === "sts" ? BY_STS[kind] : undefined) ?? BY_KIND[kind] ?? BY_REMEDY[remedy]
}

export function iamErrorOf(failure: Failure, service: IamService): IamError {
  const { code, status, message } = rowOf(failure, service)
  const { message: own = FAILURES[failure.kind].message } = failure.details
  const isInternal = status >= INTERNAL_STATUS && failure.kind !== "notImplemented"
  const where = failure.kind === "malformedPolicy" ? failure.details["where"] : undefined
  const text = isInternal ? (message ?? FAILURES[failure.kind].message) : (message ?? String(own))
  return { code, status, message: where === undefined ? text : `${text} (${String(where)})` }
}
