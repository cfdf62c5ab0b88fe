/**
 * Failures as S3 reports them: code, status, message and the extra fields that tools read.
 *
 * One row for every kind of failure; a missing row does not compile. Messages are S3's own if S3
 * has one, since people search for them. Details of internal failures (remedy `repair`, `askOperator`,
 * `reportBug`) never leave the process.
 * Source  "Error responses", Amazon S3 API Reference; `s3-behaviours` for differences between stores.
 */
import { httpDate } from "@hayloft/base/text/dates.js"
import { FAILURES } from "@hayloft/base/failures.js"
import type { Failure, FailureDetails, FailureKind } from "@hayloft/base/failures.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** An error in S3's form. */
export interface S3Error {
  readonly code: string
  readonly status: number
  readonly message: string
  /** Further elements of the error document, in order. */
  readonly fields: readonly HeaderField[]
  readonly headers: readonly HeaderField[]
}

interface Row {
  readonly code: string
  readonly status: number
  /** If undefined, the failure's own text is used. */
  readonly message?: string
  /** Details that become elements: name of the detail, name of the element. */
  readonly fields?: Readonly<Record<string, string>>
  /** Seconds after which a client may retry. */
  readonly retryAfterSeconds?: number
}

const row = (code: string, status: number, message?: string, fields?: Readonly<Record<string, string>>): Row => ({
  code,
  status,
  ...(message !== undefined && { message }),
  ...(fields !== undefined && { fields }),
})

const INTERNAL: Row = row("InternalError", 500, "We encountered an internal error. Please try again.")
const SLOW_DOWN: Row = { ...row("SlowDown", 503, "Please reduce your request rate."), retryAfterSeconds: 1 }
const UNAVAILABLE: Row = {
  ...row("ServiceUnavailable", 503, "Service is unable to handle request; try again."),
  retryAfterSeconds: 1,
}
const ARGUMENT = { argumentName: "ArgumentName", argumentValue: "ArgumentValue" }
const TIMES = {
  requestTime: "RequestTime",
  expiresSeconds: "X-Amz-Expires",
  expires: "Expires",
  serverTime: "ServerTime",
  maxAllowedSkewMilliseconds: "MaxAllowedSkewMilliseconds",
}

export const S3_FAILURES: Readonly<Record<FailureKind, Row>> = {
  invalidRedirectLocation: row("InvalidRedirectLocation", 400),
  noSuchWebsite: row("NoSuchWebsiteConfiguration", 404, "The specified bucket does not have a website configuration", {
    bucketName: "BucketName",
  }),
  // A copy shows the bucket and the key of its source if they are missing; other requests show those that they address.
  noSuchBucket: row("NoSuchBucket", 404, "The specified bucket does not exist", { sourceBucket: "BucketName" }),
  noSuchKey: row("NoSuchKey", 404, "The specified key does not exist.", { sourceKey: "Key" }),
  historyIncomplete: row("HistoryIncomplete", 400, "The bucket cannot be read at this moment."),
  noSuchVersion: row("NoSuchVersion", 404, "The specified version does not exist.", {
    sourceKey: "Key",
    versionId: "VersionId",
  }),
  noSuchUpload: row(
    "NoSuchUpload",
    404,
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    { uploadId: "UploadId" },
  ),
  isDeleteMarker: row("MethodNotAllowed", 405, "The specified method is not allowed against this resource.", {
    method: "Method",
  }),
  bucketOwnedByYou: row(
    "BucketAlreadyOwnedByYou",
    409,
    "Your previous request to create the named bucket succeeded and you already own it.",
  ),
  bucketExists: row(
    "BucketAlreadyExists",
    409,
    "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
  ),
  bucketNotEmpty: row("BucketNotEmpty", 409, "The bucket you tried to delete is not empty"),
  objectLocked: row("AccessDenied", 403, "Access Denied because object protected by object lock."),
  noObjectLock: row("InvalidRequest", 400, "Bucket is missing Object Lock Configuration"),
  noVersionLock: row(
    "NoSuchObjectLockConfiguration",
    404,
    "The specified object does not have a ObjectLock configuration",
  ),
  retentionIsOver: row("InvalidArgument", 400, "The retain until date must be in the future!", ARGUMENT),
  lockNeedsVersioning: row("InvalidBucketState", 409),
  bucketClosing: row(
    "OperationAborted",
    409,
    "A conflicting conditional operation is currently in progress against this resource. Try again.",
  ),
  invalidBucketName: row("InvalidBucketName", 400, "The specified bucket is not valid."),
  keyTooLong: row("KeyTooLongError", 400, "Your key is too long", { lengthBytes: "Size" }),
  invalidKey: row("InvalidURI", 400),
  invalidArgument: row("InvalidArgument", 400, undefined, ARGUMENT),
  invalidRequest: row("InvalidRequest", 400),
  metadataTooLarge: row("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size", {
    sizeBytes: "Size",
    maxSizeAllowedBytes: "MaxSizeAllowed",
  }),
  entityTooLarge: row("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size", {
    sizeBytes: "ProposedSize",
    maxSizeAllowedBytes: "MaxSizeAllowed",
  }),
  entityTooSmall: row("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size", {
    sizeBytes: "ProposedSize",
    minSizeAllowedBytes: "MinSizeAllowed",
    partNumber: "PartNumber",
    etag: "ETag",
  }),
  incompleteBody: row(
    "IncompleteBody",
    400,
    "You did not provide the number of bytes specified by the Content-Length HTTP header",
  ),
  missingLength: row("MissingContentLength", 411, "You must provide the Content-Length HTTP header."),
  segmentChanged: row("SegmentChanged", 409, undefined, { segment: "Segment" }),
  invalidObjectState: row("InvalidObjectState", 403, "The operation is not valid for the object's storage class", {
    storageClass: "StorageClass",
  }),
  invalidPart: row(
    "InvalidPart",
    400,
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    { uploadId: "UploadId", partNumber: "PartNumber", etag: "ETag" },
  ),
  invalidPartNumber: row("InvalidPartNumber", 416, "The requested partnumber is not satisfiable", {
    partNumber: "PartNumberRequested",
    parts: "ActualPartCount",
  }),
  invalidPartOrder: row(
    "InvalidPartOrder",
    400,
    "The list of parts was not in ascending order. Parts must be ordered by part number.",
    { uploadId: "UploadId" },
  ),
  invalidWriteOffset: row(
    "InvalidWriteOffset",
    400,
    "The write offset value that you specified does not match the current object size.",
    {
      sizeBytes: "ActualObjectSize",
    },
  ),
  invalidRange: row("InvalidRange", 416, "The requested range is not satisfiable", {
    rangeRequested: "RangeRequested",
    sizeBytes: "ActualObjectSize",
  }),
  invalidTag: row("InvalidTag", 400, undefined, { tagKey: "TagKey", tagValue: "TagValue" }),
  malformedXml: row(
    "MalformedXML",
    400,
    "The XML you provided was not well-formed or did not validate against our published schema",
  ),
  missingDocument: row("MissingRequestBodyError", 400, "Request Body is empty"),
  badDigest: row("BadDigest", 400, "The Content-MD5 or checksum you specified did not match what we received.", {
    expectedDigest: "ExpectedDigest",
    calculatedDigest: "CalculatedDigest",
  }),
  invalidDigest: row("InvalidDigest", 400, "The Content-MD5 you specified was invalid.", { contentMd5: "Content-MD5" }),
  contentSha256Mismatch: row(
    "XAmzContentSHA256Mismatch",
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  ),
  malformedTrailer: row(
    "MalformedTrailerError",
    400,
    "The request contained trailing data that was not well-formed or did not conform to our published schema.",
  ),
  malformedChunk: row("IncompleteBody", 400, "The request body terminated unexpectedly"),
  malformedForm: row(
    "MalformedPOSTRequest",
    400,
    "The body of your POST request is not well-formed multipart/form-data.",
    { reason: "Reason" },
  ),
  formTooLarge: row(
    "MaxPostPreDataLengthExceeded",
    400,
    "Your POST request fields preceeding the upload file was too large.",
    { bytesMax: "MaxPostPreDataLengthBytes" },
  ),
  invalidFormPolicy: row("InvalidPolicyDocument", 400),
  illegalLocation: row("IllegalLocationConstraintException", 400),
  invalidEncryptionAlgorithm: row(
    "InvalidEncryptionAlgorithmError",
    400,
    "The Encryption request you specified is not valid. Supported value: AES256.",
    ARGUMENT,
  ),
  invalidStorageClass: row("InvalidStorageClass", 400, "The storage class you specified is not valid", {
    value: "StorageClassRequested",
  }),
  aclNotSupported: row(
    "AccessControlListNotSupported",
    400,
    "The bucket does not allow ACLs that grant others access. Send no x-amz-acl, or private (rclone: acl = private); " +
      "or let the bucket allow ACLs (aws s3api put-bucket-ownership-controls; hayloft serve --allow-acls for new buckets)",
    { header: "Header" },
  ),
  malformedAcl: row(
    "MalformedACLError",
    400,
    "The XML you provided was not well-formed or did not validate against our published schema",
  ),
  unresolvableGrant: row(
    "UnresolvableGrantByEmailAddress",
    400,
    "The e-mail address you provided does not match any account on record.",
    { email: "EmailAddress" },
  ),
  ambiguousGrant: row(
    "AmbiguousGrantByEmailAddress",
    400,
    "The e-mail address you provided is associated with more than one account.",
    { email: "EmailAddress" },
  ),
  aclWithOwnership: row(
    "InvalidBucketAclWithObjectOwnership",
    400,
    "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
  ),
  aclWithAccessBlock: row(
    "InvalidBucketAclWithBlockPublicAccessError",
    400,
    "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
  ),
  idempotencyMismatch: row(
    "IdempotencyParameterMismatch",
    400,
    "Parameters on this idempotent request are inconsistent with parameters used in previous request(s).",
  ),
  missingHeader: row("MissingSecurityHeader", 400, "Your request was missing a required header", {
    header: "MissingHeaderName",
  }),
  unexpectedContent: row("UnexpectedContent", 400, "This request does not support content"),
  notImplemented: row(
    "NotImplemented",
    501,
    "A header or query you provided implies functionality that is not implemented",
    {
      header: "Header",
      subresource: "SubResource",
      operation: "Operation",
    },
  ),
  methodNotAllowed: row("MethodNotAllowed", 405, "The specified method is not allowed against this resource.", {
    method: "Method",
    resourceType: "ResourceType",
  }),
  invalidUri: row("InvalidURI", 400, "Couldn't parse the specified URI."),
  requestTimeout: row(
    "RequestTimeout",
    400,
    "Your socket connection to the server was not read from or written to within the timeout period.",
  ),
  accessDenied: row("AccessDenied", 403, "Access Denied", { headersNotSigned: "HeadersNotSigned", ...TIMES }),
  outOfScope: row("AccessDenied", 403),
  accessForbidden: row(
    "AccessForbidden",
    403,
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
    { method: "Method", resourceType: "ResourceType" },
  ),
  invalidAccessKey: row(
    "InvalidAccessKeyId",
    403,
    "The AWS Access Key Id you provided does not exist in our records.",
    {
      accessKeyId: "AWSAccessKeyId",
    },
  ),
  signatureMismatch: row(
    "SignatureDoesNotMatch",
    403,
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    {
      accessKeyId: "AWSAccessKeyId",
      stringToSign: "StringToSign",
      signatureProvided: "SignatureProvided",
      canonicalRequest: "CanonicalRequest",
    },
  ),
  malformedAuthorization: row("AuthorizationHeaderMalformed", 400, undefined, { region: "Region", ...ARGUMENT }),
  invalidToken: row("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
  tokenExpired: row("ExpiredToken", 400, "The provided token has expired."),
  requestSkewed: row(
    "RequestTimeTooSkewed",
    403,
    "The difference between the request time and the current time is too large.",
    TIMES,
  ),
  requestExpired: row("AccessDenied", 403, "Request has expired", TIMES),
  accountDeleted: row("InvalidRequest", 410),
  noSuchAccount: row("InvalidRequest", 400),
  accountExists: row("InvalidRequest", 400),
  noSuchAccessKey: row("InvalidRequest", 400),
  accessKeyExists: row("InvalidRequest", 400),
  malformedPolicy: row("MalformedPolicy", 400, undefined, { where: "Detail" }),
  noSuchEntity: row("InvalidRequest", 400),
  entityExists: row("InvalidRequest", 400),
  deleteConflict: row("InvalidRequest", 400),
  quotaExceeded: row("QuotaExceeded", 403),
  limitExceeded: row("InvalidRequest", 400),
  invalidIdentityToken: row("InvalidToken", 400),
  providerUnreachable: UNAVAILABLE,
  directoryUnavailable: UNAVAILABLE,
  noSuchKmsKey: row("KMS.NotFoundException", 400),
  kmsKeyDisabled: row("KMS.DisabledException", 400),
  kmsKeyState: row("KMS.KMSInvalidStateException", 400),
  invalidCiphertext: row("KMS.InvalidCiphertextException", 400),
  keyServiceUnavailable: { ...row("ServiceUnavailable", 503), retryAfterSeconds: 5 },
  remoteUnavailable: { ...row("ServiceUnavailable", 503), retryAfterSeconds: 5 },
  remoteRefused: row("RemoteRefused", 502),
  // Queues have ports of their own.
  noSuchQueue: row("InvalidRequest", 400),
  queueExists: row("InvalidRequest", 400),
  queuePaused: UNAVAILABLE,
  queueFull: UNAVAILABLE,
  noSuchMessage: row("InvalidRequest", 400),
  notInFlight: row("InvalidRequest", 400),
  workedTooLong: row("InvalidRequest", 400),
  tooFewCopies: UNAVAILABLE,
  // So has coordination, but for the condition that a lock is held.
  noSuchSession: row("InvalidRequest", 400),
  lockHeld: row("InvalidRequest", 400),
  noSuchFile: row("InvalidRequest", 400),
  noSuchTransform: row("InvalidArgument", 400),
  preconditionFailed: row("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold", {
    condition: "Condition",
  }),
  notModified: row("NotModified", 304, "Not Modified"),
  conflict: row(
    "ConditionalRequestConflict",
    409,
    "The conditional request cannot succeed due to a conflicting operation against this resource.",
  ),
  // Changes of devices have a port of their own.
  planOutdated: row("InvalidRequest", 400),
  tooManyInFlight: SLOW_DOWN,
  rateExceeded: SLOW_DOWN,
  stopping: UNAVAILABLE,
  databaseUnreachable: UNAVAILABLE,
  peerUnreachable: UNAVAILABLE,
  incompatiblePeer: INTERNAL,
  nodeRemoved: INTERNAL,
  malformedFrame: INTERNAL,
  databaseRolledBack: {
    ...row("ServiceUnavailable", 503, "The database was rolled back: an operator must run hayloft cluster reconcile."),
    retryAfterSeconds: 60,
  },
  deviceFull: row("StorageFull", 507, "The store is full. Delete something or add space, then try again."),
  indeterminate: UNAVAILABLE,
  uploadAborted: SLOW_DOWN,
  deviceFailed: UNAVAILABLE,
  notEnoughShards: INTERNAL,
  corruptRow: INTERNAL,
  corruptNeedle: INTERNAL,
  corruptLog: INTERNAL,
  corruptRecord: INTERNAL,
  corruptSeal: INTERNAL,
  keysUnavailable: { ...UNAVAILABLE, ...row("ServiceUnavailable", 503, "The keys of the bucket are not available.") },
  noSuchNeedle: INTERNAL,
  invalidConfig: INTERNAL,
  folderInUse: INTERNAL,
  foreignDatabase: INTERNAL,
  metadataElsewhere: INTERNAL,
  foreignFolder: INTERNAL,
  folderNotEmpty: INTERNAL,
  noSuchStore: INTERNAL,
  devicesMissing: INTERNAL,
  wrongMasterKey: INTERNAL,
  internal: INTERNAL,
}

function fieldsOf(names: Readonly<Record<string, string>>, details: FailureDetails): HeaderField[] {
  const fields: HeaderField[] = []
  for (const [detail, element] of Object.entries(names)) {
    const value = details[detail]
    if (value !== undefined) fields.push([element, String(value)])
  }
  return fields
}

/** Headers that accompany a failure: for delete markers, ranges, 304 and retries. */
function headersOf({ kind, details }: Failure, { retryAfterSeconds }: Row): HeaderField[] {
  const headers: HeaderField[] = []
  const add = (name: string, value: string | number | boolean | undefined): void => {
    if (value !== undefined) headers.push([name, String(value)])
  }
  add("Retry-After", kind === "rateExceeded" ? details["retryAfterSeconds"] : retryAfterSeconds)
  if (kind === "invalidRange" && details["sizeBytes"] !== undefined) {
    add("Content-Range", `bytes */${String(details["sizeBytes"])}`)
  }
  if (kind === "methodNotAllowed") add("Allow", details["allow"])
  if (kind === "isDeleteMarker") add("Allow", "DELETE")
  if (kind === "isDeleteMarker" || details["deleteMarker"] === true) {
    add("x-amz-delete-marker", true)
    add("x-amz-version-id", details["versionId"])
  }
  if (typeof details["vary"] === "string") add("Vary", details["vary"])
  if (kind === "notModified") {
    if (details["etag"] !== undefined) add("ETag", `"${String(details["etag"])}"`)
    add("Cache-Control", details["cacheControl"])
    add("Expires", details["expires"])
  }
  const lastModifiedMs = details["lastModifiedMs"]
  if (typeof lastModifiedMs === "number") add("Last-Modified", httpDate(lastModifiedMs))
  if (kind === "malformedAuthorization") add("x-amz-bucket-region", details["region"])
  return headers
}

/** The code of a malformed authorization depends on where it was sent. */
function codeOfMalformed(form: FailureDetails[string]): string {
  if (form === "form" || form === "scheme") return "InvalidArgument"
  return form === "query" ? "AuthorizationQueryParametersError" : S3_FAILURES.malformedAuthorization.code
}

/**
 * Failures of the server side whose own messages say what a client or its operator can do, as after many wrong
 * signatures.
 */
const SPOKEN: ReadonlySet<FailureKind> = new Set([
  "notImplemented",
  "keyServiceUnavailable",
  "rateExceeded",
  "remoteUnavailable",
  "remoteRefused",
])

/** Returns what the failure itself says. Clients show the message, but not the element with the name of an argument. */
function unspoken({ kind, details }: Failure): string {
  const name = kind === "invalidArgument" ? details["argumentName"] : undefined
  return name === undefined ? FAILURES[kind].message : `The value of ${name} is not valid`
}

/** Converts any failure to S3's form. */
export function s3ErrorOf(failure: Failure): S3Error {
  const { kind, details } = failure
  const found = S3_FAILURES[kind]
  const hidden = found.status >= 500 && !SPOKEN.has(kind)
  const own = hidden ? undefined : details["message"]
  const text = own === undefined ? (found.message ?? unspoken(failure)) : String(own)
  return {
    code: kind === "malformedAuthorization" ? codeOfMalformed(details["form"]) : found.code,
    status: found.status,
    message: text,
    fields: fieldsOf(hidden ? {} : (found.fields ?? {}), details),
    headers: headersOf(failure, found),
  }
}
