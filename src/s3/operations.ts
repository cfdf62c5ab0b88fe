/**
 * Every operation of S3, with its request, its permission and its answer: a handler, or a refusal by
 * name. Whatever is routed is routed by this table, and docs/s3-compatibility.md is written from it.
 *
 * Source  The S3 service model (116 operations), and two requests that it leaves out: the form upload
 *         of browsers and the preflight of cross-origin requests.
 */
import { assert } from "../base/assert.js"
import type { Answer, BucketCall, Call, FormCall, NewBucketCall, ObjectCall } from "./call.js"
import { createBucket, deleteBucket, headBucket } from "./operations/buckets.js"
import { getBucketLocation, getBucketVersioning, putBucketVersioning } from "./operations/bucket-settings.js"
import {
  emptyDocument,
  getBucketAcl,
  getObjectAcl,
  lockMissing,
  noTorrent,
  unset,
} from "./operations/unset-settings.js"
import { copyObject } from "./operations/copy-object.js"
import { deleteObject } from "./operations/delete-object.js"
import { deleteObjects } from "./operations/delete-objects.js"
import { getObject, headObject } from "./operations/get-object.js"
import { getObjectAttributes } from "./operations/get-object-attributes.js"
import { listBuckets } from "./operations/list-buckets.js"
import { listObjects, listObjectsV2 } from "./operations/list-objects.js"
import { listObjectVersions } from "./operations/list-object-versions.js"
import { abortMultipartUpload, createMultipartUpload } from "./operations/multipart-upload.js"
import { completeMultipartUpload } from "./operations/complete-multipart-upload.js"
import { listMultipartUploads, listParts } from "./operations/list-multipart.js"
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from "./operations/object-tagging.js"
import { postObject } from "./operations/post-object.js"
import { putObject } from "./operations/put-object.js"
import { deleteSetting, getSetting, putSetting } from "./operations/settings.js"
import { uploadPart, uploadPartCopy } from "./operations/upload-part.js"
import { CORS } from "./settings/cors.js"
import { OWNERSHIP_CONTROLS } from "./settings/ownership-controls.js"
import { PUBLIC_ACCESS_BLOCK } from "./settings/public-access-block.js"
import { REQUEST_PAYMENT } from "./settings/request-payment.js"
import type { Setting } from "./settings/setting.js"
import { TAGGING } from "./settings/tagging.js"

export type Method = "GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "OPTIONS"
export type Resource = "service" | "bucket" | "object"

export type OperationAnswer =
  | { readonly kind: "service"; readonly handle: (call: Call) => Promise<Answer> }
  | { readonly kind: "newBucket"; readonly handle: (call: NewBucketCall) => Promise<Answer> }
  | { readonly kind: "bucket"; readonly handle: (call: BucketCall) => Promise<Answer> }
  | { readonly kind: "object"; readonly handle: (call: ObjectCall) => Promise<Answer> }
  /** Signed by fields of its body, which name the key too. */
  | { readonly kind: "form"; readonly handle: (call: FormCall) => Promise<Answer> }
  /** Answered without a handler: by the preflight rules. */
  | { readonly kind: "preflight" }
  | { readonly kind: "refused" }
  /** An older name of the same request. */
  | { readonly kind: "alias"; readonly of: string }

export interface Operation {
  readonly name: string
  readonly method: Method
  readonly resource: Resource
  /** Query parameters that make the request this one: `acl`, or `list-type=2` with a value. */
  readonly when: readonly string[]
  /** A header that makes the request this one. */
  readonly header: string | undefined
  /** The right that it needs. */
  readonly permission: string
  /** `built`, `unset` (the answer of S3 for a setting never made), `refused` or `alias`: for the docs. */
  readonly standing: "built" | "unset" | "refused" | "alias"
  readonly answer: OperationAnswer
  /** May take long enough that the connection must be kept awake before the answer. */
  readonly slow: boolean
  /** Holds the thread for milliseconds: one of these a turn. */
  readonly heavy: boolean
}

/** `PUT /b?acl` and the like: method, resource and what makes the request this operation. */
interface Request {
  readonly method: Method
  readonly resource: Resource
  readonly when: readonly string[]
  readonly header: string | undefined
}

/** Reads `GET object uploadId`, `PUT object [x-amz-copy-source]`: method, resource, parameters, a header. */
function requestOf(text: string): Request {
  const [method, resource, ...rest] = text.split(" ")
  const header = rest.find(word => word.startsWith("["))?.slice(1, -1)
  return { ...parseMethodAndResource(method, resource), when: rest.filter(word => !word.startsWith("[")), header }
}

const METHODS: readonly string[] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] satisfies Method[]
const RESOURCES: readonly string[] = ["service", "bucket", "object"] satisfies Resource[]

function parseMethodAndResource(method = "", resource = ""): { method: Method; resource: Resource } {
  assert(METHODS.includes(method) && RESOURCES.includes(resource), () => `no request: ${method} ${resource}`)
  return { method: method as Method, resource: resource as Resource }
}

interface Options {
  readonly permission?: string
  readonly slow?: boolean
  readonly heavy?: boolean
}

function operation(name: string, request: string, answer: OperationAnswer, options: Options = {}): Operation {
  const standing = answer.kind === "refused" || answer.kind === "alias" ? answer.kind : "built"
  const { permission = name, slow = false, heavy = false } = options
  return { name, ...requestOf(request), permission: `s3:${permission}`, standing, answer, slow, heavy }
}

const service = (
  name: string,
  request: string,
  handle: (call: Call) => Promise<Answer>,
  options?: Options,
): Operation => operation(name, `${request.replace(/^(\w+)/, "$1 service")}`, { kind: "service", handle }, options)

const bucket = (
  name: string,
  request: string,
  handle: (call: BucketCall) => Promise<Answer>,
  options?: Options,
): Operation => operation(name, request.replace(/^(\w+)/, "$1 bucket"), { kind: "bucket", handle }, options)

const object = (
  name: string,
  request: string,
  handle: (call: ObjectCall) => Promise<Answer>,
  options?: Options,
): Operation => operation(name, request.replace(/^(\w+)/, "$1 object"), { kind: "object", handle }, options)

/** A bucket setting that nobody can have made: its GET answers as S3 does then. */
const unsetBucket = (name: string, when: string, handle: (call: BucketCall) => Promise<Answer>): Operation => ({
  ...bucket(name, `GET ${when}`, handle),
  standing: "unset",
})

const unsetObject = (name: string, when: string, handle: (call: ObjectCall) => Promise<Answer>): Operation => ({
  ...object(name, `GET ${when}`, handle),
  standing: "unset",
})

/** What a client does with a setting: reads it, puts it and, where it can be without, deletes it. */
function setting(name: string, when: string, right: string, of: Setting<unknown>, putStatus = 200): Operation[] {
  const put = { permission: `Put${right}` }
  return [
    bucket(`Get${name}`, `GET ${when}`, getSetting(of), { permission: `Get${right}` }),
    bucket(`Put${name}`, `PUT ${when}`, putSetting(of, putStatus), put),
    ...(of.missing === undefined ? [] : [bucket(`Delete${name}`, `DELETE ${when}`, deleteSetting(of), put)]),
  ]
}

const refused = (name: string, request: string): Operation => operation(name, request, { kind: "refused" })
const alias = (name: string, request: string, of: string): Operation => operation(name, request, { kind: "alias", of })

const SERVICE_AND_BUCKETS: readonly Operation[] = [
  service("ListBuckets", "GET", listBuckets, { permission: "ListAllMyBuckets" }),
  refused("ListDirectoryBuckets", "GET service x-id=ListDirectoryBuckets"),
  operation("CreateBucket", "PUT bucket", { kind: "newBucket", handle: createBucket }),
  bucket("HeadBucket", "HEAD", headBucket, { permission: "ListBucket" }),
  bucket("DeleteBucket", "DELETE", deleteBucket),
  bucket("GetBucketLocation", "GET location", getBucketLocation),
  bucket("GetBucketVersioning", "GET versioning", getBucketVersioning),
  bucket("PutBucketVersioning", "PUT versioning", putBucketVersioning),
  bucket("ListObjects", "GET", listObjects, { permission: "ListBucket", heavy: true }),
  bucket("ListObjectsV2", "GET list-type=2", listObjectsV2, { permission: "ListBucket", heavy: true }),
  bucket("ListObjectVersions", "GET versions", listObjectVersions, { permission: "ListBucketVersions", heavy: true }),
  bucket("ListMultipartUploads", "GET uploads", listMultipartUploads, { permission: "ListBucketMultipartUploads" }),
  bucket("DeleteObjects", "POST delete", deleteObjects, { permission: "DeleteObject" }),
  operation("CorsPreflight", "OPTIONS bucket", { kind: "preflight" }),
  operation("PostObject", "POST bucket", { kind: "form", handle: postObject }, { permission: "PutObject" }),
  refused("CreateSession", "GET bucket session"),
  refused("WriteGetObjectResponse", "POST bucket [x-amz-request-route]"),
  operation("CorsPreflight", "OPTIONS service", { kind: "preflight" }),
]

const OBJECTS: readonly Operation[] = [
  object("GetObject", "GET", getObject),
  object("HeadObject", "HEAD", headObject, { permission: "GetObject" }),
  object("PutObject", "PUT", putObject),
  object("CopyObject", "PUT [x-amz-copy-source]", copyObject, { permission: "PutObject", slow: true }),
  object("DeleteObject", "DELETE", deleteObject),
  object("GetObjectAttributes", "GET attributes", getObjectAttributes),
  object("GetObjectTagging", "GET tagging", getObjectTagging),
  object("PutObjectTagging", "PUT tagging", putObjectTagging),
  object("DeleteObjectTagging", "DELETE tagging", deleteObjectTagging),
  object("CreateMultipartUpload", "POST uploads", createMultipartUpload, { permission: "PutObject" }),
  object("UploadPart", "PUT uploadId partNumber", uploadPart, { permission: "PutObject" }),
  object("UploadPartCopy", "PUT uploadId partNumber [x-amz-copy-source]", uploadPartCopy, {
    permission: "PutObject",
    slow: true,
  }),
  object("ListParts", "GET uploadId", listParts, { permission: "ListMultipartUploadParts" }),
  object("CompleteMultipartUpload", "POST uploadId", completeMultipartUpload, { permission: "PutObject", slow: true }),
  object("AbortMultipartUpload", "DELETE uploadId", abortMultipartUpload),
  unsetObject("GetObjectAcl", "acl", getObjectAcl),
  unsetObject("GetObjectLegalHold", "legal-hold", lockMissing),
  unsetObject("GetObjectRetention", "retention", lockMissing),
  unsetObject("GetObjectTorrent", "torrent", noTorrent),
  operation("CorsPreflight", "OPTIONS object", { kind: "preflight" }),
  refused("PutObjectAcl", "PUT object acl"),
  refused("PutObjectLegalHold", "PUT object legal-hold"),
  refused("PutObjectRetention", "PUT object retention"),
  refused("RenameObject", "PUT object renameObject"),
  refused("RestoreObject", "POST object restore"),
  refused("SelectObjectContent", "POST object select select-type=2"),
  refused("UpdateObjectEncryption", "PUT object encryption"),
  refused("PutObjectAnnotation", "PUT object annotation"),
  refused("ListObjectAnnotations", "GET object annotation"),
  alias("GetObjectAnnotation", "GET object annotation", "ListObjectAnnotations"),
  refused("DeleteObjectAnnotation", "DELETE object annotation"),
]

const SETTINGS: readonly Operation[] = [
  ...setting("BucketCors", "cors", "BucketCORS", CORS),
  ...setting("BucketTagging", "tagging", "BucketTagging", TAGGING, 204),
  ...setting("BucketOwnershipControls", "ownershipControls", "BucketOwnershipControls", OWNERSHIP_CONTROLS),
  ...setting("PublicAccessBlock", "publicAccessBlock", "BucketPublicAccessBlock", PUBLIC_ACCESS_BLOCK),
  ...setting("BucketRequestPayment", "requestPayment", "BucketRequestPayment", REQUEST_PAYMENT),
]

const SETTINGS_READ: readonly Operation[] = [
  unsetBucket("GetBucketAcl", "acl", getBucketAcl),
  unsetBucket("GetBucketLifecycleConfiguration", "lifecycle", unset("NoSuchLifecycleConfiguration")),
  alias("GetBucketLifecycle", "GET bucket lifecycle", "GetBucketLifecycleConfiguration"),
  unsetBucket("GetBucketPolicy", "policy", unset("NoSuchBucketPolicy")),
  unsetBucket("GetBucketPolicyStatus", "policyStatus", emptyDocument("policyStatus")),
  unsetBucket("GetBucketWebsite", "website", unset("NoSuchWebsiteConfiguration")),
  unsetBucket("GetBucketReplication", "replication", unset("ReplicationConfigurationNotFoundError")),
  unsetBucket("GetBucketEncryption", "encryption", unset("ServerSideEncryptionConfigurationNotFoundError")),
  unsetBucket("GetObjectLockConfiguration", "object-lock", unset("ObjectLockConfigurationNotFoundError")),
  unsetBucket("GetBucketAnalyticsConfiguration", "analytics id", unset("NoSuchConfiguration")),
  unsetBucket("GetBucketInventoryConfiguration", "inventory id", unset("NoSuchConfiguration")),
  unsetBucket("GetBucketMetricsConfiguration", "metrics id", unset("NoSuchConfiguration")),
  unsetBucket("GetBucketIntelligentTieringConfiguration", "intelligent-tiering id", unset("NoSuchConfiguration")),
  unsetBucket("ListBucketAnalyticsConfigurations", "analytics", emptyDocument("analytics")),
  unsetBucket("ListBucketInventoryConfigurations", "inventory", emptyDocument("inventory")),
  unsetBucket("ListBucketMetricsConfigurations", "metrics", emptyDocument("metrics")),
  unsetBucket("ListBucketIntelligentTieringConfigurations", "intelligent-tiering", emptyDocument("intelligentTiering")),
  unsetBucket("GetBucketLogging", "logging", emptyDocument("logging")),
  unsetBucket("GetBucketNotificationConfiguration", "notification", emptyDocument("notification")),
  alias("GetBucketNotification", "GET bucket notification", "GetBucketNotificationConfiguration"),
  unsetBucket("GetBucketAccelerateConfiguration", "accelerate", emptyDocument("accelerate")),
  unsetBucket("GetBucketAbac", "abac", emptyDocument("abac")),
  unsetBucket("GetBucketMetadataConfiguration", "metadataConfiguration", unset("MetadataConfigurationNotFound")),
  unsetBucket("GetBucketMetadataTableConfiguration", "metadataTable", unset("MetadataConfigurationNotFound")),
]

const SETTINGS_CHANGED: readonly Operation[] = [
  refused("PutBucketAcl", "PUT bucket acl"),
  refused("PutBucketPolicy", "PUT bucket policy"),
  refused("DeleteBucketPolicy", "DELETE bucket policy"),
  refused("PutBucketEncryption", "PUT bucket encryption"),
  refused("DeleteBucketEncryption", "DELETE bucket encryption"),
  refused("PutBucketLifecycleConfiguration", "PUT bucket lifecycle"),
  alias("PutBucketLifecycle", "PUT bucket lifecycle", "PutBucketLifecycleConfiguration"),
  refused("DeleteBucketLifecycle", "DELETE bucket lifecycle"),
  refused("PutBucketLogging", "PUT bucket logging"),
  refused("PutBucketNotificationConfiguration", "PUT bucket notification"),
  alias("PutBucketNotification", "PUT bucket notification", "PutBucketNotificationConfiguration"),
  refused("PutBucketReplication", "PUT bucket replication"),
  refused("DeleteBucketReplication", "DELETE bucket replication"),
  refused("PutBucketWebsite", "PUT bucket website"),
  refused("DeleteBucketWebsite", "DELETE bucket website"),
  refused("PutObjectLockConfiguration", "PUT bucket object-lock"),
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

export const OPERATIONS: readonly Operation[] = [
  ...SERVICE_AND_BUCKETS,
  ...OBJECTS,
  ...SETTINGS,
  ...SETTINGS_READ,
  ...SETTINGS_CHANGED,
]
