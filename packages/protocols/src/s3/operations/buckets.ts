/** CreateBucket, HeadBucket and DeleteBucket. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Bucket, SettingDocuments, BucketSettingName } from "@hayloft/objects/contract.js"
import type { CallBody } from "../body.js"
import type { S3Answer, BucketCall, NewBucketCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { readDocument } from "../read-document.js"
import type { BodyContent } from "../rights/condition-values-core.js"
import { turnsLockOn } from "../rights/required-actions-core.js"
import { settingsOfNewBucket } from "../settings/new-bucket.js"
import { OBJECT_OWNERSHIPS, OWNERSHIP_CONTROLS } from "../settings/ownership-controls.js"
import { documentOf } from "../settings/setting.js"
import { BUCKET_TAGS_MAX, TAGGING } from "../settings/tagging.js"
import { tagsIn } from "../wire/tags.js"
import { aclOfNewBucket, aclOfRepeatedBucket } from "./acl.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { Tags } from "@hayloft/base/tags.js"

export const DEFAULT_REGION = "us-east-1"

/** The region that a bucket reports: its location if it has one, else the store's region. */
export function regionOf({ bucket, region }: Pick<BucketCall, "bucket" | "region">): string {
  if (bucket.location === "") return region
  return bucket.location === "EU" ? "eu-west-1" : bucket.location
}

/** The contents of a CreateBucketConfiguration. Throws `malformedXml`, `invalidTag`, `notImplemented`. */
function configurationOf(root: XmlElement | undefined): { readonly location: string; readonly tags: Tags } {
  let [location, tags]: [string, Tags] = ["", []]
  if (root === undefined) return { location, tags }
  if (root.name !== "CreateBucketConfiguration") throw fail("malformedXml")
  for (const child of root.children) {
    if (child.name === "LocationConstraint") location = child.text.trim()
    else if (child.name === "Tags") tags = tagsIn(child, BUCKET_TAGS_MAX)
    // Directory buckets are not implemented.
    else throw fail("notImplemented", { message: `The element ${child.name.slice(0, 80)} is not implemented.` })
  }
  return { location, tags }
}

/** The initial settings: tags, the ownership of objects that others write, and the access control list. */
async function settingsOf(call: NewBucketCall, tags: Tags): Promise<SettingDocuments> {
  const { newBuckets } = call
  const settings = new Map<BucketSettingName, string>(settingsOfNewBucket(newBuckets))
  const ownership = call.headers.get("x-amz-object-ownership")?.toLowerCase()
  const chosen = OBJECT_OWNERSHIPS.find(known => known.toLowerCase() === ownership)
  if (tags.length > 0) settings.set("tagging", documentOf(TAGGING, tags))
  if (chosen !== undefined) settings.set("ownershipControls", documentOf(OWNERSHIP_CONTROLS, chosen))
  const acl = await aclOfNewBucket(call, chosen ?? (newBuckets.allowAcls ? "ObjectWriter" : "BucketOwnerEnforced"))
  if (acl !== undefined) settings.set("acl", acl)
  return settings
}

/** Throws `illegalLocation`, `invalidArgument`. */
function checkLocation(location: string, configured: string | undefined): void {
  if (!/^[A-Za-z0-9-]{0,64}$/.test(location)) {
    throw fail("invalidArgument", { argumentName: "LocationConstraint", argumentValue: location.slice(0, 80) })
  }
  const fits = location === "" || location === configured
  if (configured !== undefined && !fits) {
    throw fail("illegalLocation", {
      message: `The ${location} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    })
  }
}

/** The part of the document that policies refer to. */
export async function newBucketContent(body: CallBody): Promise<BodyContent> {
  const { location, tags } = configurationOf(await readDocument(body, "optional"))
  return { location, bucketTags: tags }
}

export async function createBucket(call: NewBucketCall): Promise<S3Answer> {
  const { services, account, bucketName, configuredRegion, region } = call
  const root = await readDocument(call.body, "optional")
  const { location, tags } = configurationOf(root)
  if (tags.length > 0) await call.permissions.require("TagResource", { newBucket: bucketName })
  checkLocation(location, configuredRegion)
  const settings = await settingsOf(call, tags)
  const hasLock = turnsLockOn(call.headers)
  const created = answerEmpty(200, [["Location", `/${bucketName}`]])
  try {
    await services.buckets.create({ name: bucketName, owner: account.id, location, settings, hasLock })
    return created
  } catch (error) {
    if (!isFailure(error, "bucketOwnedByYou") || region !== DEFAULT_REGION) throw error
    const bucket = await services.buckets.open(bucketName)
    // Success would mean that the bucket has what was asked for.
    if (hasLock && bucket.lock === undefined) throw error
    await resetAcl(call, bucket)
    return created
  }
}

/**
 * S3's oldest region answers a repeated creation with success, which scripts rely on, and replaces the bucket's access
 * control list with the requested one ("CreateBucket", Amazon S3 API Reference). The bucket's policy decides about that,
 * which says nothing of buckets that are new. Throws `accessDenied`.
 */
async function resetAcl(call: NewBucketCall, bucket: Bucket): Promise<void> {
  const { services, permissions } = call
  const wanted = await aclOfRepeatedBucket(call, bucket)
  if (wanted === (await services.buckets.setting(bucket, "acl"))?.document) return
  await permissions.require("PutBucketAcl", { bucket })
  await services.buckets.setSetting(bucket, "acl", wanted)
}

export async function headBucket(call: BucketCall): Promise<S3Answer> {
  return answerEmpty(200, [
    ["x-amz-bucket-region", regionOf(call)],
    ["x-amz-access-point-alias", "false"],
  ])
}

export async function deleteBucket({ services, bucket }: BucketCall): Promise<S3Answer> {
  await services.buckets.remove(bucket)
  return answerEmpty(204)
}
