/**
 * Segments that are found by their offset: those of an object that grows, or has the bytes of others. Pure.
 *
 * The object's bytes are in segments from the first change on that needs them there. An object that was one extent keeps it as
 * its first part; one that was uploaded in parts keeps the segments of its upload. The last segment of an object that grows may
 * be open (`SegmentRecord.isOpen`): its parts are copies, which are sealed into erasure-coded blocks later.
 */
import { fail } from "@hayloft/base/failures.js"
import type { MultipartId } from "@hayloft/base/ids.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeSegment, encodeSegment, type PartRecord, type SegmentRecord } from "@hayloft/engine/format/records.js"
import { offsetRowKey } from "@hayloft/engine/format/row-key.js"
import type { ByOffset, Content, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { CommandView } from "@hayloft/engine/metadata/index.js"
import type { RowEditor } from "./row-editor-core.js"

/** Bytes that become a segment. */
export interface SegmentBytes {
  readonly extent: Extent
  readonly lengthBytes: number
  /** Base64, by the algorithm of the request. */
  readonly checksumValue: string | undefined
  /** Its blocks are copies, of which several are sealed together. */
  readonly isOpen: boolean
}

/** The content of an inline object, in blocks; `order`: of the version that had it. */
export interface MovedBytes {
  readonly order: number
  readonly bytes: SegmentBytes
}

interface LastSegment extends Omit<ByOffset, "lastOffset"> {
  readonly multipartId: MultipartId
  /** The last segment is undefined if none is found by its offset. */
  readonly last: SegmentRecord | undefined
}

/** The last segment, and those that the object's bytes are in from now on. */
export function lastSegment(
  view: CommandView,
  editor: RowEditor,
  nowMs: number,
  { moved }: { readonly moved: MovedBytes | undefined },
  { head, content }: VersionRecord,
  newId: MultipartId,
): LastSegment {
  switch (content.kind) {
    case "none":
      throw fail("internal", { reason: "a delete marker is no object" })
    case "inline": {
      if (head.sizeBytes === 0) return { multipartId: newId, last: undefined, uploadedParts: 0 }
      if (moved?.order !== head.order) throw fail("conflict")
      const last: SegmentRecord = {
        offsetBytes: 0,
        parts: [segmentPart(moved.bytes.extent, nowMs)],
        ...openIf(moved.bytes),
      }
      // A row of its own, in case the next part does not go with it.
      putSegment(editor, newId, last)
      return { multipartId: newId, last, uploadedParts: 0 }
    }
    case "extent": {
      const { extent } = content
      const bytes = { extent, lengthBytes: head.sizeBytes, checksumValue: undefined, isOpen: false }
      if (head.sizeBytes === 0) {
        editor.deleteLater({ kind: "extent", bucketId: editor.bucketId, key: editor.key, extent })
        return { multipartId: newId, last: undefined, uploadedParts: 0 }
      }
      const last: SegmentRecord = { offsetBytes: 0, parts: [segmentPart(bytes.extent, nowMs)] }
      putSegment(editor, newId, last)
      return { multipartId: newId, last, uploadedParts: 0 }
    }
    case "segments": {
      const { multipartId, byOffset } = content
      if (byOffset === undefined) return { multipartId, last: undefined, uploadedParts: head.parts }
      const row = view.get("segments", offsetRowKey(editor.row, multipartId, byOffset.lastOffset))
      const { lastOffset: _, ...segments } = byOffset
      return { multipartId, last: row && decodeSegment(row.value), ...segments }
    }
  }
}

export const openIf = ({ isOpen }: SegmentBytes): { isOpen?: true } => (isOpen ? { isOpen } : {})

export const segmentsOf = (multipartId: MultipartId, byOffset: ByOffset): Content => ({
  kind: "segments",
  multipartId,
  completion: NO_TOKEN,
  byOffset,
})

/** No completion is recognised by it. */
const NO_TOKEN = new Uint8Array(0)
const NO_MD5 = new Uint8Array(16)

/** A part that is the first of a segment, unless the segment has some. */
export const segmentPart = (extent: Extent, modifiedMs: number, before = 0): PartRecord => ({
  partNumber: before + 1,
  md5: NO_MD5,
  modifiedMs,
  checksumValue: undefined,
  extent,
})

export function putSegment(editor: RowEditor, multipartId: MultipartId, segment: SegmentRecord): void {
  editor.put("segments", offsetRowKey(editor.row, multipartId, segment.offsetBytes), encodeSegment(segment))
}
