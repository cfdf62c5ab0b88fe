/** ListBuckets: the buckets of the caller's account, in name order. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { AccountCall, S3Answer } from "../call.js"
import { answerXml } from "../call.js"
import { decodeToken, encodeToken } from "../wire/tokens.js"
import { regionOf } from "./buckets.js"
import { unlessEmpty, writeOwner } from "./listing.js"

const BUCKETS_MAX = 10_000
const REGION_OF_AMAZON = /^[a-z]{2,3}(-[a-z]+)+-\d+$/

/** A store may call its own region what it likes. Throws `invalidArgument`. */
function requireRegion(wanted: string, own: string): void {
  if (wanted === own || REGION_OF_AMAZON.test(wanted)) return
  const message = `Argument value ${wanted.slice(0, 80)} is not a valid AWS Region`
  throw fail("invalidArgument", { message, argumentName: "bucket-region" })
}

export async function listBuckets(call: AccountCall): Promise<S3Answer> {
  const { services, account, query, region } = call
  const prefix = query.get("prefix") ?? ""
  const token = query.get("continuation-token")
  const max = query.integer("max-buckets", { min: 1, max: BUCKETS_MAX }) ?? BUCKETS_MAX
  const wantedRegion = query.get("bucket-region")
  const { buckets, next } = await services.buckets.list({
    owner: account.id,
    max,
    prefix,
    ...(token !== undefined && { after: decodeToken(token, account.id) }),
  })
  const shown = buckets
    .map(bucket => ({ ...bucket, region: regionOf({ bucket, region }) }))
    .filter(bucket => wantedRegion === undefined || bucket.region === wantedRegion)
  if (shown.length === 0 && wantedRegion !== undefined) requireRegion(wantedRegion, region)
  return answerXml("ListAllMyBucketsResult", xml => {
    writeOwner(xml, account)
    xml.group("Buckets", list => {
      for (const { name, createdMs, region: bucketRegion } of shown) {
        list.group("Bucket", bucket =>
          bucket.text("Name", name).text("CreationDate", isoDate(createdMs)).text("BucketRegion", bucketRegion),
        )
      }
    })
    xml.text("ContinuationToken", next === undefined ? undefined : encodeToken(next, account.id))
    xml.text("Prefix", unlessEmpty(textOfObjectKey(prefix)))
  })
}
