/** ListObjects (both versions): the latest versions in a bucket, ordered by the bytes of their keys. */
import type { Bucket, ListPage } from "../../object/contract.js"
import type { RemoteListPage } from "../../origin/index.js"
import type { Answer, BucketCall } from "../call.js"
import { regionOf } from "./buckets.js"
import { decodeToken, encodeToken } from "../wire/tokens.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import {
  answerListing,
  encodingOf,
  maxOf,
  ownersOf,
  optionalAttributesOf,
  unlessEmpty,
  writeCommonPrefix,
  ObjectElements,
} from "./listing.js"
import type { Encoding, Owners } from "./listing.js"
import { isRemote, listRemote } from "./remote-object.js"

interface Listing {
  readonly prefix: string
  readonly delimiter: string
  readonly max: number
  readonly encoding: Encoding
  readonly page: ListPage | RemoteListPage
  /** Undefined omits the owners. */
  readonly owners: Owners | undefined
  /** Where objects of a remote bucket are. */
  readonly showsStatus: boolean
}

async function list(call: BucketCall, after: string, showsOwners: boolean): Promise<Listing> {
  const { services, bucket, query, accessControl } = call
  const prefix = query.get("prefix") ?? ""
  const delimiter = query.get("delimiter") ?? ""
  const max = maxOf(query, "max-keys")
  const encoding = encodingOf(query)
  const withOwners = showsOwners && (await accessControl.listsApply(bucket))
  const scope = { bucket, prefix, delimiter, after, max }
  const { withRestores, withStatus } = optionalAttributesOf(call)
  const page = isRemote(bucket)
    ? await listRemote(call, { ...scope, withStatus })
    : await services.objects.list({ ...scope, withOwners, withRestores })
  const ids = page.entries.map(entry => (entry.kind === "object" ? entry.object.owner : undefined))
  return {
    prefix,
    delimiter,
    max,
    encoding,
    page,
    owners: showsOwners ? await ownersOf(call, ids) : undefined,
    showsStatus: withStatus,
  }
}

function writeEntries(xml: XmlWriter, { page, owners, showsStatus }: Listing, encoding: Encoding): void {
  const elements = new ObjectElements(owners)
  for (const entry of page.entries) {
    if (entry.kind !== "object") continue
    const { object } = entry
    const status = showsStatus && "status" in entry ? `<RemoteStatus>${entry.status}</RemoteStatus>` : ""
    xml.raw(`<Contents><Key>${xml.escaped(encoding.show(object.key))}</Key>${elements.of(object)}${status}</Contents>`)
  }
  for (const entry of page.entries) if (entry.kind === "prefix") writeCommonPrefix(xml, entry.prefix, encoding)
}

/** A token is valid for the bucket that issued it. */
const scopeOf = ({ id }: Bucket): string => `bucket ${id}`

const regionHeader = (call: BucketCall) => [["x-amz-bucket-region", regionOf(call)]] as const

export async function listObjects(call: BucketCall): Promise<Answer> {
  const { bucket, query } = call
  const marker = query.get("marker") ?? ""
  const listing = await list(call, marker, true)
  const { prefix, delimiter, max, encoding, page } = listing
  const write = (xml: XmlWriter, shown: Encoding): void => {
    const { type, show } = shown
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("Marker", show(marker))
      .text("NextMarker", delimiter === "" || page.next === undefined ? undefined : show(page.next))
      .text("MaxKeys", max)
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("EncodingType", type)
      .text("IsTruncated", page.next !== undefined)
    writeEntries(xml, listing, shown)
  }
  return answerListing("ListBucketResult", encoding, write, regionHeader(call))
}

/** Throws `invalidArgument` for a token that this store has not issued. */
export async function listObjectsV2(call: BucketCall): Promise<Answer> {
  const { bucket, query } = call
  const startAfter = query.get("start-after") ?? ""
  const token = query.get("continuation-token")
  const after = token === undefined ? startAfter : decodeToken(token, scopeOf(bucket))
  const listing = await list(call, after, query.get("fetch-owner") === "true")
  const { prefix, delimiter, max, encoding, page } = listing
  const write = (xml: XmlWriter, shown: Encoding): void => {
    const { type, show } = shown
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("ContinuationToken", token)
      .text("NextContinuationToken", page.next === undefined ? undefined : encodeToken(page.next, scopeOf(bucket)))
      .text("StartAfter", unlessEmpty(show(startAfter)))
      .text("KeyCount", page.entries.length)
      .text("MaxKeys", max)
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("EncodingType", type)
      .text("IsTruncated", page.next !== undefined)
    writeEntries(xml, listing, shown)
  }
  return answerListing("ListBucketResult", encoding, write, regionHeader(call))
}
