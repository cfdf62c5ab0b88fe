/** CreateBucket, HeadBucket, DeleteBucket. */
import { fail, isFailure } from "../../base/failures.js"
import type { Answer, BucketCall, NewBucketCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { readDocument } from "../read-document.js"
import type { XmlElement } from "../wire/xml-reader.js"

export const DEFAULT_REGION = "us-east-1"

/** The region that a bucket reports: its location, where it has one, else the store's. */
export function regionOf({ bucket, region }: Pick<BucketCall, "bucket" | "region">): string {
  if (bucket.location === "") return region
  return bucket.location === "EU" ? "eu-west-1" : bucket.location
}

/** The location of a CreateBucketConfiguration; "" for none. Throws `malformedXml`, `notImplemented`. */
function locationOf(root: XmlElement | undefined): string {
  if (root === undefined) return ""
  if (root.name !== "CreateBucketConfiguration") throw fail("malformedXml")
  let location = ""
  for (const child of root.children) {
    if (child.name === "LocationConstraint") location = child.text.trim()
    // Directory buckets, and tags given at creation: nothing of that is built.
    else throw fail("notImplemented", { message: `The element ${child.name.slice(0, 80)} is not implemented.` })
  }
  return location
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

export async function createBucket(call: NewBucketCall): Promise<Answer> {
  const { services, account, bucketName, configuredRegion, region } = call
  const root = await readDocument(call.body, "optional")
  const location = locationOf(root)
  checkLocation(location, configuredRegion)
  const created = answerEmpty(200, [["Location", `/${bucketName}`]])
  try {
    await services.buckets.create({ name: bucketName, owner: account.id, location })
    return created
  } catch (error) {
    // S3's oldest region answers a repeated creation with success; scripts rely on it.
    if (isFailure(error, "bucketOwnedByYou") && region === DEFAULT_REGION) return created
    throw error
  }
}

export async function headBucket(call: BucketCall): Promise<Answer> {
  return answerEmpty(200, [
    ["x-amz-bucket-region", regionOf(call)],
    ["x-amz-access-point-alias", "false"],
  ])
}

export async function deleteBucket({ services, bucket }: BucketCall): Promise<Answer> {
  await services.buckets.remove(bucket)
  return answerEmpty(204)
}
