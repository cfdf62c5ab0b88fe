/** ListObjects (both versions): the latest versions in a bucket, ordered by the bytes of their keys. */
import { fail } from "@hayloft/base/failures.js"
import type { ListPage, ListRequest } from "@hayloft/objects/contract.js"
import type { RemoteListPage } from "@hayloft/features/remote-buckets/index.js"
import type { S3Answer, BucketCall } from "../call.js"
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
import type { Encoding } from "./listing.js"
import { isRemote, listRemote } from "./remote-object.js"

interface Listing {
  readonly prefix: string
  readonly delimiter: string
  readonly max: number
  readonly encoding: Encoding
  readonly page: ListPage | RemoteListPage
  readonly elements: ObjectElements
  /** The listing shows where objects of a remote bucket are. */
  readonly showsStatus: boolean
}

/** The place where a listing begins. */
type Start = Pick<ListRequest, "after" | "afterExactly">

async function list(call: BucketCall, start: Start, showsOwners: boolean): Promise<Listing> {
  const { services, bucket, query, accessControl, moment } = call
  const prefix = query.get("prefix") ?? ""
  const delimiter = query.get("delimiter") ?? ""
  const max = maxOf(query, "max-keys")
  const encoding = encodingOf(query)
  const withOwners = showsOwners && (await accessControl.listsApply(bucket))
  const scope = { bucket, prefix, delimiter, ...start, max }
  const { withRestores, withStatus } = optionalAttributesOf(call)
  const page = isRemote(bucket)
    ? await listRemote(call, { ...scope, withStatus })
    : moment === undefined
      ? await services.objects.list({ ...scope, withOwners, withRestores })
      : await services.moments.list({ ...scope, withOwners, withRestores }, moment.atUs)
  const ids = page.entries.map(entry => (entry.kind === "object" ? entry.object.owner : undefined))
  return {
    prefix,
    delimiter,
    max,
    encoding,
    page,
    elements: new ObjectElements(
      showsOwners ? await ownersOf(call, ids) : undefined,
      withRestores ? services.archives : undefined,
    ),
    showsStatus: withStatus,
  }
}

function writeEntries(xml: XmlWriter, { page, elements, showsStatus }: Listing, encoding: Encoding): void {
  for (const entry of page.entries) {
    if (entry.kind !== "object") continue
    const { object } = entry
    const status = showsStatus && "status" in entry ? `<RemoteStatus>${entry.status}</RemoteStatus>` : ""
    xml.raw(`<Contents><Key>${xml.escaped(encoding.show(object.key))}</Key>${elements.of(object)}${status}</Contents>`)
  }
  for (const entry of page.entries) if (entry.kind === "prefix") writeCommonPrefix(xml, entry.prefix, encoding)
}

/** A token is valid for the bucket that issued it, and for the moment of its listing. */
const scopeOf = ({ bucket: { id }, moment }: BucketCall): string =>
  moment === undefined ? `bucket ${id}` : `bucket ${id} at ${moment.atUs}`

/** Before the place in the token of a listing at a moment: whether the next page begins exactly there. */
const [EXACTLY, BEHIND_ENTRY] = ["=", ">"]

function tokenOf(call: BucketCall, { next, ...page }: ListPage | RemoteListPage): string | undefined {
  if (next === undefined) return undefined
  const mark = "isMidway" in page && page.isMidway ? EXACTLY : BEHIND_ENTRY
  return encodeToken(call.moment === undefined ? next : `${mark}${next}`, scopeOf(call))
}

/** Throws `invalidArgument` for a token of another bucket or another moment. */
function startOf(call: BucketCall, token: string): Start {
  const place = decodeToken(token, scopeOf(call))
  if (call.moment === undefined) return { after: place }
  return { after: place.slice(EXACTLY.length), afterExactly: place.startsWith(EXACTLY) }
}

/**
 * The beginning of the next page, as version 1 shows it. At a moment a page may have no entry for a client to name.
 * Throws `invalidRequest` if no marker can say it.
 */
function nextMarkerOf({ moment }: BucketCall, delimiter: string, page: ListPage | RemoteListPage): string | undefined {
  if ("isMidway" in page && page.isMidway)
    throw fail("invalidRequest", {
      message: "So many keys with one common prefix have no object at this moment that the listing needs list-type=2.",
    })
  return delimiter === "" && moment === undefined ? undefined : page.next
}

const regionHeader = (call: BucketCall) => [["x-amz-bucket-region", regionOf(call)]] as const

/** A place that version 1 would ignore: the client would read the first page again and again. Throws `invalidArgument`. */
function refuseStartAfter({ query }: BucketCall): void {
  if ((query.get("start-after") ?? "") === "") return
  throw fail("invalidArgument", {
    message: "startAfter only supported in REST.GET.BUCKET with list-type=2",
    argumentName: "start-after",
  })
}

export async function listObjects(call: BucketCall): Promise<S3Answer> {
  const { bucket, query } = call
  refuseStartAfter(call)
  const marker = query.get("marker") ?? ""
  const listing = await list(call, { after: marker }, true)
  const { prefix, delimiter, max, encoding, page } = listing
  const nextMarker = nextMarkerOf(call, delimiter, page)
  const write = (xml: XmlWriter, shown: Encoding): void => {
    const { type, show } = shown
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("Marker", show(marker))
      .text("NextMarker", nextMarker === undefined ? undefined : show(nextMarker))
      .text("MaxKeys", max)
      .text("Delimiter", unlessEmpty(show(delimiter)))
      .text("EncodingType", type)
      .text("IsTruncated", page.next !== undefined)
    writeEntries(xml, listing, shown)
  }
  return answerListing("ListBucketResult", encoding, write, regionHeader(call))
}

/** Throws `invalidArgument` for a token that this store has not issued. */
export async function listObjectsV2(call: BucketCall): Promise<S3Answer> {
  const { bucket, query } = call
  const startAfter = query.get("start-after") ?? ""
  const token = query.get("continuation-token")
  const start = token === undefined ? { after: startAfter } : startOf(call, token)
  const listing = await list(call, start, query.get("fetch-owner") === "true")
  const { prefix, delimiter, max, encoding, page } = listing
  const write = (xml: XmlWriter, shown: Encoding): void => {
    const { type, show } = shown
    xml
      .text("Name", bucket.name)
      .text("Prefix", show(prefix))
      .text("ContinuationToken", token)
      .text("NextContinuationToken", tokenOf(call, page))
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
