/**
 * Seen markers of K2V polls of ranges: what a client has seen of which range, as opaque text.
 *
 * Refuses  `invalidArgument`: text that no store gave. A marker proves nothing: a client that changes one misleads itself.
 */
import { bytesOfBase64Url } from "../base/bytes.js"
import { parseBucketId, type BucketId, type ItemKey } from "../base/ids.js"
import { fail, unlessRefused } from "../base/failures.js"
import { parseStoredItemKey } from "./k2v-rows.js"
import { packRecord, RecordReader } from "./pack.js"

export interface K2vMarker {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  readonly prefix: ItemKey | undefined
  readonly start: ItemKey | undefined
  readonly end: ItemKey | undefined
  /** Changes up to this time were seen. */
  readonly time: number
  /** The items that existed at that time were seen below this key; it is undefined if all of them were seen. */
  readonly from: ItemKey | undefined
}

const MARKER_CHARACTERS_MAX = 8_000

const packKey = (key: ItemKey | undefined): unknown => (key === undefined ? null : Buffer.from(key, "latin1"))

export function encodeMarker({ bucketId, partition, prefix, start, end, time, from }: K2vMarker): string {
  const members = [bucketId, packKey(partition), time, ...[prefix, start, end, from].map(packKey)]
  return Buffer.from(packRecord(1, members)).toString("base64url")
}

const keyOf = (bytes: Uint8Array): ItemKey => parseStoredItemKey(Buffer.from(bytes).toString("latin1"))

function read(bytes: Uint8Array): K2vMarker {
  const row = RecordReader.open("marker", bytes, 1)
  const key = (): ItemKey | undefined => row.optional(() => keyOf(row.bytes()))
  const [bucketId, partition, time] = [parseBucketId(row.number()), keyOf(row.bytes()), row.number()]
  return { bucketId, partition, time, prefix: key(), start: key(), end: key(), from: key() }
}

/** Throws `invalidArgument`. */
export function decodeMarker(text: string): K2vMarker {
  const bytes = text.length <= MARKER_CHARACTERS_MAX ? bytesOfBase64Url(text) : undefined
  const marker = bytes && unlessRefused(() => read(bytes))
  if (marker !== undefined && Number.isSafeInteger(marker.time) && marker.time >= 0) return marker
  throw fail("invalidArgument", { message: "The seen marker is not valid." })
}
