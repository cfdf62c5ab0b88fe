/** Selects what a listing shows of the entries between its bounds, and writes its answer. */
import type { S3Answer } from "../s3/index.js"
import type { SwiftRequest } from "./requests.js"
import { emptyEntity, headerLinesOf } from "./answers.js"
import { formatOf, LISTING_TYPES, writeListing, type ListingRequest } from "./listing-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/**
 * The entries that a listing shows, of all between its bounds in their usual order. In reverse it reads all of them, and holds
 * twice as many as it returns.
 */
export async function entriesOf<Entry>(
  all: AsyncIterable<Entry>,
  { limit, isReverse }: Pick<ListingRequest, "limit" | "isReverse">,
): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  if (limit === 0) return entries
  for await (const entry of all) {
    entries.push(entry)
    if (!isReverse && entries.length === limit) return entries
    if (entries.length > 2 * limit) entries.splice(0, entries.length - limit)
  }
  return isReverse ? entries.slice(-limit).reverse() : entries
}

/** The answer to a HEAD: the type is that of the listing. Throws `invalidRequest`. */
export const headAnswer = ({ query, exchange }: SwiftRequest, fields: readonly HeaderField[]): S3Answer =>
  emptyEntity([["Content-Type", LISTING_TYPES[formatOf(query, exchange.header("accept"))]], ...fields])

/** An answer with a listing: without content if it is an empty text. */
export function listingAnswer(
  { format }: ListingRequest,
  of: Parameters<typeof writeListing>[1],
  entries: Parameters<typeof writeListing>[2],
  fields: readonly HeaderField[],
): S3Answer {
  const text = writeListing(format, of, entries)
  if (text === "") return emptyEntity([["Content-Type", LISTING_TYPES[format]], ...fields])
  const bytes = new TextEncoder().encode(text)
  return { status: 200, headers: headerLinesOf(fields), body: { kind: "document", type: LISTING_TYPES[format], bytes } }
}
