/**
 * Every operation of S3, with its request, its required actions and its answer: a handler, or a refusal by
 * name. The router uses this table alone, and docs/reference/s3-compatibility.md is generated from it.
 *
 * Source  The S3 service model (116 operations), and two requests that it omits: the form upload
 *         of browsers and the preflight of cross-origin requests.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { parseNewBucketName, type BucketName } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { CallBody } from "./body.js"
import type { AccountCall, S3Answer, BucketCall, S3Call, FormCall, NewBucketCall, ObjectCall } from "./call.js"
import { deleteBucketEncryption, putBucketEncryption } from "./operations/bucket-encryption.js"
import {
  deleteBucketPolicy,
  getBucketPolicy,
  getBucketPolicyStatus,
  putBucketPolicy,
} from "./operations/bucket-policy.js"
import { createBucket, deleteBucket, headBucket, newBucketContent } from "./operations/buckets.js"
import { getBucketLocation, getBucketVersioning, putBucketVersioning } from "./operations/bucket-settings.js"
import { checkOwnership, getBucketAcl, getObjectAcl, putBucketAcl, putObjectAcl } from "./operations/acl.js"
import { emptyDocument, noTorrent, unset } from "./operations/unset-settings.js"
import { copyObject } from "./operations/copy-object.js"
import { deleteObject } from "./operations/delete-object.js"
import { deleteObjects } from "./operations/delete-objects.js"
import {
  checkTransforms,
  getByRules,
  getTransformed,
  headByRules,
  headTransformed,
} from "./operations/transformed-object.js"
import { checkRemote, checkRemoteRemoval, evictObject, prefetchObject } from "./operations/remote-object.js"
import { BUCKET_REMOTE } from "./settings/remote.js"
import { BUCKET_TRANSFORMS } from "./settings/transforms.js"
import { followObject } from "./operations/follow-object.js"
import { getObjectAttributes } from "./operations/get-object-attributes.js"
import { deleteBucketLifecycle, getBucketLifecycle, putBucketLifecycle } from "./operations/lifecycle.js"
import { listBuckets } from "./operations/list-buckets.js"
import { listObjects, listObjectsV2 } from "./operations/list-objects.js"
import { listObjectVersions } from "./operations/list-object-versions.js"
import { abortMultipartUpload, createMultipartUpload } from "./operations/multipart-upload.js"
import { commitTransaction } from "./operations/commit-transaction.js"
import { completeMultipartUpload } from "./operations/complete-multipart-upload.js"
import { listMultipartUploads, listParts } from "./operations/list-multipart.js"
import {
  getObjectLegalHold,
  getObjectLockConfiguration,
  getObjectRetention,
  newLegalHoldContent,
  newRetentionContent,
  putObjectLegalHold,
  putObjectLockConfiguration,
  putObjectRetention,
} from "./operations/object-lock.js"
import { deleteObjectTagging, getObjectTagging, newTagsContent, putObjectTagging } from "./operations/object-tagging.js"
import { postObject } from "./operations/post-object.js"
import { putObject } from "./operations/put-object.js"
import { appendObject } from "./operations/append-object.js"
import { renameObject } from "./operations/rename-object.js"
import { restoreObject } from "./operations/restore-object.js"
import { deleteSetting, getSetting, putSetting } from "./operations/settings.js"
import type { RemovalCheck, SettingCheck } from "./operations/settings.js"
import { uploadPart, uploadPartCopy } from "./operations/upload-part.js"
import { isActionName } from "./rights/actions.js"
import type { ActionName } from "./rights/actions.js"
import type { BodyContent } from "./rights/condition-values-core.js"
import { REQUIRED_ACTIONS } from "./rights/required-actions-core.js"
import type { RequiredActions } from "./rights/required-actions-core.js"
import { CORS } from "./settings/cors.js"
import { BUCKET_ENCRYPTION } from "./settings/encryption.js"
import { OWNERSHIP_CONTROLS } from "./settings/ownership-controls.js"
import { PUBLIC_ACCESS_BLOCK } from "./settings/public-access-block.js"
import { REQUEST_PAYMENT } from "./settings/request-payment.js"
import { WEBSITE } from "./settings/website.js"
import type { S3Setting } from "./settings/setting.js"
import { TAGGING } from "./settings/tagging.js"

export type S3Method = "GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "OPTIONS"
export type Resource = "service" | "bucket" | "object"

export type OperationAnswer =
  | { readonly kind: "service"; readonly handle: (call: AccountCall) => Soon<S3Answer> }
  | {
      readonly kind: "newBucket"
      /** Throws `invalidBucketName`. */
      readonly parseName: (name: string) => BucketName
      readonly handle: (call: NewBucketCall) => Soon<S3Answer>
    }
  /** It includes requests, each of which has a bucket and is authorised by the handler. */
  | { readonly kind: "including"; readonly handle: (call: S3Call) => Soon<S3Answer> }
  | { readonly kind: "bucket"; readonly handle: (call: BucketCall) => Soon<S3Answer> }
  | { readonly kind: "object"; readonly handle: (call: ObjectCall) => Soon<S3Answer> }
  /** Signed by fields of its body, which also name the key. */
  | { readonly kind: "form"; readonly handle: (call: FormCall) => Soon<S3Answer> }
  /** Answered by the preflight rules, without a handler. */
  | { readonly kind: "preflight" }
  | { readonly kind: "refused" }
  /** An older name of the same request. */
  | { readonly kind: "alias"; readonly of: string }

export interface S3Operation {
  readonly name: string
  readonly method: S3Method
  readonly resource: Resource
  /** Query parameters that select this operation: `acl`, or `list-type=2` with a value. */
  readonly when: readonly string[]
  /** A header that selects this operation. */
  readonly header: string | undefined
  /** Empty for operations that are answered without authorization. */
  readonly requiredActions: RequiredActions | readonly []
  /** The part of the body that policies refer to. */
  readonly readBody: (body: CallBody) => Promise<BodyContent>
  /** `built`, `unset` (S3's answer for a setting that was never set), `refused` or `alias`: for the docs. */
  readonly standing: "built" | "unset" | "refused" | "alias"
  readonly answer: OperationAnswer
  /** May take so long that the connection needs keep-alive bytes before the answer. */
  readonly slow: boolean
  /** Occupies the thread for milliseconds: one such call runs in each turn. */
  readonly heavy: boolean
  /** Headers may give the created bucket or object an access control list. */
  readonly takesAcl: boolean
  /** Reads what another protocol keeps of the bucket, which the audit log shows beside its facts. */
  readonly state?: (bucket: Bucket) => Soon<object>
}

/** `PUT /b?acl` and the like: method, resource, and the parameters or header that select the operation. */
interface Request {
  readonly method: S3Method
  readonly resource: Resource
  readonly when: readonly string[]
  readonly header: string | undefined
}

/** Parses `GET object uploadId`, `PUT object [x-amz-copy-source]`: method, resource, parameters, a header. */
function requestOf(text: string): Request {
  const [method, resource, ...rest] = text.split(" ")
  const header = rest.find(word => word.startsWith("["))?.slice(1, -1)
  return { ...parseMethodAndResource(method, resource), when: rest.filter(word => !word.startsWith("[")), header }
}

const METHODS: readonly string[] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] satisfies S3Method[]
const RESOURCES: readonly string[] = ["service", "bucket", "object"] satisfies Resource[]

function parseMethodAndResource(method = "", resource = ""): { method: S3Method; resource: Resource } {
  assert(METHODS.includes(method) && RESOURCES.includes(resource), () => `no request: ${method} ${resource}`)
  return { method: method as S3Method, resource: resource as Resource }
}

interface Options {
  readonly requiredActions?: RequiredActions
  readonly readBody?: S3Operation["readBody"]
  readonly slow?: boolean
  readonly heavy?: boolean
  readonly takesAcl?: boolean
}

/** Required actions must be stated, unless the only one has the operation's name. */
type OptionsOf<Name extends string> = Name extends ActionName
  ? readonly [options?: Options]
  : readonly [options: Options & Required<Pick<Options, "requiredActions">>]

type Closed = Extract<OperationAnswer, { kind: "refused" | "alias" | "preflight" }>
type Open = Exclude<OperationAnswer, Closed>

/** An operation that runs no handler. */
function closed(name: string, request: string, answer: Closed): S3Operation {
  const standing = answer.kind === "preflight" ? "built" : answer.kind
  const shown = { name, ...requestOf(request), standing, answer } as const
  return { ...shown, requiredActions: [], readBody: noContent, slow: false, heavy: false, takesAcl: false }
}

const noContent = async (): Promise<BodyContent> => ({})

function open<Name extends string>(
  name: Name,
  request: string,
  answer: Open,
  ...[options = {}]: OptionsOf<Name>
): S3Operation {
  const { readBody = noContent, slow = false, heavy = false, takesAcl = false } = options
  const requiredActions = options.requiredActions ?? actionNamed(name)
  return { name, ...requestOf(request), requiredActions, readBody, standing: "built", answer, slow, heavy, takesAcl }
}

function actionNamed(name: string): RequiredActions {
  assert(isActionName(name), () => `no action: ${name}`)
  return [{ action: name }]
}

const service = <Name extends string>(
  name: Name,
  request: string,
  handle: (call: AccountCall) => Soon<S3Answer>,
  ...options: OptionsOf<Name>
): S3Operation => open(name, request.replace(/^(\w+)/, "$1 service"), { kind: "service", handle }, ...options)

const bucket = <Name extends string>(
  name: Name,
  request: string,
  handle: (call: BucketCall) => Soon<S3Answer>,
  ...options: OptionsOf<Name>
): S3Operation => open(name, request.replace(/^(\w+)/, "$1 bucket"), { kind: "bucket", handle }, ...options)

const object = <Name extends string>(
  name: Name,
  request: string,
  handle: (call: ObjectCall) => Soon<S3Answer>,
  ...options: OptionsOf<Name>
): S3Operation => open(name, request.replace(/^(\w+)/, "$1 object"), { kind: "object", handle }, ...options)

/** A bucket setting that cannot be set here: its GET returns S3's answer for a setting that was never set. */
const unsetBucket = <Name extends string>(
  name: Name,
  when: string,
  handle: (call: BucketCall) => Soon<S3Answer>,
  ...options: OptionsOf<Name>
): S3Operation => ({ ...bucket(name, `GET ${when}`, handle, ...options), standing: "unset" })

const unsetObject = <Name extends string>(
  name: Name,
  when: string,
  handle: (call: ObjectCall) => Soon<S3Answer>,
  ...options: OptionsOf<Name>
): S3Operation => ({ ...object(name, `GET ${when}`, handle, ...options), standing: "unset" })

const requiredAction = (action: ActionName): { readonly requiredActions: RequiredActions } => ({
  requiredActions: [{ action }],
})

interface SettingOptions<Value> {
  readonly putStatus?: number
  readonly check?: SettingCheck<Value>
  readonly checkRemoval?: RemovalCheck
}

/** The requests of one setting: get, put and, if it may be absent, delete. */
function setting<Value>(
  name: string,
  when: string,
  [get, put]: readonly [
    get: Options & { readonly requiredActions: RequiredActions },
    put: Options & { readonly requiredActions: RequiredActions },
  ],
  of: S3Setting<Value>,
  { putStatus = 200, check, checkRemoval }: SettingOptions<Value> = {},
): S3Operation[] {
  return [
    bucket(`Get${name}`, `GET ${when}`, getSetting(of), get),
    bucket(`Put${name}`, `PUT ${when}`, putSetting(of, putStatus, check), put),
    ...(of.missing === undefined
      ? []
      : [bucket(`Delete${name}`, `DELETE ${when}`, deleteSetting(of, checkRemoval), put)]),
  ]
}

const refused = (name: string, request: string): S3Operation => closed(name, request, { kind: "refused" })
const alias = (name: string, request: string, of: string): S3Operation => closed(name, request, { kind: "alias", of })

const SERVICE_AND_BUCKETS: readonly S3Operation[] = [
  service("ListBuckets", "GET", listBuckets, requiredAction("ListAllMyBuckets")),
  open(
    "CommitTransaction",
    "POST service transaction",
    { kind: "including", handle: commitTransaction },
    { requiredActions: "included" },
  ),
  refused("ListDirectoryBuckets", "GET service x-id=ListDirectoryBuckets"),
  open(
    "CreateBucket",
    "PUT bucket",
    { kind: "newBucket", parseName: parseNewBucketName, handle: createBucket },
    { requiredActions: REQUIRED_ACTIONS.createBucket, readBody: newBucketContent, takesAcl: true },
  ),
  bucket("HeadBucket", "HEAD", headBucket, requiredAction("ListBucket")),
  bucket("DeleteBucket", "DELETE", deleteBucket),
  bucket("GetBucketLocation", "GET location", getBucketLocation),
  bucket("GetBucketVersioning", "GET versioning", getBucketVersioning),
  bucket("PutBucketVersioning", "PUT versioning", putBucketVersioning),
  bucket("GetBucketAcl", "GET acl", getBucketAcl),
  bucket("PutBucketAcl", "PUT acl", putBucketAcl, { takesAcl: true }),
  bucket("ListObjects", "GET", listObjects, { requiredActions: REQUIRED_ACTIONS.listObjects, heavy: true }),
  bucket("ListObjectsV2", "GET list-type=2", listObjectsV2, {
    requiredActions: REQUIRED_ACTIONS.listObjects,
    heavy: true,
  }),
  bucket("ListObjectVersions", "GET versions", listObjectVersions, {
    ...requiredAction("ListBucketVersions"),
    heavy: true,
  }),
  bucket("ListMultipartUploads", "GET uploads", listMultipartUploads, requiredAction("ListBucketMultipartUploads")),
  bucket("DeleteObjects", "POST delete", deleteObjects, { requiredActions: "eachKey" }),
  closed("CorsPreflight", "OPTIONS bucket", { kind: "preflight" }),
  open(
    "PostObject",
    "POST bucket",
    { kind: "form", handle: postObject },
    { requiredActions: REQUIRED_ACTIONS.putObject },
  ),
  refused("CreateSession", "GET bucket session"),
  refused("WriteGetObjectResponse", "POST bucket [x-amz-request-route]"),
  closed("CorsPreflight", "OPTIONS service", { kind: "preflight" }),
]

const OBJECTS: readonly S3Operation[] = [
  object("GetObject", "GET", getByRules, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("HeadObject", "HEAD", headByRules, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("PutObject", "PUT", putObject, { requiredActions: REQUIRED_ACTIONS.putObject, takesAcl: true }),
  object("CopyObject", "PUT [x-amz-copy-source]", copyObject, {
    requiredActions: REQUIRED_ACTIONS.copyObject,
    slow: true,
    takesAcl: true,
  }),
  object("AppendObject", "POST append", appendObject, { requiredActions: REQUIRED_ACTIONS.putObject, takesAcl: true }),
  object("GetTransformedObject", "GET x-transform", getTransformed, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("HeadTransformedObject", "HEAD x-transform", headTransformed, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("PrefetchObject", "POST prefetch", prefetchObject, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("EvictObject", "POST evict", evictObject, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("FollowObject", "GET follow", followObject, { requiredActions: REQUIRED_ACTIONS.getObject }),
  object("RenameObject", "PUT renameObject", renameObject, { requiredActions: REQUIRED_ACTIONS.renameObject }),
  object("DeleteObject", "DELETE", deleteObject, { requiredActions: REQUIRED_ACTIONS.deleteObject }),
  object("GetObjectAttributes", "GET attributes", getObjectAttributes, {
    requiredActions: REQUIRED_ACTIONS.getObjectAttributes,
  }),
  object("GetObjectTagging", "GET tagging", getObjectTagging, { requiredActions: REQUIRED_ACTIONS.getObjectTagging }),
  object("PutObjectTagging", "PUT tagging", putObjectTagging, {
    requiredActions: REQUIRED_ACTIONS.putObjectTagging,
    readBody: newTagsContent,
  }),
  object("DeleteObjectTagging", "DELETE tagging", deleteObjectTagging, {
    requiredActions: REQUIRED_ACTIONS.deleteObjectTagging,
  }),
  object("CreateMultipartUpload", "POST uploads", createMultipartUpload, {
    requiredActions: REQUIRED_ACTIONS.createMultipartUpload,
    takesAcl: true,
  }),
  object("UploadPart", "PUT uploadId partNumber", uploadPart, requiredAction("PutObject")),
  object("UploadPartCopy", "PUT uploadId partNumber [x-amz-copy-source]", uploadPartCopy, {
    ...requiredAction("PutObject"),
    slow: true,
  }),
  object("ListParts", "GET uploadId", listParts, requiredAction("ListMultipartUploadParts")),
  object("CompleteMultipartUpload", "POST uploadId", completeMultipartUpload, {
    requiredActions: REQUIRED_ACTIONS.completeMultipartUpload,
    slow: true,
  }),
  object("AbortMultipartUpload", "DELETE uploadId", abortMultipartUpload),
  object("GetObjectAcl", "GET acl", getObjectAcl, { requiredActions: REQUIRED_ACTIONS.getObjectAcl }),
  object("PutObjectAcl", "PUT acl", putObjectAcl, { requiredActions: REQUIRED_ACTIONS.putObjectAcl, takesAcl: true }),
  object("GetObjectRetention", "GET retention", getObjectRetention),
  object("PutObjectRetention", "PUT retention", putObjectRetention, { readBody: newRetentionContent }),
  object("GetObjectLegalHold", "GET legal-hold", getObjectLegalHold),
  object("PutObjectLegalHold", "PUT legal-hold", putObjectLegalHold, { readBody: newLegalHoldContent }),
  object("RestoreObject", "POST restore", restoreObject),
  unsetObject("GetObjectTorrent", "torrent", noTorrent, { requiredActions: REQUIRED_ACTIONS.getObjectTorrent }),
  closed("CorsPreflight", "OPTIONS object", { kind: "preflight" }),
  // Virtual-host style: its host begins with the route.
  refused("WriteGetObjectResponse", "POST object [x-amz-request-route]"),
  refused("SelectObjectContent", "POST object select select-type=2"),
  refused("UpdateObjectEncryption", "PUT object encryption"),
  refused("PutObjectAnnotation", "PUT object annotation"),
  refused("ListObjectAnnotations", "GET object annotation"),
  alias("GetObjectAnnotation", "GET object annotation", "ListObjectAnnotations"),
  refused("DeleteObjectAnnotation", "DELETE object annotation"),
]

const SETTINGS: readonly S3Operation[] = [
  bucket("GetBucketWebsite", "GET website", getSetting(WEBSITE)),
  bucket("PutBucketWebsite", "PUT website", putSetting(WEBSITE, 200)),
  bucket("DeleteBucketWebsite", "DELETE website", deleteSetting(WEBSITE)),
  ...setting(
    "BucketTransforms",
    "transforms",
    [requiredAction("GetBucketTransforms"), requiredAction("PutBucketTransforms")],
    BUCKET_TRANSFORMS,
    { check: checkTransforms },
  ),
  ...setting(
    "BucketRemote",
    "remote",
    [requiredAction("GetBucketRemote"), requiredAction("PutBucketRemote")],
    BUCKET_REMOTE,
    { check: checkRemote, checkRemoval: checkRemoteRemoval },
  ),
  bucket("GetBucketPolicy", "GET policy", getBucketPolicy),
  bucket("PutBucketPolicy", "PUT policy", putBucketPolicy),
  bucket("DeleteBucketPolicy", "DELETE policy", deleteBucketPolicy),
  bucket("GetBucketPolicyStatus", "GET policyStatus", getBucketPolicyStatus),
  ...setting("BucketCors", "cors", [requiredAction("GetBucketCORS"), requiredAction("PutBucketCORS")], CORS),
  ...setting(
    "BucketTagging",
    "tagging",
    [requiredAction("GetBucketTagging"), requiredAction("PutBucketTagging")],
    TAGGING,
    {
      putStatus: 204,
    },
  ),
  ...setting(
    "BucketOwnershipControls",
    "ownershipControls",
    [requiredAction("GetBucketOwnershipControls"), requiredAction("PutBucketOwnershipControls")],
    OWNERSHIP_CONTROLS,
    { check: checkOwnership },
  ),
  ...setting(
    "PublicAccessBlock",
    "publicAccessBlock",
    [requiredAction("GetBucketPublicAccessBlock"), requiredAction("PutBucketPublicAccessBlock")],
    PUBLIC_ACCESS_BLOCK,
  ),
  ...setting(
    "BucketRequestPayment",
    "requestPayment",
    [requiredAction("GetBucketRequestPayment"), requiredAction("PutBucketRequestPayment")],
    REQUEST_PAYMENT,
  ),
  bucket(
    "GetBucketLifecycleConfiguration",
    "GET lifecycle",
    getBucketLifecycle,
    requiredAction("GetLifecycleConfiguration"),
  ),
  alias("GetBucketLifecycle", "GET bucket lifecycle", "GetBucketLifecycleConfiguration"),
  bucket(
    "PutBucketLifecycleConfiguration",
    "PUT lifecycle",
    putBucketLifecycle,
    requiredAction("PutLifecycleConfiguration"),
  ),
  alias("PutBucketLifecycle", "PUT bucket lifecycle", "PutBucketLifecycleConfiguration"),
  bucket(
    "DeleteBucketLifecycle",
    "DELETE lifecycle",
    deleteBucketLifecycle,
    requiredAction("PutLifecycleConfiguration"),
  ),
  bucket(
    "GetBucketEncryption",
    "GET encryption",
    getSetting(BUCKET_ENCRYPTION),
    requiredAction("GetEncryptionConfiguration"),
  ),
  bucket("PutBucketEncryption", "PUT encryption", putBucketEncryption, requiredAction("PutEncryptionConfiguration")),
  bucket(
    "DeleteBucketEncryption",
    "DELETE encryption",
    deleteBucketEncryption,
    requiredAction("PutEncryptionConfiguration"),
  ),
  bucket(
    "GetObjectLockConfiguration",
    "GET object-lock",
    getObjectLockConfiguration,
    requiredAction("GetBucketObjectLockConfiguration"),
  ),
  bucket(
    "PutObjectLockConfiguration",
    "PUT object-lock",
    putObjectLockConfiguration,
    requiredAction("PutBucketObjectLockConfiguration"),
  ),
]

const SETTINGS_READ: readonly S3Operation[] = [
  unsetBucket(
    "GetBucketReplication",
    "replication",
    unset("ReplicationConfigurationNotFoundError"),
    requiredAction("GetReplicationConfiguration"),
  ),
  unsetBucket(
    "GetBucketAnalyticsConfiguration",
    "analytics id",
    unset("NoSuchConfiguration"),
    requiredAction("GetAnalyticsConfiguration"),
  ),
  unsetBucket(
    "GetBucketInventoryConfiguration",
    "inventory id",
    unset("NoSuchConfiguration"),
    requiredAction("GetInventoryConfiguration"),
  ),
  unsetBucket(
    "GetBucketMetricsConfiguration",
    "metrics id",
    unset("NoSuchConfiguration"),
    requiredAction("GetMetricsConfiguration"),
  ),
  unsetBucket(
    "GetBucketIntelligentTieringConfiguration",
    "intelligent-tiering id",
    unset("NoSuchConfiguration"),
    requiredAction("GetIntelligentTieringConfiguration"),
  ),
  unsetBucket(
    "ListBucketAnalyticsConfigurations",
    "analytics",
    emptyDocument("analytics"),
    requiredAction("GetAnalyticsConfiguration"),
  ),
  unsetBucket(
    "ListBucketInventoryConfigurations",
    "inventory",
    emptyDocument("inventory"),
    requiredAction("GetInventoryConfiguration"),
  ),
  unsetBucket(
    "ListBucketMetricsConfigurations",
    "metrics",
    emptyDocument("metrics"),
    requiredAction("GetMetricsConfiguration"),
  ),
  unsetBucket(
    "ListBucketIntelligentTieringConfigurations",
    "intelligent-tiering",
    emptyDocument("intelligentTiering"),
    requiredAction("GetIntelligentTieringConfiguration"),
  ),
  unsetBucket("GetBucketLogging", "logging", emptyDocument("logging")),
  unsetBucket(
    "GetBucketNotificationConfiguration",
    "notification",
    emptyDocument("notification"),
    requiredAction("GetBucketNotification"),
  ),
  alias("GetBucketNotification", "GET bucket notification", "GetBucketNotificationConfiguration"),
  unsetBucket(
    "GetBucketAccelerateConfiguration",
    "accelerate",
    emptyDocument("accelerate"),
    requiredAction("GetAccelerateConfiguration"),
  ),
  unsetBucket("GetBucketAbac", "abac", emptyDocument("abac")),
  unsetBucket(
    "GetBucketMetadataConfiguration",
    "metadataConfiguration",
    unset("MetadataConfigurationNotFound"),
    requiredAction("GetBucketMetadataTableConfiguration"),
  ),
  unsetBucket("GetBucketMetadataTableConfiguration", "metadataTable", unset("MetadataConfigurationNotFound")),
]

const SETTINGS_CHANGED: readonly S3Operation[] = [
  refused("PutBucketLogging", "PUT bucket logging"),
  refused("PutBucketNotificationConfiguration", "PUT bucket notification"),
  alias("PutBucketNotification", "PUT bucket notification", "PutBucketNotificationConfiguration"),
  refused("PutBucketReplication", "PUT bucket replication"),
  refused("DeleteBucketReplication", "DELETE bucket replication"),
  refused("PutBucketAnalyticsConfiguration", "PUT bucket analytics"),
  refused("DeleteBucketAnalyticsConfiguration", "DELETE bucket analytics"),
  refused("PutBucketIntelligentTieringConfiguration", "PUT bucket intelligent-tiering"),
  refused("DeleteBucketIntelligentTieringConfiguration", "DELETE bucket intelligent-tiering"),
  refused("PutBucketInventoryConfiguration", "PUT bucket inventory"),
  refused("DeleteBucketInventoryConfiguration", "DELETE bucket inventory"),
  refused("PutBucketMetricsConfiguration", "PUT bucket metrics"),
  refused("DeleteBucketMetricsConfiguration", "DELETE bucket metrics"),
  refused("PutBucketAccelerateConfiguration", "PUT bucket accelerate"),
  refused("PutBucketAbac", "PUT bucket abac"),
  refused("CreateBucketMetadataConfiguration", "POST bucket metadataConfiguration"),
  refused("DeleteBucketMetadataConfiguration", "DELETE bucket metadataConfiguration"),
  refused("CreateBucketMetadataTableConfiguration", "POST bucket metadataTable"),
  refused("DeleteBucketMetadataTableConfiguration", "DELETE bucket metadataTable"),
  refused("UpdateBucketMetadataAnnotationTableConfiguration", "PUT bucket metadataAnnotationTable"),
  refused("UpdateBucketMetadataInventoryTableConfiguration", "PUT bucket metadataInventoryTable"),
  refused("UpdateBucketMetadataJournalTableConfiguration", "PUT bucket metadataJournalTable"),
]

export const OPERATIONS: readonly S3Operation[] = [
  ...SERVICE_AND_BUCKETS,
  ...OBJECTS,
  ...SETTINGS,
  ...SETTINGS_READ,
  ...SETTINGS_CHANGED,
]

const BY_NAME: ReadonlyMap<string, S3Operation> = new Map(OPERATIONS.map(operation => [operation.name, operation]))

/**
 * A request of another protocol that needs the permissions of one of S3's operations, or these. It keeps the name, which
 * decisions depend on.
 */
export function operationAs(like: string, answer: OperationAnswer, requiredActions?: RequiredActions): S3Operation {
  const found = must(BY_NAME.get(like), "the operation is in the table")
  const required = requiredActions ?? found.requiredActions
  return { ...found, requiredActions: required, answer, when: [], header: undefined, readBody: noContent }
}
