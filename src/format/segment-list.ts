/**
 * Segment lists: the stored bytes of a large object. They name the objects, or parts of objects, whose bytes one after another
 * are those of the large object; a few bytes may be in the list itself.
 *
 * MessagePack, positional: format (1), then the segments. Each is a kind (0: data, 1: object, 2: large object), then the bytes,
 * or container, key, ETag, size, content type and time of modification of the object, and the first and the last byte of its
 * range (absent: all of it). Container and key are byte strings.
 */
import { fail } from "../base/failures.js"
import { packRecord, RecordReader } from "./pack.js"

export interface ByteSpan {
  readonly first: number
  readonly last: number
}

/** An object of which a large object consists, as it was when that was written. */
export interface SegmentObject {
  readonly kind: "object"
  readonly container: string
  readonly key: string
  /** As clients were told, without quotes. */
  readonly etag: string
  readonly sizeBytes: number
  readonly contentType: string
  readonly lastModifiedMs: number
  readonly isLarge: boolean
  /** The span is undefined for all of the object. */
  readonly span: ByteSpan | undefined
}

export type Segment = SegmentObject | { readonly kind: "data"; readonly bytes: Uint8Array }

const FORMAT = 1
/**
 * Earlier releases accepted large objects of any size: what is no exact number of bytes is shown as the largest one, since an
 * answer needs digits.
 */
export const exactBytes = (sizeBytes: number): number => Math.min(sizeBytes, Number.MAX_SAFE_INTEGER)

const [DATA, OBJECT, LARGE_OBJECT] = [0, 1, 2]

export const lengthOfSegment = (segment: Segment): number => {
  if (segment.kind === "data") return segment.bytes.length
  return segment.span === undefined ? segment.sizeBytes : segment.span.last - segment.span.first + 1
}

function packSegment(segment: Segment): readonly unknown[] {
  if (segment.kind === "data") return [DATA, segment.bytes]
  const { container, key, etag, sizeBytes, contentType, lastModifiedMs, isLarge, span } = segment
  const described = [isLarge ? LARGE_OBJECT : OBJECT, container, key, etag, sizeBytes, contentType, lastModifiedMs]
  return span === undefined ? described : [...described, span.first, span.last]
}

function readSegment(row: RecordReader): Segment {
  const kind = row.number()
  if (kind === DATA) return { kind: "data", bytes: row.bytes() }
  if (kind !== OBJECT && kind !== LARGE_OBJECT) throw fail("corruptRecord", { what: "segment", kind })
  const isLarge = kind === LARGE_OBJECT
  const [container, key, etag, sizeBytes] = [row.text(), row.text(), row.text(), exactBytes(row.number())]
  const [contentType, lastModifiedMs] = [row.text(), row.number()]
  const first = row.optional(() => row.number())
  const span = first === undefined ? undefined : { first, last: row.number() }
  return { kind: "object", container, key, etag, sizeBytes, contentType, lastModifiedMs, isLarge, span }
}

export const encodeSegmentList = (segments: readonly Segment[]): Uint8Array =>
  packRecord(FORMAT, [segments.map(packSegment)])

/** Throws `corruptRecord`, also if the list is not one of `sizeBytes`. */
export function decodeSegmentList(bytes: Uint8Array, sizeBytes: number): readonly Segment[] {
  const segments = RecordReader.open("segment list", bytes, FORMAT).rows(readSegment)
  const found = exactBytes(segments.reduce((sum, segment) => sum + lengthOfSegment(segment), 0))
  if (found !== sizeBytes) throw fail("corruptRecord", { what: "segment list", sizeBytes, found })
  return segments
}
