/**
 * Swapping an extent: one step makes every row that references an upload's bytes reference the new blocks, and makes
 * the old ones a pending deletion. Pure.
 */
import { equalBytes } from "../../base/bytes.js"
import { fail } from "../../base/failures.js"
import type { MultipartId } from "../../base/ids.js"
import { packRecord } from "../../format/pack.js"
import { packExtent, type Extent } from "../../format/extent.js"
import { encodePart, encodeSegment } from "../../format/records.js"
import { objectRowKey, suffixRange } from "../../format/row-key.js"
import { decodeVersion } from "../../format/version-record.js"
import { command, type DecisionTime, type RowView } from "../../metadata/index.js"
import type { BlockRun } from "../../block/index.js"
import { namingsOf, type Naming, type UploadName } from "../queries/named-extents-core.js"
import { findUpload, isBeingCompleted } from "./multipart-commands-core.js"
import { RowEditor } from "./row-editor-core.js"

interface SwapExtent extends UploadName {
  readonly from: Extent
  readonly to: Extent
  /** Blocks of `from` that are stored elsewhere in `to`. */
  readonly replaced: readonly BlockRun[]
}

/**
 * Throws `conflict` if a row references anything but exactly the old extent, if only rows that wait for the collector
 * reference it, or if a completion is about to write what it has read.
 */
export const swapExtent = command<[swap: SwapExtent], void>({
  name: "SwapExtent",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, swap) {
    const { bucketId, key, from, to, replaced } = swap
    const namings = [...namingsOf(view, swap)]
    if (!namings.some(naming => isKept(view, swap, naming))) throw fail("conflict")
    const editor = new RowEditor(view, time, bucketId, key)
    for (const naming of namings) {
      if (!isSame(naming.extent, from) || isPartOfCompletion(view, time, swap, naming)) throw fail("conflict")
      rename(editor, naming, to)
    }
    const owner = { bucketId, key, extent: from }
    const last = replaced.at(-1)
    const isAll = replaced.length === 1 && replaced[0]?.firstBlock === 0 && isLastBlock(from, last)
    if (isAll) editor.release({ kind: "extent", ...owner })
    else if (replaced.length > 0) editor.release({ kind: "blocks", ...owner, runs: replaced })
    return { ...editor.finish(), result: undefined }
  },
})

const isLastBlock = ({ lengthBytes, blockBytes }: Extent, run: BlockRun | undefined): boolean =>
  run?.lastBlock === Math.ceil(lengthBytes / blockBytes) - 1

const isSame = (a: Extent, b: Extent): boolean => equalBytes(packRecord(1, packExtent(a)), packRecord(1, packExtent(b)))

/** A completion in progress has read the part, and will write what it read into a segment. */
function isPartOfCompletion(view: RowView, time: DecisionTime, { bucketId, key }: SwapExtent, naming: Naming): boolean {
  if (naming.family !== "parts") return false
  const upload = findUpload(view, { bucketId, key, multipartId: naming.multipartId })
  return upload !== undefined && isBeingCompleted(upload, time)
}

/** False for rows that wait for the collector: they reference bytes too, but not for long. */
export function isKept(view: RowView, { bucketId, key }: UploadName, naming: Naming): boolean {
  if (naming.family === "parts") {
    const { multipartId } = naming
    return findUpload(view, { bucketId, key, multipartId }) !== undefined
  }
  return naming.family !== "segments" || hasVersion(view, { bucketId, key }, naming.multipartId)
}

/** Whether a version consists of this multipart upload's segments. */
function hasVersion(
  view: RowView,
  { bucketId, key }: Pick<UploadName, "bucketId" | "key">,
  multipartId: MultipartId,
): boolean {
  const stem = objectRowKey(bucketId, key)
  for (const family of ["current", "versions"] as const) {
    for (const [, { value }] of view.range(family, { ...suffixRange(stem), presentOnly: true })) {
      const { content } = decodeVersion(value)
      if (content.kind === "segments" && content.multipartId === multipartId) return true
    }
  }
  return false
}

function rename(editor: RowEditor, naming: Naming, extent: Extent): void {
  switch (naming.family) {
    case "current":
    case "versions": {
      const { family, rowKey, row, record } = naming
      editor.rewrite({ head: record.head, family, rowKey, row }, before => ({
        ...before,
        content: { kind: "extent", extent },
      }))
      return
    }
    case "parts":
      editor.put("parts", naming.rowKey, encodePart({ ...naming.record, extent }))
      return
    case "segments": {
      const { offsetBytes, parts } = naming.record
      const renamed = parts.map(part => (part.extent.uploadId === extent.uploadId ? { ...part, extent } : part))
      editor.put("segments", naming.rowKey, encodeSegment({ offsetBytes, parts: renamed }))
    }
  }
}
