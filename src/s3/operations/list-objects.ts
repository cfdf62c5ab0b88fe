/** ListObjects (both versions): the latest versions of a bucket in the order of their keys' bytes. */
import type { Bucket, ListPage } from "../../object/contract.js"
import type { Answer, BucketCall } from "../call.js"
import { answerXml } from "../call.js"
import { regionOf } from "./buckets.js"
import { decodeToken, encodeToken } from "../wire/tokens.js"
import { escapeXml, type XmlWriter } from "../wire/xml-writer.js"
import type { Account } from "../../access/contract.js"
import { encodingOf, maxOf, unlessEmpty, writeCommonPrefix, ObjectElements } from "./listing.js"
import type { Encoding } from "./listing.js"

interface Listing {
  readonly prefix: string
  readonly delimiter: string
  readonly max: number
  readonly encoding: Encoding
  readonly page: ListPage
}

async function list(call: BucketCall, after: string): Promise<Listing> {
  const { services, bucket, query } = call
  const prefix = query.get("prefix") ?? ""
  const delimiter = query.get("delimiter") ?? ""
  const max = maxOf(query, "max-keys")
  const encoding = encodingOf(query)
  const page = await services.objects.list({ bucket, prefix, delimiter, after, max })
  return { prefix, delimiter, max, encoding, page }
}

function writeEntries(xml: XmlWriter, { page, encoding }: Listing, owner: Account | undefined): void {
  const elements = new ObjectElements(owner)
  for (const entry of page.entries) {
    if (entry.kind !== "object") continue
    const { object } = entry
    xml.raw(`<Contents><Key>${escapeXml(encoding.show(object.key))}</Key>${elements.of(object)}</Contents>`)
  }
  for (const entry of page.entries) if (entry.kind === "prefix") writeCommonPrefix(xml, entry.prefix, encoding)
}

/** A token is good for the bucket that it came from. */
const scopeOf = ({ id }: Bucket): string => `bucket ${id}`

const regionHeader = (call: BucketCall) => [["x-amz-bucket-region", regionOf(call)]] as const

export async function listObjects(call: BucketCall): Promise<Answer> {
  const { bucket, query, owner } = call
  const marker = query.get("marker") ?? ""
  const listing = await list(call, marker)
  const { prefix, delimiter, max, encoding, page } = listing
  const { show } = encoding
  const write = (xml: XmlWriter): void => {
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("Marker", show(marker))
      .text("NextMarker", delimiter === "" || page.next === undefined ? undefined : show(page.next))
      .text("MaxKeys", max)
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("EncodingType", encoding.type)
      .text("IsTruncated", page.next !== undefined)
    writeEntries(xml, listing, owner)
  }
  return answerXml("ListBucketResult", write, regionHeader(call))
}

/** Throws `invalidArgument` for a token that this store has not given. */
export async function listObjectsV2(call: BucketCall): Promise<Answer> {
  const { bucket, query, owner } = call
  const startAfter = query.get("start-after") ?? ""
  const token = query.get("continuation-token")
  const listing = await list(call, token === undefined ? startAfter : decodeToken(token, scopeOf(bucket)))
  const { prefix, delimiter, max, encoding, page } = listing
  const { show } = encoding
  const write = (xml: XmlWriter): void => {
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("ContinuationToken", token)
      .text("NextContinuationToken", page.next === undefined ? undefined : encodeToken(page.next, scopeOf(bucket)))
      .text("StartAfter", unlessEmpty(show(startAfter)))
      .text("KeyCount", page.entries.length)
      .text("MaxKeys", max)
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("EncodingType", encoding.type)
      .text("IsTruncated", page.next !== undefined)
    writeEntries(xml, listing, query.get("fetch-owner") === "true" ? owner : undefined)
  }
  return answerXml("ListBucketResult", write, regionHeader(call))
}
