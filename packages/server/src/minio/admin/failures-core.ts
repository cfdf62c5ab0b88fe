/** Failures as MinIO's admin API reports them: `mc` prints the message, and ends with exit code 1. Pure. */
import { FAILURES, sentenceOf, type Failure, type FailureKind, type Remedy } from "@hayloft/base/failures.js"
import type { MinioError } from "./contract.js"

type Row = Pick<MinioError, "status" | "code">

const BY_REMEDY: Readonly<Record<Remedy, Row>> = {
  fixRequest: { status: 400, code: "XMinioAdminInvalidArgument" },
  signIn: { status: 403, code: "AccessDenied" },
  reread: { status: 409, code: "OperationAborted" },
  backOff: { status: 503, code: "SlowDown" },
  addSpace: { status: 507, code: "XMinioStorageFull" },
  repair: { status: 500, code: "InternalError" },
  askOperator: { status: 500, code: "InternalError" },
  reportBug: { status: 500, code: "InternalError" },
}

const BY_KIND: { readonly [kind in FailureKind]?: Row } = {
  notImplemented: { status: 501, code: "NotImplemented" },
  noSuchBucket: { status: 404, code: "NoSuchBucket" },
  noSuchEntity: { status: 404, code: "XMinioAdminNoSuchUser" },
  noSuchAccessKey: { status: 404, code: "XMinioInvalidIAMCredentials" },
  accessKeyExists: { status: 409, code: "XMinioInvalidIAMCredentials" },
  entityExists: { status: 409, code: "XMinioAdminInvalidArgument" },
  deleteConflict: { status: 400, code: "XMinioIAMError" },
  malformedPolicy: { status: 400, code: "MalformedPolicy" },
  entityTooLarge: { status: 413, code: "EntityTooLarge" },
  invalidAccessKey: { status: 403, code: "InvalidAccessKeyId" },
  signatureMismatch: { status: 403, code: "SignatureDoesNotMatch" },
  contentSha256Mismatch: { status: 400, code: "XAmzContentSHA256Mismatch" },
  requestSkewed: { status: 403, code: "RequestTimeTooSkewed" },
  requestExpired: { status: 403, code: "AccessDenied" },
  invalidToken: { status: 403, code: "InvalidTokenId" },
  tokenExpired: { status: 403, code: "ExpiredToken" },
  malformedAuthorization: { status: 400, code: "AuthorizationHeaderMalformed" },
}

/** The code for what an operation did not find. */
function missingIn(operation: string): string {
  if (/Polic/.test(operation)) return "XMinioAdminNoSuchPolicy"
  return /Group|Member/.test(operation) ? "XMinioAdminNoSuchGroup" : "XMinioAdminNoSuchUser"
}

const INTERNAL_STATUS = 500

/** `operation`: of our admin API, in which it failed. */
export function minioErrorOf(failure: Failure, operation = ""): MinioError {
  const { kind, remedy } = failure
  const { status, code } = BY_KIND[kind] ?? BY_REMEDY[remedy]
  const isInternal = status === INTERNAL_STATUS
  const message = isInternal ? FAILURES[kind].message : sentenceOf(failure)
  return { status, code: kind === "noSuchEntity" ? missingIn(operation) : code, message }
}

/** The body of an answer that refuses, in the form that MinIO has for it. */
export const errorBody = (
  { code: Code, message: Message }: MinioError,
  Resource: string,
  RequestId: string,
): Uint8Array => Buffer.from(JSON.stringify({ Code, Message, Resource, RequestId, HostId: "" }))
