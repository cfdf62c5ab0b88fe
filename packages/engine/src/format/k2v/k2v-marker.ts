/**
 * Seen markers of K2V polls of ranges: what a client has seen of which range, as opaque text.
 *
 * Refuses  `invalidArgument`: text that no store gave. A marker proves nothing: a client that changes one misleads itself.
 */
import { bytesOfBase64Url } from "@hayloft/base/bytes.js"
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { optional, record, whole, type ValueOf } from "../encoding/fields.js"
import { BUCKET_ID } from "../encoding/id-fields.js"
import { ITEM_KEY } from "./k2v-rows.js"

const MARKER = record("marker", {
  bucketId: BUCKET_ID,
  partition: ITEM_KEY,
  /** Changes up to this time were seen. */
  time: whole(),
  prefix: optional(ITEM_KEY),
  start: optional(ITEM_KEY),
  end: optional(ITEM_KEY),
  /** The items that existed at that time were seen below this key; it is undefined if all of them were seen. */
  from: optional(ITEM_KEY),
})
export type K2vMarker = ValueOf<typeof MARKER>

const MARKER_CHARACTERS_MAX = 8_000

export const encodeMarker = (marker: K2vMarker): string => Buffer.from(MARKER.encode(marker)).toString("base64url")

/** Throws `invalidArgument`. */
export function decodeMarker(text: string): K2vMarker {
  const bytes = text.length <= MARKER_CHARACTERS_MAX ? bytesOfBase64Url(text) : undefined
  const marker = bytes && unlessRefused(() => MARKER.decode(bytes))
  if (marker !== undefined) return marker
  throw fail("invalidArgument", { message: "The seen marker is not valid." })
}
