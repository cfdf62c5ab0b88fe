/**
 * Segment lists: the stored bytes of a large object. They name the objects, or parts of objects, whose bytes one after another
 * are those of the large object; a few bytes may be in the list itself.
 *
 * MessagePack, positional: format (1), then the segments. Each is a kind (0: data, 1: object, 2: large object), then the bytes,
 * or container, key, ETag, size, content type and time of modification of the object, and the first and the last byte of its
 * range (absent: all of it). Container and key are byte strings.
 */
import { fail } from "@hayloft/base/failures.js"
import {
  BYTES,
  group,
  listOf,
  mapped,
  NUMBER,
  recordOf,
  row,
  tail,
  TEXT,
  union,
  type RowOf,
} from "../encoding/fields.js"
import type { ValueOf } from "../encoding/fields.js"

/**
 * Earlier releases accepted large objects of any size: what is no exact number of bytes is shown as the largest one, since an
 * answer needs digits.
 */
export const exactBytes = (sizeBytes: number): number => Math.min(sizeBytes, Number.MAX_SAFE_INTEGER)

const SPAN = group({ first: NUMBER, last: NUMBER })
export type ByteSpan = ValueOf<typeof SPAN>

/** An object of which a large object consists, as it was when that was written. */
const OBJECT = {
  container: TEXT,
  key: TEXT,
  /** The ETag that clients saw, without quotes. */
  etag: TEXT,
  sizeBytes: mapped(NUMBER, exactBytes, sizeBytes => sizeBytes),
  contentType: TEXT,
  lastModifiedMs: NUMBER,
  /** The span is undefined for all of the object. */
  span: tail(SPAN),
}
export type SegmentObject = { readonly kind: "object"; readonly isLarge: boolean } & RowOf<typeof OBJECT>

export type Segment = SegmentObject | { readonly kind: "data"; readonly bytes: Uint8Array }

const STORED = union({ data: { bytes: BYTES }, object: OBJECT, largeObject: OBJECT })

const SEGMENT = mapped<ValueOf<typeof STORED>, Segment>(
  STORED,
  stored => (stored.kind === "data" ? stored : { ...stored, kind: "object", isLarge: stored.kind === "largeObject" }),
  segment => (segment.kind === "object" && segment.isLarge ? { ...segment, kind: "largeObject" } : segment),
)

const SEGMENT_LIST = recordOf("segment list", listOf(row(SEGMENT)))
export const { encode: encodeSegmentList } = SEGMENT_LIST

export const lengthOfSegment = (segment: Segment): number => {
  if (segment.kind === "data") return segment.bytes.length
  return segment.span === undefined ? segment.sizeBytes : segment.span.last - segment.span.first + 1
}

/** Throws `corruptRecord`, also if the list is not one of `sizeBytes`. */
export function decodeSegmentList(bytes: Uint8Array, sizeBytes: number): readonly Segment[] {
  const segments = SEGMENT_LIST.decode(bytes)
  const found = exactBytes(segments.reduce((sum, segment) => sum + lengthOfSegment(segment), 0))
  if (found !== sizeBytes) throw fail("corruptRecord", { what: "segment list", sizeBytes, found })
  return segments
}
