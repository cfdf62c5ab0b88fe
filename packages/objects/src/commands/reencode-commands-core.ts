/**
 * Commands of re-encoding. An intent announces new needles of an upload before the first is written. The swap consumes
 * it: one step makes every row that references the upload's bytes reference the new blocks, and makes the old ones a
 * pending deletion. Giving up consumes it too, and makes the new blocks a pending deletion. Pure.
 *
 * Promises  Each re-encoding of an upload has a generation of its own, so that a needle id never stands for different
 *           bytes, whichever processes re-encode. Needles of a generation are referenced only by the swap of their intent.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId, type RowKey } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import { memberOf } from "@hayloft/engine/format/encoding/fields.js"
import { packRecord } from "@hayloft/engine/format/encoding/pack.js"
import { EXTENT, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeIntent, encodeIntent, type IntentRecord } from "@hayloft/engine/format/objects/intent.js"
import { encodePart, encodeSegment } from "@hayloft/engine/format/records.js"
import { objectRowKey, parseObjectRowKey, uploadOfRowKey, uploadRowKey } from "@hayloft/engine/format/row-key.js"
import {
  command,
  query,
  type DecisionTime,
  type CommandView,
  type RowView,
  type Touches,
} from "@hayloft/engine/metadata/index.js"
import type { BlockRun } from "@hayloft/engine/block/index.js"
import { ALL_OBJECT_ROWS } from "../queries/extent-rows.js"
import { referencesRowKey, referencesTo } from "../queries/manifest-core.js"
import { namingsOf, type Naming, type UploadName } from "../queries/named-extents-core.js"
import { versionOfSegments } from "../queries/versions-of-bytes-core.js"
import { findUpload, isBeingCompleted } from "./multipart-commands-core.js"
import { RowEditor } from "./row-editor-core.js"

/** Generations are 16 bits of a needle's id. */
const GENERATION_MAX = 0xffff

const intentKey = ({ bucketId, key, uploadId }: UploadName): RowKey =>
  uploadRowKey(objectRowKey(bucketId, key), uploadId)

/** The rows that decisions about an upload's bytes read first. */
export const touchesOfUpload = (name: UploadName): Touches => [
  ["current", objectRowKey(name.bucketId, name.key)],
  ["intents", intentKey(name)],
]

function findIntent(view: RowView, name: UploadName): IntentRecord | undefined {
  const row = view.get("intents", intentKey(name))
  return row && decodeIntent(row.value)
}

/** The extent whose needles are being written, if the upload is being re-encoded. */
export function intendedExtent(view: RowView, name: UploadName): Extent | undefined {
  const intent = findIntent(view, name)
  return intent?.state === "underWay" ? intent.extent : undefined
}

/** Only its own process swaps or gives up an intent, until that process is over. */
const isForeign = ({ incarnation }: IntentRecord, { incarnations }: Pick<DecisionTime, "incarnations">): boolean =>
  incarnation !== incarnations.own && !incarnations.isOver(incarnation)

interface BeginReencoding extends UploadName {
  readonly from: Extent
  readonly policy: Policy
  readonly runs: readonly BlockRun[]
  /** The generation is above this: earlier versions of the program used generations up to it. */
  readonly generationFloor: number
  /** The stored length of the new extent, which is sealed. Undefined: it is as long as it was. */
  readonly sealedLengthBytes?: number | undefined
}

/**
 * Announces a re-encoding and returns the generation of its needles. Undefined if rows reference the upload no longer,
 * or in another place. Throws `conflict` while another process re-encodes it or a completion has read it, and for an
 * upload that has used up its generations.
 *
 * A row of an intent that is absent may have been present since it was read only if a swap has removed it, which has
 * also changed every row that references the upload; this decision reads those.
 */
export const beginReencoding = command<[begin: BeginReencoding], number | undefined>({
  name: "BeginReencoding",
  touches: touchesOfUpload,
  decide(view, time, begin) {
    const { bucketId, key, from, policy, runs, sealedLengthBytes: lengthBytes } = begin
    const namings = [...namingsOf(view, begin)]
    const isKeptAt = (naming: Naming): boolean => isKept(view, begin, naming)
    if (!namings.some(isKeptAt) || !namings.every(({ extent }) => isSame(extent, from))) return NOTHING
    if (namings.some(naming => isPartOfCompletion(view, time, begin, naming))) throw fail("conflict")
    const before = findIntent(view, begin)
    if (before?.state === "underWay" && isForeign(before, time)) throw fail("conflict")
    const used = [begin.generationFloor, before?.extent.generation ?? 0, ...generationsOf(from)]
    const generation = Math.max(...used) + 1
    if (generation > GENERATION_MAX) throw fail("conflict", { message: "the upload has no generation left" })
    const editor = new RowEditor(view, time, bucketId, key)
    if (before?.state === "underWay") releaseIntended(editor, before)
    const same: Extent = { ...from, policy, generation, exceptions: [] }
    const extent: Extent = lengthBytes === undefined ? same : { ...same, lengthBytes, isSealed: true }
    const { own: incarnation } = time.incarnations
    editor.put("intents", intentKey(begin), encodeIntent({ incarnation, state: "underWay", extent, runs }))
    return { ...editor.finish(), result: generation }
  },
})

const NOTHING = { writes: [], result: undefined } as const

const generationsOf = ({ generation, exceptions }: Extent): readonly number[] => [
  generation,
  ...exceptions.map(exception => exception.generation),
]

/** Nothing but the generation counts any more. */
const givenUp = (intent: IntentRecord): IntentRecord => ({ ...intent, state: "givenUp", runs: [] })

function releaseIntended(editor: RowEditor, { extent, runs }: IntentRecord): void {
  if (runs.length > 0) editor.deleteLater({ kind: "blocks", bucketId: editor.bucketId, key: editor.key, extent, runs })
}

/**
 * Gives up a re-encoding of this process, or of one that is over. Its generation stays recorded while a row references
 * the upload.
 */
export const giveUpReencoding = command<[name: UploadName], void>({
  name: "GiveUpReencoding",
  grows: false,
  touches: touchesOfUpload,
  decide(view, time, name) {
    const intent = findIntent(view, name)
    if (intent === undefined || (intent.state === "underWay" && isForeign(intent, time))) return NOTHING
    const isReferenced = !namingsOf(view, name).next().done
    if (intent.state === "givenUp" && isReferenced) return NOTHING
    const editor = new RowEditor(view, time, name.bucketId, name.key)
    if (intent.state === "underWay") releaseIntended(editor, intent)
    const left = isReferenced ? encodeIntent(givenUp(intent)) : undefined
    editor.put("intents", intentKey(name), left)
    return { ...editor.finish(), result: undefined }
  },
})

/** Uploads with an intent that is no live process's, from a row on, and where to continue. */
export const leftIntents = query("LeftIntents", (view, start: RowKey, rowsMax: number) => {
  const left: UploadName[] = []
  let rows = 0
  for (const [rowKey, { value }] of view.range("intents", { ...ALL_OBJECT_ROWS, start })) {
    if (rows === rowsMax) return { left, next: rowKey }
    rows += 1
    const { bucketId, key } = parseObjectRowKey(rowKey)
    const intent = decodeIntent(value)
    if (intent.state === "underWay" && isForeign(intent, view)) continue
    left.push({ bucketId: parseBucketId(bucketId), key, uploadId: uploadOfRowKey(rowKey) })
  }
  return { left, next: undefined }
})

export interface SwapExtent extends UploadName {
  /** The generation of the intent: that of all new blocks. */
  readonly generation: number
  readonly from: Extent
  readonly to: Extent
  /** Blocks of `from` that are stored elsewhere in `to`. */
  readonly replaced: readonly BlockRun[]
}

/**
 * Throws `conflict` if the intent is gone, if a row references anything but exactly the old extent, if only rows that
 * wait for the collector reference it, or if a completion is about to write what it has read.
 */
export const swapExtent = command<[swap: SwapExtent], void>({
  name: "SwapExtent",
  touches: touchesOfUpload,
  decide: (view, time, swap) => ({ ...swapRows(view, time, swap, () => true).finish(), result: undefined }),
})

/** The swap, if every row that references the extent `may` reference the new one. Throws as `swapExtent`. */
export function swapRows(
  view: CommandView,
  time: DecisionTime,
  swap: SwapExtent,
  may: (naming: Naming) => boolean,
): RowEditor {
  const { bucketId, key, from, to, generation, replaced } = swap
  const intent = findIntent(view, swap)
  if (intent?.state !== "underWay" || intent.extent.generation !== generation) throw fail("conflict")
  const namings = [...namingsOf(view, swap)]
  if (!namings.some(naming => isKept(view, swap, naming))) throw fail("conflict")
  const editor = new RowEditor(view, time, bucketId, key)
  for (const naming of namings) {
    if (!isSame(naming.extent, from) || isPartOfCompletion(view, time, swap, naming)) throw fail("conflict")
    if (!may(naming)) throw fail("conflict")
    rename(editor, naming, to)
  }
  // Without new blocks the extent does not show that the generation, and those given up before it, were used.
  const isShown = generationsOf(to).includes(generation)
  editor.put("intents", intentKey(swap), isShown ? undefined : encodeIntent(givenUp(intent)))
  const owner = { bucketId, key, extent: from }
  const last = replaced.at(-1)
  const isAll = replaced.length === 1 && replaced[0]?.firstBlock === 0 && isLastBlock(from, last)
  if (isAll) editor.deleteLater({ kind: "extent", ...owner })
  else if (replaced.length > 0) editor.deleteLater({ kind: "blocks", ...owner, runs: replaced })
  return editor
}

const isLastBlock = ({ lengthBytes, blockBytes }: Extent, run: BlockRun | undefined): boolean =>
  run?.lastBlock === Math.ceil(lengthBytes / blockBytes) - 1

const bytesOf = (extent: Extent): Uint8Array => packRecord(1, [memberOf(EXTENT, extent)])
const isSame = (a: Extent, b: Extent): boolean => equalBytes(bytesOf(a), bytesOf(b))

/** A completion in progress has read the part, and will write what it read into a segment. */
function isPartOfCompletion(view: RowView, time: DecisionTime, { bucketId, key }: UploadName, naming: Naming): boolean {
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
  if (naming.family !== "segments") return true
  const { multipartId } = naming
  if (versionOfSegments(view, objectRowKey(bucketId, key), multipartId) !== undefined) return true
  return referencesTo(view, referencesRowKey(bucketId, { key, multipartId })) !== undefined
}

function rename(editor: RowEditor, naming: Naming, extent: Extent): void {
  switch (naming.family) {
    case "current":
    case "versions":
    case "deleted": {
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
      const { parts } = naming.record
      const renamed = parts.map(part => (part.extent.uploadId === extent.uploadId ? { ...part, extent } : part))
      editor.put("segments", naming.rowKey, encodeSegment({ ...naming.record, parts: renamed }))
    }
  }
}
