/**
 * Failures: everything that can go wrong for a caller, as one closed list sorted by remedy.
 *
 * A failure states what the *caller should do* (`remedy`), not which line failed. Each protocol maps
 * kinds to its own responses in one table; retry loops check the remedy only. Details are
 * for people and logs, never an interface, and never contain a secret.
 * A bug of the program is not a failure: that is `assert`.
 */
export type Remedy =
  | "fixRequest"
  | "signIn"
  | "reread"
  | "backOff"
  | "addSpace"
  | "repair"
  | "askOperator"
  | "reportBug"

const kind = (remedy: Remedy, message: string) => ({ remedy, message })

export const FAILURES = {
  // Names and requests
  noSuchBucket: kind("fixRequest", "the bucket does not exist"),
  noSuchWebsite: kind("fixRequest", "the bucket is not a website"),
  invalidRedirectLocation: kind("fixRequest", "the redirect location of the object is not a URL or a path"),
  noSuchKey: kind("fixRequest", "the key does not exist"),
  noSuchVersion: kind("fixRequest", "the version does not exist"),
  historyIncomplete: kind("fixRequest", "the bucket cannot be read at this moment"),
  noSuchUpload: kind("fixRequest", "the multipart upload does not exist; it may have been aborted or completed"),
  isDeleteMarker: kind("fixRequest", "the version is a delete marker"),
  bucketOwnedByYou: kind("fixRequest", "the bucket exists and is yours"),
  bucketExists: kind("fixRequest", "the bucket name is taken"),
  bucketNotEmpty: kind("fixRequest", "the bucket is not empty"),
  objectLocked: kind("fixRequest", "the version is protected by object lock"),
  noObjectLock: kind("fixRequest", "the bucket has no object lock"),
  noVersionLock: kind("fixRequest", "the version has no retention or legal hold"),
  retentionIsOver: kind("fixRequest", "the time until which a version is to be retained has passed"),
  lockNeedsVersioning: kind("fixRequest", "object lock and versioning can only be on together"),
  bucketClosing: kind("backOff", "the bucket is being deleted"),
  invalidBucketName: kind("fixRequest", "the bucket name is not valid"),
  keyTooLong: kind("fixRequest", "the key is longer than 1,024 bytes"),
  invalidKey: kind("fixRequest", "the key is not valid UTF-8"),
  invalidArgument: kind("fixRequest", "an argument is not valid"),
  invalidRequest: kind("fixRequest", "the request is not valid"),
  metadataTooLarge: kind("fixRequest", "the user metadata is larger than 2,048 bytes"),
  entityTooLarge: kind("fixRequest", "the body is larger than allowed"),
  entityTooSmall: kind("fixRequest", "the body is smaller than allowed"),
  incompleteBody: kind("fixRequest", "the body is shorter or longer than declared"),
  missingLength: kind("fixRequest", "the length of the body is not declared"),
  invalidPart: kind("fixRequest", "a part does not exist or its ETag differs"),
  invalidPartNumber: kind("fixRequest", "the part number is past the end of the object"),
  invalidPartOrder: kind("fixRequest", "the parts are not in ascending order"),
  invalidRange: kind("fixRequest", "the range cannot be satisfied"),
  invalidWriteOffset: kind("fixRequest", "the object does not end where the request appends"),
  invalidTag: kind("fixRequest", "a tag is not valid"),
  malformedXml: kind("fixRequest", "the XML document is not valid"),
  missingDocument: kind("fixRequest", "the body is empty, where the request needs a document"),
  badDigest: kind("fixRequest", "the checksum does not match the body"),
  invalidDigest: kind("fixRequest", "the checksum is not well formed"),
  contentSha256Mismatch: kind("fixRequest", "x-amz-content-sha256 does not match the body"),
  malformedTrailer: kind("fixRequest", "the trailer is missing or malformed"),
  malformedChunk: kind("fixRequest", "the chunked body is malformed"),
  malformedForm: kind("fixRequest", "the body is not well-formed multipart/form-data"),
  formTooLarge: kind("fixRequest", "the fields of the form are larger than 20 KiB"),
  invalidFormPolicy: kind("fixRequest", "the policy of the form is not valid"),
  illegalLocation: kind("fixRequest", "the location constraint is not this store's region"),
  invalidEncryptionAlgorithm: kind("fixRequest", "the encryption algorithm is not AES256"),
  segmentChanged: kind("fixRequest", "a segment of the large object is not what it was"),
  invalidObjectState: kind("fixRequest", "the object is archived, and not restored"),
  invalidStorageClass: kind("fixRequest", "the storage class is not supported"),
  aclNotSupported: kind("fixRequest", "the bucket does not allow access control lists"),
  malformedAcl: kind("fixRequest", "the access control list is not valid"),
  unresolvableGrant: kind("fixRequest", "no account has the e-mail address of a grant"),
  ambiguousGrant: kind("fixRequest", "more than one account has the e-mail address of a grant"),
  aclWithOwnership: kind("fixRequest", "the bucket's owner is enforced, so its access control list can grant nothing"),
  aclWithAccessBlock: kind("fixRequest", "public access is blocked, so the access control list cannot be public"),
  idempotencyMismatch: kind("fixRequest", "another request had the client token, with other parameters"),
  missingHeader: kind("fixRequest", "a header that the request needs is missing"),
  unexpectedContent: kind("fixRequest", "the request has both a body and headers that specify the same thing"),
  notImplemented: kind("fixRequest", "this operation or header is not supported"),
  methodNotAllowed: kind("fixRequest", "the method is not allowed on this resource"),
  invalidUri: kind("fixRequest", "the request target is not valid"),
  requestTimeout: kind("backOff", "the client sent too slowly"),
  // Identity and access
  accessDenied: kind("signIn", "access denied"),
  outOfScope: kind("signIn", "the scopes of the token do not allow this"),
  accessForbidden: kind("signIn", "cross-origin access is not allowed"),
  invalidAccessKey: kind("signIn", "the access key does not exist"),
  signatureMismatch: kind("signIn", "the signature does not match"),
  malformedAuthorization: kind("signIn", "the authorization is malformed"),
  invalidToken: kind("signIn", "the session token is not valid"),
  tokenExpired: kind("signIn", "the session token has expired"),
  requestSkewed: kind("signIn", "the clocks differ by more than 15 minutes"),
  requestExpired: kind("signIn", "the request has expired"),
  // Accounts and keys
  noSuchAccount: kind("fixRequest", "the account does not exist"),
  accountDeleted: kind("fixRequest", "the account was deleted"),
  accountExists: kind("fixRequest", "the account exists already"),
  noSuchAccessKey: kind("fixRequest", "the access key does not exist"),
  accessKeyExists: kind("fixRequest", "the access key exists already"),
  quotaExceeded: kind("fixRequest", "the quota of a bucket or an account would be exceeded"),
  malformedPolicy: kind("fixRequest", "the access policy is not valid"),
  // Users, groups, roles and their policies
  noSuchEntity: kind("fixRequest", "there is no such user, group, role, policy or provider"),
  entityExists: kind("fixRequest", "a user, group, role, policy or provider of this name exists already"),
  deleteConflict: kind("fixRequest", "something else still uses it"),
  limitExceeded: kind("fixRequest", "a limit of the account would be exceeded"),
  invalidIdentityToken: kind("signIn", "the web identity token is not valid"),
  providerUnreachable: kind("backOff", "the identity provider does not respond"),
  directoryUnavailable: kind("backOff", "the LDAP directory cannot be asked at this moment"),
  // Named keys
  noSuchKmsKey: kind("fixRequest", "the KMS key or alias does not exist"),
  kmsKeyDisabled: kind("fixRequest", "the KMS key is disabled"),
  kmsKeyState: kind("fixRequest", "the state of the KMS key does not allow this"),
  invalidCiphertext: kind("fixRequest", "the ciphertext was not made with this key and encryption context"),
  keyServiceUnavailable: kind("backOff", "the key service cannot be reached"),
  // Remote buckets
  remoteUnavailable: kind("backOff", "the remote store of the bucket does not respond"),
  remoteRefused: kind("askOperator", "the remote store of the bucket refuses the request"),
  // Queues
  noSuchQueue: kind("fixRequest", "the queue does not exist"),
  queueExists: kind("fixRequest", "the queue exists with other settings"),
  queuePaused: kind("backOff", "the queue is paused"),
  queueFull: kind("backOff", "the queue has as many messages or bytes as it may have"),
  noSuchMessage: kind("fixRequest", "the message does not exist; it was acknowledged, or its time is over"),
  notInFlight: kind("fixRequest", "the message is not in flight with this receipt"),
  workedTooLong: kind("fixRequest", "half of the time of the message is over: its next delivery cannot be postponed"),
  tooFewCopies: kind("backOff", "the message does not have as many copies as were asked for"),
  // Coordination
  noSuchSession: kind("fixRequest", "the session does not exist: it has ended"),
  lockHeld: kind("reread", "another session holds the lock"),
  noSuchFile: kind("fixRequest", "the file does not exist"),
  noSuchTransform: kind("fixRequest", "the transform does not exist"),
  // Conditions
  preconditionFailed: kind("reread", "a condition of the request is not met"),
  notModified: kind("reread", "the object has not been modified"),
  conflict: kind("reread", "another request changed the same thing; try again"),
  planOutdated: kind("reread", "the change would have a worse outcome than the plan that was shown"),
  // Load and space
  tooManyInFlight: kind("backOff", "too many requests in flight"),
  rateExceeded: kind("backOff", "the limit of requests per second of the account or the key is exceeded"),
  stopping: kind("backOff", "the server is stopping"),
  databaseUnreachable: kind("backOff", "the database does not respond"),
  databaseRolledBack: kind(
    "backOff",
    "the database has lost changes that were acknowledged; nothing is read, written or removed until an operator reconciles the store",
  ),
  peerUnreachable: kind("backOff", "another node does not respond; the call did not change anything"),
  nodeRemoved: kind("askOperator", "this node was removed from the store"),
  incompatiblePeer: kind("askOperator", "two nodes cannot work together"),
  deviceFull: kind("addSpace", "the store is full"),
  // Server side
  indeterminate: kind("backOff", "the write may or may not have happened"),
  uploadAborted: kind("backOff", "the upload was aborted; send it again"),
  deviceFailed: kind("backOff", "a device does not respond"),
  notEnoughShards: kind("repair", "too few intact shards are left to read this"),
  corruptRow: kind("repair", "a metadata row fails its checksum"),
  corruptNeedle: kind("repair", "a needle fails its checksum"),
  corruptSeal: kind("reportBug", "encrypted bytes are not those that were written"),
  keysUnavailable: kind("askOperator", "a key that protects objects of the bucket is missing"),
  corruptLog: kind("repair", "the commit log is damaged before its durable end"),
  corruptRecord: kind("repair", "a record cannot be decoded"),
  malformedFrame: kind("reportBug", "a message from another node is malformed"),
  noSuchNeedle: kind("repair", "the device does not hold this needle"),
  // Start-up and configuration
  invalidConfig: kind("askOperator", "the configuration is not valid"),
  folderInUse: kind("askOperator", "the data folder is in use by another running process"),
  foreignDatabase: kind("askOperator", "the database belongs to another store"),
  metadataElsewhere: kind("askOperator", "the metadata of this store is kept elsewhere"),
  foreignFolder: kind("askOperator", "the data folder belongs to another store"),
  folderNotEmpty: kind("askOperator", "the folder contains other files and is not a data folder"),
  noSuchStore: kind("askOperator", "there is no store"),
  devicesMissing: kind("askOperator", "devices of this store are missing"),
  wrongMasterKey: kind("askOperator", "the master key does not match this store"),
  internal: kind("reportBug", "internal error"),
} as const satisfies Record<string, { remedy: Remedy; message: string }>

export type FailureKind = keyof typeof FAILURES
export type FailureDetails = Readonly<Record<string, string | number | boolean | undefined>>

export class Failure extends Error {
  override readonly name = "Failure"
  readonly kind: FailureKind
  readonly details: FailureDetails

  constructor(kind: FailureKind, details: FailureDetails = {}, cause?: unknown) {
    const shown = Object.entries(details)
      .filter(([name, value]) => name !== "message" && value !== undefined)
      .map(([name, value]) => ` ${name}=${String(value)}`)
    super(`${details["message"] ?? FAILURES[kind].message}${shown.join("")}`, cause === undefined ? {} : { cause })
    this.kind = kind
    this.details = details
  }

  get remedy(): Remedy {
    return FAILURES[this.kind].remedy
  }
}

/** Builds a failure to throw. `details.message` replaces the kind's general text for people. */
export function fail(kind: FailureKind, details: FailureDetails = {}, cause?: unknown): Failure {
  return new Failure(kind, details, cause)
}

/**
 * A sentence for people, with the details that it does not contain already: `the account exists already (account app)`.
 */
export function sentenceOf({ kind, details }: Failure): string {
  const { message = FAILURES[kind].message, ...others } = details
  const isSaid = (value: FailureDetails[string]): boolean =>
    value === undefined || (typeof value === "string" && String(message).includes(value))
  const shown = Object.entries(others).flatMap(([name, value]) => (isSaid(value) ? [] : [`${name} ${value}`]))
  return `${message}${shown.length === 0 ? "" : ` (${shown.join(", ")})`}`
}

export function isFailure(error: unknown, ...kinds: FailureKind[]): error is Failure {
  return error instanceof Failure && (kinds.length === 0 || kinds.includes(error.kind))
}

/** The result of `make`; undefined if it throws a failure. Rethrows any other error. */
export function unlessRefused<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    if (!isFailure(error)) throw error
    return undefined
  }
}

/** The result; undefined if the work fails in one of these ways. */
export async function unlessFails<T>(work: Promise<T>, ...kinds: FailureKind[]): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (isFailure(error, ...kinds)) return undefined
    throw error
  }
}

/** The result; undefined if it fails with `noSuchEntity`. */
export const unlessMissing = <T>(work: Promise<T>): Promise<T | undefined> => unlessFails(work, "noSuchEntity")

/** Any thrown value as a failure; a value that is not one is a bug of the program. */
export function asFailure(error: unknown): Failure {
  return error instanceof Failure ? error : fail("internal", { reason: String(error) }, error)
}
