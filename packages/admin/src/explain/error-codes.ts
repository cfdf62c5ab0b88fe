/**
 * Error codes as clients see them: which failures each stands for, by API. A code that says no more than its failures has
 * no text of its own. tests/docs/codes.test.ts compares the tables with what the handlers return.
 */
import { FAILURES, type FailureKind, type Remedy } from "@hayloft/base/failures.js"
import { text, type Text } from "./contract.js"

export const APIS = ["S3", "IAM", "KMS", "SQS"] as const
export type Api = (typeof APIS)[number]

export interface ErrorCode {
  readonly api: Api
  readonly code: string
  /** Failures with this code. */
  readonly kinds: readonly FailureKind[]
  /** In addition all failures with these remedies that have no other code in the API. */
  readonly remedies?: readonly Remedy[]
  readonly text?: Text
}

const LOGS = "operate/operate.md#logs"
const REFERENCE = "reference/s3-compatibility.md#operations"

const unset = (what: string, set: string): Text =>
  text(
    `The bucket has no ${what}: it was never set, or was deleted. Tools that read every setting expect this answer.`,
    set,
  )

/** Settings that exist in S3 and cannot be set here. */
const never = (what: string): Text =>
  text(`${what} cannot be set in this store. Tools that read every setting expect this answer.`, "Nothing.", REFERENCE)

const S3_OWN: Readonly<Record<string, Text>> = {
  BadRequest: text(
    "A browser's preflight request (OPTIONS) lacks the header `Origin` or `Access-Control-Request-Method`.",
    "Send both, as browsers do. For a test with curl: `-X OPTIONS -H 'Origin: …' -H 'Access-Control-Request-Method: GET'`.",
  ),
  NoSuchCORSConfiguration: unset("CORS rules", "If browsers should use it: `aws s3api put-bucket-cors`."),
  NoSuchTransformConfiguration: unset("transforms", "Nothing, or `hayloft transform rules set`."),
  NoSuchRemoteConfiguration: unset("remote, so its objects are in this store", "Nothing, or `PUT /BUCKET?remote`."),
  NoSuchTagSet: unset("tags", "Nothing, or `aws s3api put-bucket-tagging`."),
  NoSuchBucketPolicy: unset("policy", "Nothing, or `aws s3api put-bucket-policy`."),
  NoSuchLifecycleConfiguration: unset("lifecycle rules", "Nothing, or `aws s3api put-bucket-lifecycle-configuration`."),
  NoSuchPublicAccessBlockConfiguration: unset(
    "public access block, so policies and lists may make it public",
    "If it should not be public: `aws s3api put-public-access-block`.",
  ),
  ObjectLockConfigurationNotFoundError: unset("object lock", "Nothing, or `aws s3api put-object-lock-configuration`."),
  OwnershipControlsNotFoundError: unset(
    "ownership controls, so access control lists are effective",
    "Nothing, or `aws s3api put-bucket-ownership-controls`.",
  ),
  ServerSideEncryptionConfigurationNotFoundError: unset(
    "default encryption",
    "Nothing, or `aws s3api put-bucket-encryption`.",
  ),
  ReplicationConfigurationNotFoundError: never("Replication"),
  NoSuchConfiguration: never("This kind of configuration (analytics, inventory, metrics, intelligent tiering)"),
  MetadataConfigurationNotFound: never("A metadata table"),
  InvalidRequest: text(
    "The request is well formed and asks for something that does not fit together; the message says what.",
    "Change the request as the message says.",
    "reference/s3-compatibility.md",
  ),
  InternalError: text(
    "The store could not do what was asked, for a reason that the client is not told: damaged data that cannot be read from elsewhere, or a bug.",
    "Find the line `request` with the client's `x-amz-request-id` in the log: `kind` and `reason` say what happened. Then run `hayloft explain KIND`.",
    LOGS,
  ),
  ServiceUnavailable: text(
    "The store cannot do this now: it is starting or stopping, or a disk, a node, the database, a key service or a remote store does not respond. SDKs try again by themselves.",
    "`hayloft status` and `/health/ready` say what is wrong. The line `request` in the log has `kind` and `reason`.",
    "operate/operate.md#health",
  ),
}

const S3_KINDS: Readonly<Record<string, readonly FailureKind[]>> = {
  AccessControlListNotSupported: ["aclNotSupported"],
  AccessDenied: ["accessDenied", "objectLocked", "requestExpired", "outOfScope"],
  AccessForbidden: ["accessForbidden"],
  AmbiguousGrantByEmailAddress: ["ambiguousGrant"],
  AuthorizationHeaderMalformed: ["malformedAuthorization"],
  AuthorizationQueryParametersError: ["malformedAuthorization"],
  BadDigest: ["badDigest"],
  BucketAlreadyExists: ["bucketExists"],
  BucketAlreadyOwnedByYou: ["bucketOwnedByYou"],
  BucketNotEmpty: ["bucketNotEmpty"],
  ConditionalRequestConflict: ["conflict"],
  EntityTooLarge: ["entityTooLarge"],
  EntityTooSmall: ["entityTooSmall"],
  ExpiredToken: ["tokenExpired"],
  IdempotencyParameterMismatch: ["idempotencyMismatch"],
  IllegalLocationConstraintException: ["illegalLocation"],
  IncompleteBody: ["incompleteBody", "malformedChunk"],
  InternalError: [
    "internal",
    "notEnoughShards",
    "corruptRow",
    "corruptNeedle",
    "corruptSeal",
    "corruptLog",
    "corruptRecord",
    "noSuchNeedle",
    "malformedFrame",
    "incompatiblePeer",
    "nodeRemoved",
    "invalidConfig",
    "folderInUse",
    "foreignDatabase",
    "metadataElsewhere",
    "foreignFolder",
    "folderNotEmpty",
    "noSuchStore",
    "devicesMissing",
    "wrongMasterKey",
  ],
  InvalidAccessKeyId: ["invalidAccessKey"],
  InvalidArgument: ["invalidArgument", "retentionIsOver", "malformedAuthorization", "noSuchTransform"],
  InvalidBucketAclWithBlockPublicAccessError: ["aclWithAccessBlock"],
  InvalidBucketAclWithObjectOwnership: ["aclWithOwnership"],
  InvalidBucketName: ["invalidBucketName"],
  InvalidBucketState: ["lockNeedsVersioning"],
  InvalidDigest: ["invalidDigest"],
  InvalidEncryptionAlgorithmError: ["invalidEncryptionAlgorithm"],
  InvalidObjectState: ["invalidObjectState"],
  InvalidPart: ["invalidPart"],
  InvalidPartNumber: ["invalidPartNumber"],
  InvalidPartOrder: ["invalidPartOrder"],
  InvalidPolicyDocument: ["invalidFormPolicy"],
  InvalidRange: ["invalidRange"],
  InvalidRedirectLocation: ["invalidRedirectLocation"],
  InvalidRequest: [
    "invalidRequest",
    "noObjectLock",
    "accountDeleted",
    "noSuchAccount",
    "accountExists",
    "noSuchAccessKey",
    "accessKeyExists",
    "noSuchEntity",
    "entityExists",
    "deleteConflict",
    "limitExceeded",
    "noSuchQueue",
    "queueExists",
    "noSuchMessage",
    "notInFlight",
    "workedTooLong",
    "noSuchSession",
    "lockHeld",
    "noSuchFile",
    "planOutdated",
  ],
  HistoryIncomplete: ["historyIncomplete"],
  InvalidStorageClass: ["invalidStorageClass"],
  InvalidWriteOffset: ["invalidWriteOffset"],
  InvalidTag: ["invalidTag"],
  InvalidToken: ["invalidToken", "invalidIdentityToken"],
  InvalidURI: ["invalidUri", "invalidKey"],
  "KMS.DisabledException": ["kmsKeyDisabled"],
  "KMS.InvalidCiphertextException": ["invalidCiphertext"],
  "KMS.KMSInvalidStateException": ["kmsKeyState"],
  "KMS.NotFoundException": ["noSuchKmsKey"],
  KeyTooLongError: ["keyTooLong"],
  MalformedACLError: ["malformedAcl"],
  MalformedPOSTRequest: ["malformedForm"],
  MalformedPolicy: ["malformedPolicy"],
  MalformedTrailerError: ["malformedTrailer"],
  MalformedXML: ["malformedXml"],
  MissingRequestBodyError: ["missingDocument"],
  MaxPostPreDataLengthExceeded: ["formTooLarge"],
  MetadataTooLarge: ["metadataTooLarge"],
  MethodNotAllowed: ["methodNotAllowed", "isDeleteMarker"],
  MissingContentLength: ["missingLength"],
  MissingSecurityHeader: ["missingHeader"],
  NoSuchBucket: ["noSuchBucket"],
  NoSuchKey: ["noSuchKey"],
  NoSuchObjectLockConfiguration: ["noVersionLock"],
  NoSuchUpload: ["noSuchUpload"],
  NoSuchVersion: ["noSuchVersion"],
  NoSuchWebsiteConfiguration: ["noSuchWebsite"],
  NotImplemented: ["notImplemented"],
  NotModified: ["notModified"],
  OperationAborted: ["bucketClosing"],
  PreconditionFailed: ["preconditionFailed"],
  QuotaExceeded: ["quotaExceeded"],
  RemoteRefused: ["remoteRefused"],
  RequestTimeTooSkewed: ["requestSkewed"],
  RequestTimeout: ["requestTimeout"],
  ServiceUnavailable: [
    "stopping",
    "deviceFailed",
    "indeterminate",
    "databaseUnreachable",
    "databaseRolledBack",
    "peerUnreachable",
    "keysUnavailable",
    "keyServiceUnavailable",
    "remoteUnavailable",
    "providerUnreachable",
    "directoryUnavailable",
    "queuePaused",
    "queueFull",
    "tooFewCopies",
  ],
  SegmentChanged: ["segmentChanged"],
  SignatureDoesNotMatch: ["signatureMismatch"],
  SlowDown: ["tooManyInFlight", "rateExceeded", "uploadAborted"],
  StorageFull: ["deviceFull"],
  UnexpectedContent: ["unexpectedContent"],
  UnresolvableGrantByEmailAddress: ["unresolvableGrant"],
  XAmzContentSHA256Mismatch: ["contentSha256Mismatch"],
}

const IAM_KINDS: Readonly<Record<string, readonly FailureKind[]>> = {
  AccessDenied: ["accessDenied"],
  DeleteConflict: ["deleteConflict"],
  EntityAlreadyExists: ["entityExists", "accessKeyExists"],
  ExpiredToken: ["tokenExpired"],
  ExpiredTokenException: ["tokenExpired"],
  IDPCommunicationError: ["providerUnreachable"],
  IncompleteSignature: ["malformedAuthorization"],
  InvalidClientTokenId: ["invalidAccessKey", "invalidToken"],
  InvalidIdentityToken: ["invalidIdentityToken"],
  InvalidInput: ["invalidRequest"],
  LimitExceeded: ["limitExceeded"],
  MalformedPolicyDocument: ["malformedPolicy"],
  NoSuchEntity: ["noSuchEntity", "noSuchAccessKey"],
  NotImplemented: ["notImplemented"],
  MissingAuthenticationToken: ["accessDenied"],
  PackedPolicyTooLarge: ["limitExceeded"],
  RequestEntityTooLarge: ["entityTooLarge"],
  SignatureDoesNotMatch: ["signatureMismatch", "requestSkewed", "requestExpired", "contentSha256Mismatch"],
  StorageFull: ["deviceFull"],
  Throttling: ["rateExceeded", "tooManyInFlight"],
}

const IAM_OWN: Readonly<Record<string, Text>> = {
  ConcurrentModification: text(
    "Another request changed the same user, group, role or policy at the same time. Nothing was done.",
    "Try again.",
  ),
  MissingAuthenticationToken: text(
    "The request is not signed, and this action needs a caller.",
    "Sign it with an access key.",
  ),
  ServiceFailure: text(
    "The store could not do what was asked, for a reason that the client is not told.",
    "Find the line `request` with the request's id in the log: `kind` and `reason` say what happened.",
    LOGS,
  ),
  ServiceUnavailable: text(
    "The store cannot do this now: it is starting or stopping, or a disk, a node or the database does not respond.",
    "Try again. If it lasts, `hayloft status` says what is wrong.",
    "operate/operate.md#health",
  ),
  ValidationError: text(
    "A parameter of the action is missing or not allowed; the message names it.",
    "Correct the parameter.",
    "guide/identities.md#supported-actions",
  ),
}

const IAM_REMEDIES: Readonly<Record<string, readonly Remedy[]>> = {
  AccessDenied: ["signIn"],
  ConcurrentModification: ["reread"],
  ServiceFailure: ["repair", "askOperator", "reportBug"],
  ServiceUnavailable: ["backOff"],
  ValidationError: ["fixRequest"],
}

const KMS_KINDS: Readonly<Record<string, readonly FailureKind[]>> = {
  AccessDeniedException: ["accessDenied"],
  AlreadyExistsException: ["entityExists"],
  DependencyTimeoutException: ["keyServiceUnavailable"],
  DisabledException: ["kmsKeyDisabled"],
  ExpiredTokenException: ["tokenExpired"],
  IncompleteSignatureException: ["malformedAuthorization"],
  InvalidCiphertextException: ["invalidCiphertext"],
  InvalidSignatureException: ["signatureMismatch", "requestSkewed", "requestExpired", "contentSha256Mismatch"],
  KMSInvalidStateException: ["kmsKeyState"],
  LimitExceededException: ["limitExceeded"],
  MalformedPolicyDocumentException: ["malformedPolicy"],
  NotFoundException: ["noSuchKmsKey"],
  RequestEntityTooLargeException: ["entityTooLarge"],
  ThrottlingException: ["rateExceeded", "tooManyInFlight"],
  UnrecognizedClientException: ["invalidAccessKey", "invalidToken"],
  UnsupportedOperationException: ["notImplemented"],
}

const KMS_OWN: Readonly<Record<string, Text>> = {
  ConflictException: text("Another request changed the same key at the same time. Nothing was done.", "Try again."),
  DryRunOperationException: text(
    "The request would have succeeded; it was sent with `DryRun`, so nothing was done.",
    "Leave out `DryRun` to do it.",
  ),
  IncorrectKeyException: text(
    "The request names a key other than the one that made the ciphertext.",
    "Leave out `KeyId`, which a ciphertext of a symmetric key does not need, or name the right one.",
  ),
  InvalidAliasNameException: text(
    "The name of the alias is not valid; the message says why.",
    "Names begin with `alias/` and have letters, digits, `/`, `_` and `-` only.",
  ),
  KMSInternalException: text(
    "The store could not do what was asked, for a reason that the client is not told.",
    "Find the line `request` with the request's id in the log: `kind` and `reason` say what happened.",
    LOGS,
  ),
  MissingAuthenticationTokenException: text("The request is not signed.", "Sign it with an access key."),
  NotAuthorizedException: text("Names that begin with `alias/aws/` are reserved.", "Choose another name."),
  SerializationException: text(
    "The body is not a JSON object, or a member has the wrong type; the message names it.",
    "Correct the body. Binary values are Base64.",
  ),
  ServiceUnavailableException: text(
    "The store cannot do this now: it is starting or stopping, or a disk, a node or the database does not respond.",
    "Try again. If it lasts, `hayloft status` says what is wrong.",
    "operate/operate.md#health",
  ),
  TagException: text(
    "A tag of the key is not valid, is there twice, or there are too many; the message says which.",
    "Correct the tags.",
  ),
  UnknownOperationException: text("AWS KMS has no operation of this name.", "Correct `X-Amz-Target`."),
  ValidationException: text(
    "A member of the request is missing, unknown or not allowed; the message names it.",
    "Correct it.",
  ),
}

const KMS_REMEDIES: Readonly<Record<string, readonly Remedy[]>> = {
  AccessDeniedException: ["signIn"],
  ConflictException: ["reread"],
  KMSInternalException: ["addSpace", "repair", "askOperator", "reportBug"],
  ServiceUnavailableException: ["backOff"],
  ValidationException: ["fixRequest"],
}

const SQS_KINDS: Readonly<Record<string, readonly FailureKind[]>> = {
  ExpiredToken: ["tokenExpired"],
  IncompleteSignature: ["malformedAuthorization"],
  InvalidClientTokenId: ["invalidAccessKey", "invalidToken"],
  MessageNotInflight: ["notInFlight", "noSuchMessage"],
  OverLimit: ["queueFull", "limitExceeded"],
  QueueDoesNotExist: ["noSuchQueue"],
  QueueNameExists: ["queueExists"],
  RequestExpired: ["requestExpired"],
  RequestThrottled: ["rateExceeded", "tooManyInFlight"],
  SignatureDoesNotMatch: ["signatureMismatch", "requestSkewed", "contentSha256Mismatch"],
  UnsupportedOperation: ["notImplemented", "methodNotAllowed"],
}

const QUEUE = "guide/queue.md#amazons-sqs"

const SQS_OWN: Readonly<Record<string, Text>> = {
  AccessDeniedException: text(
    "The caller may not do this with the queue, or the request is not signed.",
    "Sign it with an access key whose policies allow the action.",
    "guide/queue.md#permissions",
  ),
  BatchEntryIdsNotDistinct: text("Two entries of the batch have the same `Id`.", "Give each entry its own."),
  BatchRequestTooLong: text(
    "The messages of the batch have more than 1 MiB together.",
    "Send them in several batches.",
  ),
  PurgeQueueInProgress: text(
    "The queue was purged less than 60 s ago. Its messages are gone: a purge is done at once.",
    "Wait, or purge it by the REST API or `hayloft queue purge`, which have no such limit.",
    QUEUE,
  ),
  EmptyBatchRequest: text("The batch has no entries.", "Send at least one."),
  InternalFailure: text(
    "The store could not do what was asked, for a reason that the client is not told.",
    "Find the line `request` with the request's id in the log: `kind` and `reason` say what happened.",
    LOGS,
  ),
  InvalidAttributeName: text("Queues, or messages, have no attribute of this name.", "Correct the name.", QUEUE),
  InvalidAttributeValue: text(
    "The value of the attribute is not allowed; the message says what is.",
    "Correct the value.",
  ),
  InvalidBatchEntryId: text(
    "The `Id` of an entry has other characters than letters, digits, hyphens and underscores, or more than 80.",
    "Correct the `Id`.",
  ),
  InvalidMessageContents: text(
    "The body has characters that XML cannot have, which SQS does not take.",
    "Encode the body, for example in Base64, or add the message with the REST API.",
    "guide/queue.md#the-rest-api",
  ),
  InvalidParameterValue: text(
    "A parameter has a value that is not allowed; the message names it.",
    "Correct the parameter.",
  ),
  MalformedQueryString: text(
    "The form of the older protocol has a parameter twice, in two forms, or a list that is too long.",
    "Correct the form, or use a client that speaks the JSON protocol.",
  ),
  MissingParameter: text("The request lacks a parameter that the operation needs; the message names it.", "Add it."),
  ReceiptHandleIsInvalid: text(
    "No ReceiveMessage from this queue has returned this receipt handle.",
    "Use the `ReceiptHandle` of the message as it was received, not its `MessageId`.",
  ),
  SerializationException: text(
    "The body is not a JSON object, or a member has the wrong type; the message names it.",
    "Correct the body. Binary values are Base64.",
  ),
  ServiceUnavailable: text(
    "The queue is paused, or the store cannot do this now: it is starting or stopping, or a disk, a node or the database does not respond. SDKs try again by themselves.",
    "`hayloft queue show` says whether the queue is paused, `hayloft status` what else is wrong.",
    "guide/queue.md#pause-a-queue",
  ),
  TooManyEntriesInBatchRequest: text("The batch has more than 10 entries.", "Send several batches."),
  UnknownOperationException: text("SQS has no operation of this name.", "Correct `X-Amz-Target`, or `Action`."),
  UnsupportedOperation: text(
    "The request asks for something of SQS that Hayloft does not have, such as FIFO queues; the message names it.",
    "Leave it out.",
    QUEUE,
  ),
}

const SQS_REMEDIES: Readonly<Record<string, readonly Remedy[]>> = {
  AccessDeniedException: ["signIn"],
  InternalFailure: ["addSpace", "repair", "askOperator", "reportBug"],
  InvalidParameterValue: ["fixRequest"],
  ServiceUnavailable: ["reread", "backOff"],
}

function codesOf(
  api: Api,
  kinds: Readonly<Record<string, readonly FailureKind[]>>,
  own: Readonly<Record<string, Text>>,
  remedies: Readonly<Record<string, readonly Remedy[]>>,
): readonly ErrorCode[] {
  const codes = [...new Set([...Object.keys(kinds), ...Object.keys(own)])].sort()
  return codes.map(code => ({
    api,
    code,
    kinds: kinds[code] ?? [],
    ...(own[code] !== undefined && { text: own[code] }),
    ...(remedies[code] !== undefined && { remedies: remedies[code] }),
  }))
}

export const ERROR_CODES: readonly ErrorCode[] = [
  ...codesOf("S3", S3_KINDS, S3_OWN, {}),
  ...codesOf("IAM", IAM_KINDS, IAM_OWN, IAM_REMEDIES),
  ...codesOf("KMS", KMS_KINDS, KMS_OWN, KMS_REMEDIES),
  ...codesOf("SQS", SQS_KINDS, SQS_OWN, SQS_REMEDIES),
]

const isKind = (name: string): name is FailureKind => Object.hasOwn(FAILURES, name)

/** All failures that an API reports with this code. */
export function kindsOf({ api, kinds, remedies }: ErrorCode): readonly FailureKind[] {
  if (remedies === undefined) return kinds
  const named = new Set(ERROR_CODES.filter(code => code.api === api).flatMap(code => code.kinds))
  const others = Object.keys(FAILURES)
    .filter(isKind)
    .filter(kind => !named.has(kind) && remedies.includes(FAILURES[kind].remedy))
  return [...kinds, ...others]
}
