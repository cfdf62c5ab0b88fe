/** GetBucketAcl, PutBucketAcl, GetObjectAcl, PutObjectAcl, and the lists of new objects and buckets. */
import { isOwnerOnly, storedAcl } from "@hayloft/access/index.js"
import type { Acl, AclResource } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket, ObjectAcl } from "@hayloft/objects/contract.js"
import { bucketAclDocument } from "../acl/bucket-acl.js"
import { changedAcl, isEnforced, newBucketAcl, newObjectAcl } from "../acl/acl-rules-core.js"
import type { AclRules } from "../acl/acl-rules-core.js"
import { ACL_DOCUMENT, ACL_HEADER, aclOfDocument, aclOfHeaders, writeAcl } from "../acl/requested-acl.js"
import type { RequestedAcl } from "../acl/requested-acl.js"
import type { S3Answer, BucketCall, S3Call, NewBucketCall, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { readDocument } from "../read-document.js"
import type { ObjectOwnership } from "../settings/ownership-controls.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { requireObject } from "./unset-settings.js"
import { shownVersion, versionHeader, versionIdOf } from "./versions.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

async function answerAcl({ accessControl }: S3Call, acl: Acl, headers: readonly HeaderField[] = []): Promise<S3Answer> {
  const names = await accessControl.namesIn(acl)
  return answerXml(ACL_DOCUMENT, xml => writeAcl(xml, acl, id => names.get(id)), headers)
}

export async function getBucketAcl(call: BucketCall): Promise<S3Answer> {
  return answerAcl(call, await call.accessControl.listOfBucket(call.bucket))
}

export async function getObjectAcl(call: ObjectCall): Promise<S3Answer> {
  const { versionId, acl } = await requireObject(call)
  const list = await call.accessControl.listOfObject(call.bucket, acl)
  return answerAcl(call, list, versionHeader(shownVersion(call.bucket, versionId)))
}

/** The list in the headers, or in a document instead. Throws `missingHeader`, `unexpectedContent`, `malformedAcl` … */
async function requestedOf({ headers, body }: S3Call, resource: AclResource): Promise<RequestedAcl> {
  const requested = aclOfHeaders(headers, resource)
  const root = await readDocument(body, "optional")
  if (requested !== undefined) {
    if (root !== undefined) throw fail("unexpectedContent")
    return requested
  }
  if (root === undefined) throw fail("missingHeader", { header: ACL_HEADER })
  if (root.name !== ACL_DOCUMENT) throw fail("malformedAcl", { reason: `the document must be an ${ACL_DOCUMENT}` })
  return { kind: "grants", ...aclOfDocument(root) }
}

/** The list that replaces the list of a bucket or object of `owner`; undefined if nothing changes. */
async function changedBy(call: BucketCall, requested: RequestedAcl, owner: AccountId): Promise<Acl | undefined> {
  const { accessControl, bucket } = call
  if (requested.kind === "grants" && (requested.owner ?? owner) !== owner) {
    throw fail("accessDenied", { reason: "a list cannot change the owner" })
  }
  return changedAcl(await accessControl.findFor(bucket, requested), owner, await accessControl.rulesOf(bucket))
}

export async function putBucketAcl(call: BucketCall): Promise<S3Answer> {
  const { services, bucket } = call
  const acl = await changedBy(call, await requestedOf(call, "bucket"), bucket.owner)
  if (acl !== undefined) await services.buckets.setSetting(bucket, "acl", bucketAclDocument(acl))
  return answerEmpty(200)
}

export async function putObjectAcl(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, accessControl } = call
  const requested = await requestedOf(call, "object")
  const named = versionIdOf(call)
  // The document may arrive slowly: another object may have replaced this one meanwhile, so check again.
  for (const action of actionsOf(REQUIRED_ACTIONS.putObjectAcl, call.headers, named !== undefined)) {
    await call.permissions.require(action, { bucket, key, versionId: named })
  }
  const { versionId, acl: current } = await requireObject(call)
  const { owner } = await accessControl.listOfObject(bucket, current)
  const acl = await changedBy(call, requested, owner)
  if (acl !== undefined) await services.objects.setAcl({ bucket, key, versionId }, storedAcl(acl, bucket.owner))
  return answerEmpty(200, versionHeader(shownVersion(bucket, versionId)))
}

/** A bucket whose list grants something keeps its lists: S3 has its grants removed first. Throws `aclWithOwnership`. */
export async function checkOwnership({ accessControl, bucket }: BucketCall, ownership: ObjectOwnership): Promise<void> {
  if (isEnforced({ ownership }) && !isOwnerOnly(await accessControl.listOfBucket(bucket)))
    throw fail("aclWithOwnership")
}

/**
 * The list that is stored with an object that the caller writes. Throws the faults of the headers, `aclNotSupported`,
 * `accessDenied`.
 */
export function aclOfNewObject(call: ObjectCall): Soon<ObjectAcl | undefined> {
  const { accessControl, bucket, caller, headers } = call
  const requested = aclOfHeaders(headers, "object")
  return after(requested && accessControl.findFor(bucket, requested), found =>
    after(accessControl.rulesOf(bucket), rules => newObjectAcl(found, caller?.id, rules)),
  )
}

/** The list of a new bucket as a setting; undefined if there is nothing to store. */
export async function aclOfNewBucket(call: NewBucketCall, ownership: ObjectOwnership): Promise<string | undefined> {
  const { account, newBuckets } = call
  const blockPublicAcls = !newBuckets.allowPublicBuckets
  const { ignoresLists } = call.accessControl
  return newAclIn(call, { bucketOwner: account.id, ownership, blockPublicAcls, ignoresLists })
}

/** The same for a bucket that its owner creates again, by the rules that the bucket has. */
export const aclOfRepeatedBucket = async (call: NewBucketCall, bucket: Bucket): Promise<string | undefined> =>
  newAclIn(call, await call.accessControl.rulesOf(bucket))

async function newAclIn({ accessControl, headers }: NewBucketCall, rules: AclRules): Promise<string | undefined> {
  const requested = aclOfHeaders(headers, "bucket")
  const found = requested && (await accessControl.find(requested))
  return bucketAclDocument(newBucketAcl(found, rules))
}
