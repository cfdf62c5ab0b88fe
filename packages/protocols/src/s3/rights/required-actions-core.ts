/**
 * The required actions of a request, by its operation, its headers and whether it names a version. Pure.
 *
 * Source  "Required permissions for Amazon S3 API operations", Amazon S3 User Guide.
 */
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { MATCH_MODIFIED_HEADER, MATCH_SIZE_HEADER } from "../parse-conditions.js"
import { HOLD_HEADER, MODE_HEADER, UNTIL_HEADER } from "../wire/object-lock.js"
import type { S3Target } from "../wire/target.js"
import { scopeOf, type ActionName } from "./actions.js"
import { requestsHarmlessList } from "../acl/requested-acl.js"

export interface S3RequiredAction {
  readonly action: ActionName
  /** Replaces `action` if the request names a version, or a moment. */
  readonly ofVersion?: ActionName
  /** Applies only to requests with such headers; decided by their names alone. */
  readonly when?: (names: HeaderNames) => boolean
  /** Applies only to requests whose headers have such values. */
  readonly appliesTo?: (headers: Headers) => boolean
}

type HeaderNames = Pick<Headers, "has" | "keys">

/**
 * All of them; `"eachKey"`: the operation requires its actions for each key in its document; `"included"`: it requires those of
 * the requests that it includes.
 */
export type RequiredActions = readonly [S3RequiredAction, ...S3RequiredAction[]] | "eachKey" | "included"

const withHeader =
  (...names: string[]) =>
  (headers: HeaderNames): boolean =>
    names.some(name => headers.has(name))

const GRANT = /^x-amz-(?:acl$|grant-)/
export const givesAcl = (headers: HeaderNames): boolean => [...headers.keys()].some(name => GRANT.test(name))

/** A copy has the tags of its source, unless the request replaces them. */
const replacesTags = (headers: Headers): boolean => headers.get("x-amz-tagging-directive")?.toUpperCase() === "REPLACE"

export const turnsLockOn = (headers: Headers): boolean =>
  headers.get("x-amz-bucket-object-lock-enabled")?.toLowerCase() === "true"

/** A condition on an existing object reveals it. */
const READ_BY_CONDITION: S3RequiredAction = {
  action: "GetObject",
  ofVersion: "GetObjectVersion",
  when: withHeader("if-match", MATCH_SIZE_HEADER, MATCH_MODIFIED_HEADER),
}

const makeObject = (
  tagging?: Pick<S3RequiredAction, "appliesTo">,
): readonly [S3RequiredAction, ...S3RequiredAction[]] => [
  { action: "PutObject" },
  { action: "PutObjectTagging", when: withHeader("x-amz-tagging"), ...tagging },
  { action: "PutObjectAcl", when: givesAcl },
  { action: "PutObjectLegalHold", when: withHeader(HOLD_HEADER) },
  { action: "PutObjectRetention", when: withHeader(MODE_HEADER, UNTIL_HEADER) },
]

export const REQUIRED_ACTIONS = {
  createBucket: [
    { action: "CreateBucket" },
    // A harmless list is that which a bucket has without the header.
    { action: "PutBucketAcl", when: givesAcl, appliesTo: headers => !requestsHarmlessList(headers) },
    { action: "PutBucketOwnershipControls", when: withHeader("x-amz-object-ownership") },
    { action: "PutBucketObjectLockConfiguration", appliesTo: turnsLockOn },
    { action: "PutBucketVersioning", appliesTo: turnsLockOn },
  ],
  getObject: [{ action: "GetObject", ofVersion: "GetObjectVersion" }],
  listObjects: [{ action: "ListBucket", ofVersion: "ListBucketVersions" }],
  putObject: [...makeObject(), READ_BY_CONDITION],
  copyObject: [...makeObject({ appliesTo: replacesTags }), READ_BY_CONDITION],
  /** And of its source `GetObject` and `DeleteObject`. */
  renameObject: [
    { action: "PutObject" },
    { action: "GetObject", when: withHeader("if-match", "if-modified-since", "if-unmodified-since") },
  ],
  createMultipartUpload: makeObject(),
  completeMultipartUpload: [{ action: "PutObject" }, READ_BY_CONDITION],
  deleteObject: [{ action: "DeleteObject", ofVersion: "DeleteObjectVersion" }, READ_BY_CONDITION],
  getObjectAttributes: [
    { action: "GetObject", ofVersion: "GetObjectVersion" },
    { action: "GetObjectAttributes", ofVersion: "GetObjectVersionAttributes" },
  ],
  getObjectAcl: [{ action: "GetObjectAcl", ofVersion: "GetObjectVersionAcl" }],
  putObjectAcl: [{ action: "PutObjectAcl", ofVersion: "PutObjectVersionAcl" }],
  getObjectTagging: [{ action: "GetObjectTagging", ofVersion: "GetObjectVersionTagging" }],
  putObjectTagging: [{ action: "PutObjectTagging", ofVersion: "PutObjectVersionTagging" }],
  deleteObjectTagging: [{ action: "DeleteObjectTagging", ofVersion: "DeleteObjectVersionTagging" }],
  getObjectTorrent: [{ action: "GetObjectTorrent", ofVersion: "GetObjectVersionTorrent" }],
} as const satisfies Record<string, RequiredActions>

/** The required actions of requests whose headers have these names. */
export const actionsOfNames = (
  requiredActions: readonly S3RequiredAction[],
  names: HeaderNames,
): readonly S3RequiredAction[] => requiredActions.filter(({ when }) => when?.(names) ?? true)

/** The required actions of a request. */
export function actionsOf(
  requiredActions: readonly S3RequiredAction[],
  headers: Headers,
  namesVersion: boolean,
): readonly ActionName[] {
  return actionsOfNames(requiredActions, headers)
    .filter(({ appliesTo }) => appliesTo?.(headers) ?? true)
    .map(({ action, ofVersion }) => (namesVersion ? (ofVersion ?? action) : action))
}

/** For reports of denials, as policies write them. */
interface RequestedAction {
  readonly action: string
  readonly resource: string
}

/** The first required action and its resource; undefined if it depends on the body, or there is none. */
export function requestedOf(
  requiredActions: RequiredActions | readonly [],
  { bucket, rawKey }: S3Target,
  headers: Headers,
  namesVersion: boolean,
): RequestedAction | undefined {
  const [action] = typeof requiredActions === "string" ? [] : actionsOf(requiredActions, headers, namesVersion)
  if (action === undefined) return undefined
  const scope = bucket === undefined ? "service" : scopeOf(action)
  const path = scope === "object" ? `${bucket ?? ""}/${rawKey ?? ""}` : (bucket ?? "*")
  return { action: `s3:${action}`, resource: `arn:aws:s3:::${scope === "service" ? "*" : textOfObjectKey(path)}` }
}
