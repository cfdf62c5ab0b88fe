/**
 * Failures as the two APIs of queues report them: code and status by kind if the kind has a row, by remedy otherwise. The
 * REST API has Disque's codes; SQS has the names of Amazon's JSON protocol, and those of the older one in a header.
 * Details of internal errors never leave the process.
 *
 * Sources  "Disque README"; the errors of each action, Amazon SQS API Reference; "AWS JSON 1.0 protocol", Smithy.
 */
import { FAILURES, Failure, type FailureKind, type Remedy } from "@hayloft/base/failures.js"

export interface QueueError {
  readonly code: string
  readonly status: number
  readonly message: string
}

type Row = readonly [code: string, status: number]
type Rows = { readonly [kind in FailureKind]?: Row }

const INTERNAL_STATUS = 500

/** Codes that no kind of failure stands for, and those that a refusal shares with failures. */
type OwnCode =
  | "BatchEntryIdsNotDistinct"
  | "BatchRequestTooLong"
  | "EmptyBatchRequest"
  | "InvalidAttributeName"
  | "InvalidAttributeValue"
  | "InvalidBatchEntryId"
  | "InvalidMessageContents"
  | "InvalidParameterValue"
  | "MalformedQueryString"
  | "MissingParameter"
  | "PurgeQueueInProgress"
  | "ReceiptHandleIsInvalid"
  | "SerializationException"
  | "TooManyEntriesInBatchRequest"
  | "UnknownOperationException"
  | "UnsupportedOperation"

/** A refusal with the code that SQS has for it. */
export class SqsRefusal extends Failure {
  constructor(
    readonly code: OwnCode,
    message: string,
  ) {
    super("invalidArgument", { message })
  }
}

interface Table {
  readonly byRemedy: Readonly<Record<Remedy, Row>>
  readonly byKind: Rows
}

const REST: Table = {
  byRemedy: {
    fixRequest: ["INVALID", 400],
    signIn: ["DENIED", 403],
    reread: ["CONFLICT", 409],
    backOff: ["UNAVAILABLE", 503],
    addSpace: ["FULL", 507],
    repair: ["INTERNAL", 500],
    askOperator: ["INTERNAL", 500],
    reportBug: ["INTERNAL", 500],
  },
  byKind: {
    noSuchQueue: ["NOQUEUE", 404],
    noSuchMessage: ["NOJOB", 404],
    workedTooLong: ["TOOLATE", 409],
    queuePaused: ["PAUSED", 503],
    queueFull: ["MAXLEN", 429],
    tooFewCopies: ["NOREPL", 503],
    entityTooLarge: ["TOOLARGE", 413],
    methodNotAllowed: ["METHOD", 405],
    notImplemented: ["UNSUPPORTED", 501],
    limitExceeded: ["LIMIT", 409],
    rateExceeded: ["SLOWDOWN", 429],
    tooManyInFlight: ["SLOWDOWN", 503],
    invalidUri: ["INVALID", 400],
  },
}

const SQS: Table = {
  byRemedy: {
    fixRequest: ["InvalidParameterValue", 400],
    signIn: ["AccessDeniedException", 403],
    reread: ["ServiceUnavailable", 503],
    backOff: ["ServiceUnavailable", 503],
    addSpace: ["InternalFailure", 500],
    repair: ["InternalFailure", 500],
    askOperator: ["InternalFailure", 500],
    reportBug: ["InternalFailure", 500],
  },
  byKind: {
    noSuchQueue: ["QueueDoesNotExist", 400],
    queueExists: ["QueueNameExists", 400],
    notInFlight: ["MessageNotInflight", 400],
    noSuchMessage: ["MessageNotInflight", 400],
    queueFull: ["OverLimit", 403],
    limitExceeded: ["OverLimit", 403],
    rateExceeded: ["RequestThrottled", 403],
    tooManyInFlight: ["RequestThrottled", 403],
    notImplemented: ["UnsupportedOperation", 400],
    methodNotAllowed: ["UnsupportedOperation", 400],
    invalidAccessKey: ["InvalidClientTokenId", 403],
    invalidToken: ["InvalidClientTokenId", 403],
    tokenExpired: ["ExpiredToken", 403],
    signatureMismatch: ["SignatureDoesNotMatch", 403],
    requestSkewed: ["SignatureDoesNotMatch", 403],
    requestExpired: ["RequestExpired", 400],
    malformedAuthorization: ["IncompleteSignature", 400],
    contentSha256Mismatch: ["SignatureDoesNotMatch", 403],
  },
}

function errorOf({ byRemedy, byKind }: Table, { kind, remedy, details }: Failure): QueueError {
  const [code, status] = byKind[kind] ?? byRemedy[remedy]
  const general = FAILURES[kind].message
  const isHidden = status >= INTERNAL_STATUS && byKind[kind] === undefined
  return { code, status, message: isHidden ? general : String(details["message"] ?? general) }
}

export const restErrorOf = (failure: Failure): QueueError => errorOf(REST, failure)

/** Amazon's status of refusals that do not have 400. */
const OWN_STATUS: { readonly [code in OwnCode]?: number } = { PurgeQueueInProgress: 403 }

export function sqsErrorOf(failure: Failure): QueueError {
  if (!(failure instanceof SqsRefusal)) return errorOf(SQS, failure)
  return { code: failure.code, status: OWN_STATUS[failure.code] ?? 400, message: String(failure.details["message"]) }
}

/** Codes that the older protocol of SQS names otherwise. */
const OLDER_CODES: Readonly<Record<string, string>> = {
  QueueDoesNotExist: "AWS.SimpleQueueService.NonExistentQueue",
  QueueNameExists: "QueueAlreadyExists",
  MessageNotInflight: "AWS.SimpleQueueService.MessageNotInflight",
  TooManyEntriesInBatchRequest: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
  EmptyBatchRequest: "AWS.SimpleQueueService.EmptyBatchRequest",
  BatchEntryIdsNotDistinct: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
  InvalidBatchEntryId: "AWS.SimpleQueueService.InvalidBatchEntryId",
  BatchRequestTooLong: "AWS.SimpleQueueService.BatchRequestTooLong",
  PurgeQueueInProgress: "AWS.SimpleQueueService.PurgeQueueInProgress",
  UnsupportedOperation: "AWS.SimpleQueueService.UnsupportedOperation",
}

/** The code, and whose fault it is, as the older protocol says it. */
export const olderErrorOf = ({ code, status }: QueueError): string =>
  `${OLDER_CODES[code] ?? code};${status >= INTERNAL_STATUS ? "Receiver" : "Sender"}`
