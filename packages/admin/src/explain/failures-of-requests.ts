/** Failures that a client can end by changing its request, its credentials or its permissions. */
import type { FailureKind } from "@hayloft/base/failures.js"
import { text, type Text } from "./contract.js"

const S3 = "reference/s3-compatibility.md"
const LOCK = "guide/object-lock.md"
const WHY = "operate/operate.md#why-was-a-request-denied"
const OLDER_CLIENTS = "operate/operate.md#buckets-for-older-clients"

const NAMES = {
  noSuchBucket: text(
    "No bucket has this name, or it was deleted. With virtual-hosted requests (`BUCKET.host`) the name comes from the Host header.",
    "List the buckets with `hayloft bucket list`. If the name in the error is not the one you meant, check the client's addressing style (path or virtual-hosted) and `--domain`.",
  ),
  noSuchWebsite: text(
    "The host name of the request leads to a bucket without a website configuration.",
    "Configure it (`aws s3 website s3://BUCKET --index-document index.html`), or correct the DNS name, which chooses the bucket.",
    "guide/websites.md#which-host-is-which-bucket",
  ),
  invalidRedirectLocation: text(
    "`x-amz-website-redirect-location` must begin with `/`, `http://` or `https://`, and have at most 2,048 characters.",
    "Correct the header.",
    "guide/websites.md#limits",
  ),
  noSuchKey: text(
    "The bucket has no object with this key: it was never written, was deleted, or its latest version is a delete marker.",
    "Compare the key byte by byte: upper and lower case, a `/` at the beginning, encoded characters. In a versioned bucket list the versions; in a bucket with undelete see `hayloft bucket undelete list BUCKET`.",
    "guide/undelete.md",
  ),
  historyIncomplete: text(
    "The bucket has no history, or versions of the moment may be missing: the message says since when its history is complete.",
    "Read at a later moment. `hayloft bucket settings set BUCKET history FILE`, with `{}` in the file, switches the history of a bucket on: it begins then.",
  ),
  noSuchVersion: text(
    "The key has no version with this id. It was deleted, perhaps by a lifecycle rule, or belongs to another key.",
    "List the versions of the key (`aws s3api list-object-versions --prefix KEY`); `hayloft lifecycle explain BUCKET/KEY` shows what rules do to it.",
    "guide/lifecycle.md#when-something-goes",
  ),
  noSuchUpload: text(
    "The multipart upload was completed, aborted, or removed by a rule or as abandoned after 7 days; or the id is that of another key.",
    "Begin the upload again. If a completion got this answer when it was repeated, look whether the object exists: the first attempt may have succeeded.",
    S3,
  ),
  isDeleteMarker: text(
    "The request names a version that is a delete marker, which has no content.",
    "Read another version of the key, or delete the marker by its version id to make the object visible again.",
  ),
  bucketOwnedByYou: text(
    "Your account has created this bucket already.",
    "Nothing: use the bucket. Scripts can ignore this answer.",
  ),
  bucketExists: text(
    "Another account of this store has a bucket of this name. Names are unique in a store.",
    "Choose another name; `hayloft bucket stat NAME` shows the owner.",
  ),
  bucketNotEmpty: text(
    "The bucket still has something in it: objects, older versions, delete markers, or unfinished uploads. A listing of objects does not show the last three.",
    "Delete all versions and abort the uploads (`aws s3api list-object-versions`, `list-multipart-uploads`), or let a lifecycle rule do it.",
    "guide/lifecycle.md#clean-up-uploads-and-delete-markers",
  ),
  bucketClosing: text(
    "The bucket is being deleted at this moment, so it accepts no changes.",
    "Try again in a moment: the bucket is then gone, or open again if the deletion failed.",
  ),
  invalidBucketName: text(
    "The name is not a valid bucket name. S3 creates names of 3 to 63 lower-case letters, digits, dots and hyphens; Swift also creates names of up to 255 letters, digits, dots, hyphens and underscores. The message says what is wrong.",
    "Choose another name. If the name is not what you typed, the client uses virtual-hosted addresses: set path style, or configure `--domain`.",
  ),
  keyTooLong: text(
    "A key may have at most 1,024 bytes in UTF-8.",
    "Use a shorter key. Letters outside ASCII take 2 to 4 bytes each.",
  ),
  invalidKey: text(
    "The key is empty or is not valid UTF-8 after its percent-encoding was decoded.",
    "Encode keys as UTF-8 and then with percent signs. SDKs do both; check hand-made URLs.",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const LOCKS = {
  objectLocked: text(
    "The version has a legal hold or a retention that is not over, so it cannot be deleted, and its retention cannot be shortened. Object lock works as intended.",
    "Wait until the retention ends. A legal hold can be removed; a retention in governance mode can be bypassed with `s3:BypassGovernanceRetention` and its header. A retention in compliance mode cannot be bypassed.",
    LOCK,
  ),
  noObjectLock: text(
    "The request sets or reads a lock, and the bucket has no object lock.",
    "Enable it (`aws s3api put-object-lock-configuration`), with versioning on, or do not send lock headers.",
    "guide/object-lock.md#enable-it",
  ),
  noVersionLock: text(
    "The request asks for the retention or the legal hold of a version that has none.",
    "If the version should have none, do nothing. The default retention of a bucket applies only to versions that are written after it was set.",
    LOCK,
  ),
  retentionIsOver: text(
    "The requested retention ends in the past, or before now by the store's clock.",
    "Send a later date, in UTC. If the date is right, the clock of the store is ahead: see `store_clock_differs`.",
    "design/failure-scenarios.md#the-clock-is-wrong",
  ),
  lockNeedsVersioning: text(
    "Object lock and suspended versioning exclude each other: a lock protects versions.",
    "Enable versioning before object lock; it cannot be suspended afterwards.",
    "guide/object-lock.md#what-cannot-be-undone",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const FORMS = {
  invalidArgument: text(
    "A header, a parameter of the query, or a field has a value that is not allowed. The message and `ArgumentName` say which.",
    "Correct that value. If an SDK sent it, compare its options with the list of supported headers.",
    S3,
  ),
  invalidRequest: text(
    "The parts of the request do not fit together, or exceed a limit of HTTP; the message says what.",
    "Change the request as the message says. Proxies that rewrite headers or the body are a frequent cause.",
    S3,
  ),
  metadataTooLarge: text(
    "User metadata (`x-amz-meta-…`) may have 2,048 bytes, names and values together.",
    "Send less, or store it in an object of its own or in tags.",
  ),
  entityTooLarge: text(
    "The body is larger than this operation allows: 5 GiB for a single PUT or part, less for documents.",
    "Upload large objects in parts; SDKs and the AWS CLI do it by themselves above a threshold.",
    S3,
  ),
  entityTooSmall: text(
    "A part other than the last one has less than 5 MiB, or a form upload is below the minimum of its policy.",
    "Use larger parts and begin the upload again; the part size is an option of the client.",
    S3,
  ),
  incompleteBody: text(
    "Fewer or more bytes arrived than the request declared. Usually the connection broke; nothing was stored.",
    "Send the request again. If it repeats, look for a proxy that cuts or changes bodies, or a file that changes while it is uploaded.",
  ),
  missingLength: text(
    "The request does not declare how long its body is.",
    "Send `Content-Length`; for chunked AWS signatures also `x-amz-decoded-content-length`. Disable transfer encodings in proxies.",
  ),
  invalidPart: text(
    "A part in the list was not uploaded, or its ETag or checksum is not the one that the upload of the part returned.",
    "List the parts (`aws s3api list-parts`), upload the missing ones, and complete with exactly the ETags returned.",
  ),
  invalidPartNumber: text(
    "`partNumber` is larger than the number of parts of the object.",
    "Ask for fewer: HEAD with `partNumber=1` returns `x-amz-mp-parts-count`.",
  ),
  invalidPartOrder: text(
    "The parts in the completion are not in ascending order, or one is there twice.",
    "Sort the list by part number.",
  ),
  invalidWriteOffset: text(
    "`x-amz-write-offset-bytes` is not the size of the object: somebody else has appended to it, or has replaced it.",
    "Ask for the size with HEAD, and look for your own bytes in what was appended: an earlier request may have been done. `POST ?append` needs no offset.",
  ),
  invalidRange: text(
    "The range begins after the end of the object, or the object is empty.",
    "Ask for a range within the size that HEAD returns. A client that resumes a download must check whether the object has changed (`If-Match`).",
  ),
  invalidTag: text(
    "A tag is not allowed: an object has at most 10, with keys up to 128 and values up to 256 characters, and no key twice; the message says which.",
    "Correct the tag. In a header, tags are encoded like a query: `a=1&b=2`.",
  ),
  malformedXml: text(
    "The document in the body is not XML, is too large, or does not have the elements of this operation.",
    "Compare the document with that of the S3 API, element by element; names are case-sensitive. An SDK that is newer than the store may send elements that it does not know.",
    S3,
  ),
  missingDocument: text(
    "The request needs a document in its body, and the body is empty.",
    "Send the document of the S3 API. A client that sends none may have lost it in a redirect, or read an empty file.",
    S3,
  ),
  badDigest: text(
    "The body does not match the checksum or `Content-MD5` of the request: bytes were changed on the way, or the file changed while it was sent. Nothing was stored.",
    "Send it again. If it repeats with one client, suspect its memory, its disk, or a proxy that changes bodies.",
  ),
  invalidDigest: text("`Content-MD5` is not the Base64 of 16 bytes.", "Send the digest in Base64, not in hex."),
  contentSha256Mismatch: text(
    "The SHA-256 of the body is not the one in `x-amz-content-sha256`, which the client has signed. Nothing was stored.",
    "Send it again. If it repeats, a proxy changes the body (compression, line ends), or the client hashes something else than it sends.",
  ),
  malformedTrailer: text(
    "The checksum after the last chunk is missing, or is not the one that `x-amz-trailer` announces.",
    "Update the SDK, and look for a proxy that drops trailers of `aws-chunked` bodies.",
  ),
  malformedChunk: text(
    "The body is announced as `aws-chunked`, and its chunks are not well formed.",
    "Look for a proxy that decodes the body, and for a `Content-Encoding: aws-chunked` that was set by hand.",
  ),
  malformedForm: text(
    "The body of a browser upload is not valid `multipart/form-data`, or has too many fields.",
    "Let the browser build the form (`FormData`), with the file as the last field.",
  ),
  formTooLarge: text(
    "The fields before the file of a browser upload have more than 20 KiB.",
    "Put the file last and keep the other fields small; put large data into the object.",
  ),
  invalidFormPolicy: text(
    "The policy document of a browser upload is not valid, has expired, or does not cover a field of the form; the message says which.",
    "Generate the form again, with a condition for each field and an expiry in the future.",
  ),
  illegalLocation: text(
    "The location of the new bucket is not the region of this store.",
    "Send no location, or the region that the store has (`--region`).",
  ),
  missingHeader: text("The operation needs a header, or a body, that is not there; the message names it.", "Add it."),
  unexpectedContent: text(
    "The request sets access control lists both in headers and in the body.",
    "Use one of the two.",
  ),
  idempotencyMismatch: text(
    "An earlier request used the same client token with other parameters. Nothing was done again.",
    "Use a new token for a new request, and the same parameters to repeat one.",
  ),
  notImplemented: text(
    "The operation, header or value is not supported here; the message names it. It was refused, rather than accepted without effect.",
    "Leave it out of the request, or see what is supported instead.",
    "reference/s3-compatibility.md#operations",
  ),
  methodNotAllowed: text(
    "The resource exists, but not for this HTTP method; `Allow` in the answer lists those that are.",
    "Check the URL first: a missing bucket or key in the path often explains it.",
  ),
  invalidUri: text(
    "The target of the request is not a valid URL, or names another host than the Host header.",
    "Encode special characters with percent signs; check what a proxy passes on.",
  ),
  requestTimeout: text(
    "The client sent its request or body, or took the answer, too slowly, and the connection was closed.",
    "Try again, with smaller parts on a slow connection. If many clients see it, look at the network or a proxy between.",
    "design/failure-scenarios.md#clients-hold-resources",
  ),
  invalidEncryptionAlgorithm: text(
    "The algorithm of a client's key (`x-amz-server-side-encryption-customer-algorithm`) is not `AES256`.",
    "Send `AES256`, which is the only one.",
    "guide/encryption.md#sse-c",
  ),
  segmentChanged: text(
    "The large object consists of other objects, its segments. One of them was replaced or removed after the large object was written.",
    "Upload the segments again, and the large object with them; what is left of it can be read by ranges that do not contain the changed segment.",
    "guide/swift.md#large-objects",
  ),
  invalidObjectState: text(
    "The object is in an archive class (GLACIER, DEEP_ARCHIVE) and has not been restored; or a restore was asked for one that is not archived.",
    "Restore it (`aws s3api restore-object`), then read it; here that takes effect immediately.",
    "guide/lifecycle.md#restore-from-an-archive",
  ),
  invalidStorageClass: text(
    "The store does not know this storage class.",
    "Use one of those that `hayloft class list` shows.",
    "guide/storage-classes.md",
  ),
  aclNotSupported: text(
    "The bucket's owner owns all objects in it (`BucketOwnerEnforced`, the default), so access control lists that grant others something are refused.",
    "Send no `x-amz-acl`, or only `private`, `bucket-owner-full-control` or `bucket-owner-read`. For older programs, let the bucket have ACLs: `aws s3api put-bucket-ownership-controls`.",
    OLDER_CLIENTS,
  ),
  malformedAcl: text(
    "The access control list is not valid: an unknown grantee or permission, too many grants, or no owner.",
    "Compare the document with the S3 API.",
  ),
  unresolvableGrant: text(
    "A grant names an e-mail address that no account of this store has.",
    "Grant by the account's id (`hayloft account list`), or give the account the address.",
  ),
  ambiguousGrant: text(
    "A grant names an e-mail address that several accounts have.",
    "Grant by the account's id: `hayloft account list`.",
  ),
  aclWithOwnership: text(
    "The owner of the bucket is to be enforced, or is, and its access control list grants something to others.",
    "Replace the list by a bucket policy, reset it to `private`, and try again.",
    OLDER_CLIENTS,
  ),
  aclWithAccessBlock: text(
    "The access control list would make something public, and the bucket blocks public access (the default).",
    "If it should be public, remove the block: `aws s3api delete-public-access-block`. Otherwise use a narrower list.",
    OLDER_CLIENTS,
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const ACCESS = {
  accessDenied: text(
    "The caller is known, or anonymous, and no policy allows this, or one denies it. The admin API says so for a token that is missing, wrong, revoked or expired. The client is not told more, by design.",
    "Take the request id of the answer and run `hayloft why REQUEST-ID`: it names the reason and the smallest statement that would help. For the admin API: `hayloft token list` shows which tokens are valid, `hayloft env --admin` the token of the data folders.",
    WHY,
  ),
  outOfScope: text(
    "The token of the admin API is valid, and its scopes do not allow this request; the message names the scope that it lacks.",
    "Use another token, or make one with that scope: `hayloft token create NAME --scope SCOPE`. The scopes of a token cannot be changed.",
    "operate/admin-tokens.md",
  ),
  accessForbidden: text(
    "A browser asked whether another site may use this bucket (CORS), and no rule of the bucket allows it.",
    "Add a rule with the origin, method and headers of the request: `aws s3api put-bucket-cors`. Origins are compared with scheme and port.",
    S3,
  ),
  invalidAccessKey: text(
    "The store has no key with this id, or it was deleted, disabled, or has expired.",
    "Run `hayloft key list` and compare. If the key is that of another store or of AWS, the client uses the wrong profile or endpoint.",
    WHY,
  ),
  signatureMismatch: text(
    "The request was signed with another secret key, or was changed after it was signed.",
    "Check the secret first (spaces, a truncated copy). Then look for a proxy that changes the Host header, the path or other signed headers; `hayloft why REQUEST-ID` shows the reason.",
    WHY,
  ),
  malformedAuthorization: text(
    "The `Authorization` header or the signed query is not well formed, or is for another region or service.",
    "Set the client's region to that of the store (the answer's `x-amz-bucket-region`), and use signature version 4.",
    S3,
  ),
  invalidToken: text(
    "The session token is not one of this store, belongs to another key, or is given twice.",
    "Get new temporary credentials (`sts:AssumeRole`); with a long-term key send no session token. Look for an old `AWS_SESSION_TOKEN` in the environment.",
    "guide/identities.md#roles",
  ),
  tokenExpired: text(
    "The temporary credentials or the web identity token are past their time.",
    "Get new ones. SDKs renew them by themselves if they have the role rather than its credentials. If they are fresh, compare the clocks.",
    "guide/identities.md#roles",
  ),
  requestSkewed: text(
    "The clock of the client and that of the server differ by more than 15 minutes.",
    "Compare both with the true time, and run NTP on the one that is wrong. If all clients get this, it is the server.",
    "design/failure-scenarios.md#the-clock-is-wrong",
  ),
  requestExpired: text(
    "The presigned URL or signed request is past its time, or is not valid yet.",
    "Make a new URL, with a longer time if needed (up to 7 days). If it is fresh, compare the clocks.",
  ),
  invalidIdentityToken: text(
    "The web identity token was refused: its issuer, audience, signature or times; the message says which.",
    "Compare the token with the provider in the account (`aws iam get-open-id-connect-provider`): its URL and client ids have to match `iss` and `aud`.",
    "guide/identities.md#web-identities",
  ),
  providerUnreachable: text(
    "The identity provider's keys could not be read, so its tokens cannot be checked.",
    "From the machine of the store, open the URL in the message: DNS, firewall, proxy and certificate are the usual causes.",
    "guide/identities.md#web-identities",
  ),
  directoryUnavailable: text(
    "The LDAP directory does not answer, or not as it should: nobody can sign in by a name and a password. Sessions that were begun before go on until they end.",
    "Clients repeat it. The log line `ldap_unavailable` has the reason: look at the address, the certificate, the account for searches, and the bases.",
    "operate/ldap.md#if-it-fails",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const IDENTITIES = {
  accountDeleted: text(
    "A reseller's admin has deleted the account through Swift. What it has goes after seven days.",
    "Within that time a PUT of the account by a reseller's admin brings it back.",
    "guide/swift.md#resellers",
  ),
  noSuchAccount: text("No account has this id.", "`hayloft account list` shows the ids."),
  accountExists: text("An account of this id exists already.", "Use it, or leave out `--id` to get a random one."),
  noSuchAccessKey: text(
    "No access key has this id, or it belongs to another account or user.",
    "`hayloft key list` shows all keys with their owners.",
  ),
  accessKeyExists: text(
    "A key of this id exists already, perhaps as the root key.",
    "Use another id. To give a key another secret, delete it first: `hayloft key delete ID`.",
  ),
  malformedPolicy: text(
    "The access policy is not valid; the message says what, and where in the document.",
    "Correct the document at that place. Elements that the store does not know are refused, not ignored.",
    "guide/identities.md#supported-actions",
  ),
  noSuchEntity: text(
    "There is no user, group, role, policy, provider or other thing of this name in the account of the caller.",
    "List them (`aws iam list-users`, `list-roles`, …) with a key of the right account. For `hayloft why`: the server remembers the latest 1,000 denials only, until it stops.",
    "guide/identities.md",
  ),
  entityExists: text(
    "A user, group, role, policy, provider, key or alias of this name exists already. For IAM, names that differ only in case are the same.",
    "Use the existing one, or choose another name.",
  ),
  deleteConflict: text(
    "Something else still uses it, such as attached policies, keys or group members; the message says what.",
    "Remove that first, then delete it.",
    "guide/identities.md",
  ),
  limitExceeded: text(
    "A limit of the account, the store or the thing itself is reached; the message names it.",
    "Delete what is no longer needed. These limits are fixed.",
    "guide/identities.md",
  ),
  quotaExceeded: text(
    "The write would exceed the quota of its bucket or of its account in bytes or objects. Nothing was stored. Unfinished uploads and older versions count too.",
    "Delete something, or raise the quota: `hayloft quota show` has the figures, `hayloft quota set` changes them.",
    "guide/quotas.md#what-clients-see",
  ),
  noSuchKmsKey: text(
    "No KMS key has this id or alias in the account of the caller. A restored database can have lost it.",
    "`hayloft kms list` shows the keys. If the row of the key was lost, `hayloft kms adopt ID` takes it back; the job `keys` in `hayloft jobs list` names its id.",
    "operate/named-keys.md#the-life-of-a-key",
  ),
  kmsKeyDisabled: text(
    "The KMS key is disabled, so it neither encrypts nor decrypts, on every node.",
    "Enable it: `hayloft kms enable KEY`; a key in Vault or AWS there.",
    "operate/named-keys.md#the-life-of-a-key",
  ),
  kmsKeyState: text(
    "The key is pending deletion, or in another state that does not allow this; the message says which.",
    "To keep it: `hayloft kms keep KEY`, then `hayloft kms enable KEY`.",
    "operate/named-keys.md#the-life-of-a-key",
  ),
  invalidCiphertext: text(
    "The ciphertext was not made with this key and encryption context, or was changed.",
    "Decrypt with the key and exactly the context that encrypted it.",
    "operate/named-keys.md",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const QUEUE = "guide/queue.md"

const QUEUES = {
  noSuchQueue: text(
    "The account has no queue of this name: it was never made, or was deleted.",
    "List the queues (`GET /queues`). Producers of the REST API make the queue that they add to; those of SQS make it with `CreateQueue`.",
    QUEUE,
  ),
  queueExists: text(
    "`CreateQueue` names a queue that is there, with other attributes than the request has. Nothing was changed.",
    "Leave the attributes out, or change them with `SetQueueAttributes`.",
    QUEUE,
  ),
  queuePaused: text(
    "An operator has paused the queue: it accepts no messages until that ends. The message was not added.",
    "Try again later. `PUT /queue/NAME/pause?state=none` ends the pause.",
    "guide/queue.md#pause-a-queue",
  ),
  queueFull: text(
    "The queue has as many messages as the request allows (`maxlen`), or as many bytes as it may have. The message was not added.",
    "Let consumers catch up, delete messages that are not needed, or raise `BytesMax` of the queue.",
    "guide/queue.md#limits",
  ),
  noSuchMessage: text(
    "No message has this id: it was acknowledged or deleted, its time is over, or its queue was emptied.",
    "Nothing, if the work is done: another consumer may have had the message too.",
    "guide/queue.md#deliveries",
  ),
  notInFlight: text(
    "The receipt is not that of the latest delivery, or the time to acknowledge it is over: another consumer may have the message.",
    "Receive the message again. Work that takes longer needs a longer visibility timeout, or `WORKING`.",
    "guide/queue.md#deliveries",
  ),
  workedTooLong: text(
    "Half of the message's time has passed, so that its next delivery cannot be postponed any more.",
    "Finish the work, or give such messages more time when they are added (`ttl`).",
    "guide/queue.md#deliveries",
  ),
  tooFewCopies: text(
    "The request asks for more copies of a message than the store keeps now, or the message was not durable in the time that the request allows.",
    "Ask for fewer copies (`replicate`), or find out with `hayloft status` what is missing. After a timeout the message may be delivered all the same.",
    "guide/queue.md#durability",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const CONDITIONS = {
  preconditionFailed: text(
    "A condition of the request (`If-Match`, `If-None-Match`, …) is not true now. Nothing was changed.",
    "Read the object again and decide again. For `If-None-Match: *` the object exists already.",
    "design/consistency.md#conditions",
  ),
  notModified: text(
    "The object is the one that the client has already. This is not an error.",
    "Nothing: use the cached copy.",
    "design/consistency.md#conditions",
  ),
  conflict: text(
    "Another request, or an operation under way, concerns the same thing; the message says which. Nothing was changed.",
    "Read the present state and try again. For a change of devices: wait until shards no longer move (`hayloft status`).",
    "design/consistency.md#conditions",
  ),
  planOutdated: text(
    "A change of devices, nodes, the layout or the redundancy was confirmed after its plan was shown. By then it would have lost more, or left the store less safe, than the plan showed: the message says what has become worse. Nothing was changed. A node that was to be forgotten may have to register again, which it does by itself when it is back.",
    "Plan the change again, read the new plan, and confirm that one.",
    "operate/operate.md#adding-replacing-and-removing-disks",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

const COORD = "guide/locks.md"

const COORDINATION = {
  noSuchSession: text(
    "The session has ended: its client ended it, or did not renew it for its lease and its grace. Its locks may have other holders now, and its files are deleted.",
    "Stop the work that the locks protected. Begin a session, and take the locks again.",
    `${COORD}#sessions`,
  ),
  lockHeld: text(
    "Another session holds the lock, or waits for it in line. Nothing was changed.",
    "Wait for it (`waitSeconds`), or try again later. A session that has died ends by itself.",
    `${COORD}#locks`,
  ),
  noSuchFile: text(
    "No small file has this path: it was never written, was deleted, or ended with its session.",
    "List the files below a prefix: `GET /coord/files/PREFIX/`.",
    `${COORD}#small-files`,
  ),
  noSuchTransform: text(
    "No step of transforms and no pipeline of the bucket has this name.",
    "`hayloft transform list` shows the steps of the store. A module may have been removed.",
    "guide/transforms.md#steps",
  ),
} as const satisfies { readonly [kind in FailureKind]?: Text }

export const REQUEST_FAILURES = {
  ...NAMES,
  ...LOCKS,
  ...FORMS,
  ...ACCESS,
  ...IDENTITIES,
  ...QUEUES,
  ...COORDINATION,
  ...CONDITIONS,
}
