/**
 * Failures as AWS KMS reports them: code and status by kind if the kind has a row, by remedy otherwise. Details of
 * internal errors never leave the process.
 *
 * Sources  "Common errors" and the errors of each action, AWS KMS API Reference.
 */
import { Failure, FAILURES, type FailureKind, type Remedy } from "@hayloft/base/failures.js"

export interface KmsError {
  readonly code: string
  readonly status: number
  readonly message: string
}

/** Codes that no kind of failure stands for. */
type OwnCode =
  | "DryRunOperationException"
  | "IncorrectKeyException"
  | "InvalidAliasNameException"
  | "MissingAuthenticationTokenException"
  | "NotAuthorizedException"
  | "SerializationException"
  | "TagException"
  | "UnknownOperationException"
  | "UnsupportedOperationException"
  | "ValidationException"

/** A refusal with the code that AWS KMS has for it. */
export class KmsRefusal extends Failure {
  constructor(
    readonly code: OwnCode,
    message: string,
  ) {
    super("invalidArgument", { message })
  }
}

type Row = readonly [code: string, status: number]
const INTERNAL: Row = ["KMSInternalException", 500]
const UNKNOWN_CLIENT: Row = ["UnrecognizedClientException", 400]
const WRONG_SIGNATURE: Row = ["InvalidSignatureException", 400]

const BY_REMEDY: Readonly<Record<Remedy, Row>> = {
  fixRequest: ["ValidationException", 400],
  signIn: ["AccessDeniedException", 403],
  reread: ["ConflictException", 400],
  backOff: ["ServiceUnavailableException", 503],
  addSpace: INTERNAL,
  repair: INTERNAL,
  askOperator: INTERNAL,
  reportBug: INTERNAL,
}

const BY_KIND: { readonly [kind in FailureKind]?: Row } = {
  noSuchKmsKey: ["NotFoundException", 400],
  kmsKeyDisabled: ["DisabledException", 400],
  kmsKeyState: ["KMSInvalidStateException", 400],
  invalidCiphertext: ["InvalidCiphertextException", 400],
  keyServiceUnavailable: ["DependencyTimeoutException", 500],
  limitExceeded: ["LimitExceededException", 400],
  entityExists: ["AlreadyExistsException", 400],
  malformedPolicy: ["MalformedPolicyDocumentException", 400],
  notImplemented: ["UnsupportedOperationException", 400],
  entityTooLarge: ["RequestEntityTooLargeException", 413],
  invalidAccessKey: UNKNOWN_CLIENT,
  invalidToken: UNKNOWN_CLIENT,
  tokenExpired: ["ExpiredTokenException", 400],
  signatureMismatch: WRONG_SIGNATURE,
  requestSkewed: WRONG_SIGNATURE,
  requestExpired: WRONG_SIGNATURE,
  contentSha256Mismatch: WRONG_SIGNATURE,
  malformedAuthorization: ["IncompleteSignatureException", 400],
  rateExceeded: ["ThrottlingException", 400],
  tooManyInFlight: ["ThrottlingException", 400],
}

/** Failures of the server side, but their own messages say what a caller or its operator can do. */
const SPOKEN: ReadonlySet<FailureKind> = new Set(["keyServiceUnavailable"])

export function kmsErrorOf(failure: Failure): KmsError {
  const { kind, remedy, details } = failure
  const general = FAILURES[kind].message
  if (failure instanceof KmsRefusal) return { code: failure.code, status: 400, message: String(details["message"]) }
  const [code, status] = BY_KIND[kind] ?? BY_REMEDY[remedy]
  const isHidden = status >= 500 && !SPOKEN.has(kind)
  const where = kind === "malformedPolicy" && details["where"] !== undefined ? ` (${String(details["where"])})` : ""
  return { code, status, message: isHidden ? general : `${String(details["message"] ?? general)}${where}` }
}
