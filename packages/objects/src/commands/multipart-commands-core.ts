/**
 * Commands on multipart uploads. Pure.
 *
 * Completion is `sealUpload` (freezes the part list under a token) → `putSegments` in bounded steps →
 * `completeUpload` (small, atomic; conditions are checked here). A repeated completion is recognised by its token in
 * the version that it created, until a later write to the key.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { bytesOfByteString, parseIncarnation } from "@hayloft/base/ids.js"
import type { BucketId, MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import { PARTS_MAX } from "@hayloft/base/limits.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  bucketRowKey,
  multipartRowKey,
  objectRowKey,
  partRowKey,
  segmentRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import {
  decodePart,
  decodeSegment,
  decodeUpload,
  encodePart,
  encodeSegment,
  encodeUpload,
  type UploadedPart,
  type SegmentRecord,
  type UploadRecord,
} from "@hayloft/engine/format/records.js"
import { sourcesOf } from "../queries/manifest-core.js"
import { isSameSealing, plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { command, type CommandView, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import type { Conditions } from "../contract.js"
import { decisionOf, type Edited } from "./edited-core.js"
import { expiryClock } from "./expiry-core.js"
import { clocksOf, lockOfNew } from "./lock-core.js"
import { requireBucket } from "./bucket-rows-core.js"
import { RowEditor } from "./row-editor-core.js"
import type { NewVersion } from "./row-editor-core.js"
import { countedBy } from "./usage-core.js"
import { checkWrite, checkOwnUpload, hintRowKey, type MissingShardHint, type Stored } from "./version-commands-core.js"

export interface UploadAddress {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
}

export const addressKeyOf = ({ bucketId, key, multipartId }: UploadAddress) =>
  multipartRowKey(objectRowKey(bucketId, key), multipartId)

export const partKey = ({ bucketId, key, multipartId }: UploadAddress, part: number) =>
  partRowKey(objectRowKey(bucketId, key), multipartId, part)

export function findUpload(view: RowView, address: UploadAddress): UploadRecord | undefined {
  const row = view.get("uploads", addressKeyOf(address))
  return row && decodeUpload(row.value)
}

export function requireUpload(view: RowView, address: UploadAddress): UploadRecord {
  const upload = findUpload(view, address)
  if (!upload) throw fail("noSuchUpload")
  return upload
}

/** Parts above `after`, in order. */
export function* partsAfter(view: RowView, address: UploadAddress, after: number): Generator<UploadedPart> {
  if (after >= PARTS_MAX) return
  const range = { ...suffixRange(addressKeyOf(address)), start: partKey(address, after + 1) }
  for (const [, row] of view.range("parts", range)) yield decodePart(row.value)
}

/** Throws `noObjectLock`, `retentionIsOver`. */
export const createUpload = command<
  [address: UploadAddress, upload: Omit<UploadRecord, "initiatedMs">, clock?: { readonly clockMs: number }],
  UploadRecord
>({
  name: "CreateUpload",
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time, address, upload, clock = { clockMs: 0 }) {
    const bucket = requireBucket(view, address.bucketId)
    lockOfNew(bucket.lock, upload.lock, clocksOf(clock, time))
    // The bytes of a rename are counted where they come from.
    const runs = upload.renamedBy === undefined ? countedBy(view, bucket) : undefined
    const record = { ...upload, ...(runs && { countedBy: runs }), initiatedMs: time.nowMs }
    const editor = new RowEditor(view, time, address.bucketId, address.key)
    editor.put("uploads", addressKeyOf(address), encodeUpload(record))
    editor.countUpload(1)
    return { ...editor.finish(), result: record }
  },
})

interface PutPart extends UploadAddress {
  readonly part: Omit<UploadedPart, "modifiedMs">
  readonly hints: readonly MissingShardHint[]
}

/** Stores a part; the attempt that it replaces becomes a pending deletion. Throws what features refuse. */
export const putPart = command<[put: PutPart], UploadedPart>({
  name: "PutPart",
  touches: put => [
    ["parts", partKey(put, put.part.partNumber)],
    ["buckets", bucketRowKey(put.bucketId)],
  ],
  decide(view, time, put) {
    const rowKey = partKey(put, put.part.partNumber)
    const upload = requireUpload(view, put)
    if (isBeingCompleted(upload, time)) throw beingCompleted()
    // The job that encrypts existing objects has found the upload since the part began.
    if (upload.sealing !== undefined && put.part.extent.isSealed === undefined) throw beingEncrypted()
    checkOwnUpload(time, put.part.extent.uploadId)
    const editor = new RowEditor(view, time, put.bucketId, put.key)
    const row = view.get("parts", rowKey)
    const before = row && decodePart(row.value)
    const owner = { bucketId: put.bucketId, key: put.key }
    if (before) editor.deleteLater({ kind: "extent", ...owner, extent: before.extent })
    const growth = plainBytesOf(put.part.extent) - (before ? plainBytesOf(before.extent) : 0)
    if (upload.renamedBy === undefined) editor.countParts(growth, upload.countedBy)
    const part: UploadedPart = { ...put.part, modifiedMs: time.nowMs }
    editor.put("parts", rowKey, encodePart(part))
    editor.record(put.hints.map(hintRowKey))
    return { ...editor.finish(), result: part }
  },
})

export interface Completion {
  readonly incarnation: number
  readonly token: Uint8Array
}

/** A completion counts only while the process that started it is running. */
export const isBeingCompleted = ({ completion }: UploadRecord, { incarnations }: Pick<DecisionTime, "incarnations">) =>
  completion !== undefined && !incarnations.isOver(parseIncarnation(completion.incarnation))

const beingCompleted = () => fail("conflict", { message: "the upload is being completed" })
const beingEncrypted = () => fail("conflict", { message: "the upload is encrypted by now: repeat the request" })

export const sealedBy = (upload: UploadRecord, completion: Completion): boolean =>
  upload.completion?.incarnation === completion.incarnation && equalBytes(upload.completion.token, completion.token)

/** An upload whose part list is frozen. */
interface SealedParts {
  readonly upload: UploadRecord
  /** An earlier attempt has left references or digests. */
  readonly isStale: boolean
}

/**
 * Freezes the part list: parts are refused until the completion has ended. Deletes segments of an earlier attempt, but for
 * those that `dropStale` drops; a process starts a new attempt only after its own previous one has ended. Throws `conflict` while another process
 * completes the upload. Returns the upload as it is completed.
 */
export const sealUpload = command<[address: UploadAddress, completion: Completion], SealedParts>({
  name: "SealUpload",
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time, address, completion) {
    const upload = requireUpload(view, address)
    const isOwn = upload.completion?.incarnation === completion.incarnation
    if (!isOwn && isBeingCompleted(upload, time)) throw beingCompleted()
    const range = suffixRange(addressKeyOf(address))
    const stale = [...view.range("segments", range)].map(([key, { value }]) => [key, decodeSegment(value)] as const)
    const hasDigests = stale.length > 0 && firstOf(view.range("blockDigests", range)) !== undefined
    // Segments stay as long as their digests do: by them a later attempt finds that there are digests.
    const plain = hasDigests ? [] : stale.filter(([, segment]) => sourcesOf(segment).length === 0)
    const sealed = { ...upload, completion }
    const writes: EntryWrite[] = [
      { family: "uploads", key: addressKeyOf(address), value: encodeUpload(sealed) },
      ...plain.map(([key]): EntryWrite => ({ family: "segments", key, value: undefined })),
    ]
    return { writes, result: { upload: sealed, isStale: hasDigests || plain.length < stale.length } }
  },
})

/** Removes the seal after a refused completion. */
export const unsealUpload = command<[address: UploadAddress, completion: Completion], void>({
  name: "UnsealUpload",
  grows: false,
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, _time, address, completion) {
    const upload = findUpload(view, address)
    if (!upload || !sealedBy(upload, completion)) return { writes: [], result: undefined }
    const value = encodeUpload({ ...upload, completion: undefined })
    return { writes: [{ family: "uploads", key: addressKeyOf(address), value }], result: undefined }
  },
})

/** Writes one segment of the frozen part list. */
export const putSegment = command<
  [address: UploadAddress, completion: Completion, number: number, segment: SegmentRecord],
  void
>({
  name: "PutSegment",
  touches: address => [["uploads", addressKeyOf(address)]],
  decide: (view, _time, ...args) => ({ writes: segmentWrites(view, ...args), result: undefined }),
})

/** Throws `conflict` unless the list is frozen as stated, and nothing is left that `dropStale` drops. */
export function segmentWrites(
  view: RowView,
  address: UploadAddress,
  completion: Completion,
  number: number,
  segment: SegmentRecord,
): readonly EntryWrite[] {
  const upload = requireUpload(view, address)
  if (!sealedBy(upload, completion)) throw fail("conflict")
  const key = segmentRowKey(objectRowKey(address.bucketId, address.key), address.multipartId, number)
  const before = view.get("segments", key)
  if (before !== undefined && sourcesOf(decodeSegment(before.value)).length > 0) throw fail("conflict")
  // The upload's row guards its segments: a completion that replaces this one reads them all.
  return [
    { family: "uploads", key: addressKeyOf(address), value: encodeUpload(upload) },
    { family: "segments", key, value: encodeSegment(segment) },
  ]
}

export interface CompleteUpload extends UploadAddress {
  readonly completion: Completion
  /**
   * The bytes of all parts of the frozen list, also of those that the version leaves out; set where some feature counts
   * them.
   */
  readonly partsBytes?: number
  readonly conditions: Conditions
  readonly version: Omit<NewVersion, "isMarker">
  /** The store's clock, where locks, or features that keep what is deleted, are possible. */
  readonly clockMs?: number
}

/** Turns the sealed upload into a version. Throws what features refuse, though not for bytes of parts that are counted. */
export const completeUpload = command<[complete: CompleteUpload], Stored>({
  name: "CompleteUpload",
  touches: complete => [["current", objectRowKey(complete.bucketId, complete.key)]],
  decide: (view, time, complete) => decisionOf(completeUploadIn(view, time, complete)),
})

/** `before`: the editor of another key that the same decision changes. */
export function completeUploadIn(
  view: CommandView,
  time: DecisionTime,
  complete: CompleteUpload,
  before?: RowEditor,
): Edited<Stored> {
  const { versioning, lock: bucketLock } = requireBucket(view, complete.bucketId)
  const upload = requireUpload(view, complete)
  if (!sealedBy(upload, complete.completion)) throw fail("conflict")
  if (!isSameSealing(upload.sealing, complete.version.sealing)) throw fail("conflict")
  checkWrite(view, complete, expiryClock(time, complete.clockMs))
  const editor = new RowEditor(view, time, complete.bucketId, complete.key, complete.clockMs, before)
  editor.isCopy = complete.conditions.isCopy === true
  const lock = lockOfNew(bucketLock, upload.lock, clocksOf(complete, time))
  const head = editor.insert({ ...complete.version, isMarker: false, lock }, versioning)
  endUpload(editor, complete, "parts", { upload, partsBytes: complete.partsBytes })
  return { editor, result: { versioning, head } }
}

/** The part list of an upload that ends: frozen, so that the bytes of its parts are known. */
export interface FrozenParts {
  readonly completion: Completion
  readonly partsBytes: number
}

/**
 * Freezes the part list of an upload that is to be aborted, and returns its seal. `takesOver`: a completion under way fails;
 * otherwise throws `conflict` while there is one.
 */
export const freezeUpload = command<[address: UploadAddress, incarnation: number, takesOver: boolean], Completion>({
  name: "FreezeUpload",
  grows: false,
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time, address, incarnation, takesOver) {
    const upload = requireUpload(view, address)
    if (!takesOver && isBeingCompleted(upload, time)) throw beingCompleted()
    const completion = { incarnation, token: bytesOfByteString(time.id) }
    const value = encodeUpload({ ...upload, completion })
    return { writes: [{ family: "uploads", key: addressKeyOf(address), value }], result: completion }
  },
})

/** Returns true if the upload can end only with its list frozen: some feature counts its parts. */
export const needsFreeze = ({ countedBy: runs }: UploadRecord): boolean => runs !== undefined

/** Throws `conflict` unless the list is frozen as stated, or need not be. */
export function checkFrozen(upload: UploadRecord, frozen: FrozenParts | undefined): void {
  if (frozen === undefined ? needsFreeze(upload) : !sealedBy(upload, frozen.completion)) throw fail("conflict")
}

/**
 * Aborts an upload: its parts become pending deletions; parts still arriving are refused. One whose parts are counted is
 * frozen first. Throws `conflict` if it is not.
 */
export const abortUpload = command<[address: UploadAddress, frozen?: FrozenParts], void>({
  name: "AbortUpload",
  grows: false,
  touches: address => [["uploads", addressKeyOf(address)]],
  decide(view, time, address, frozen) {
    const upload = requireUpload(view, address)
    checkFrozen(upload, frozen)
    const editor = new RowEditor(view, time, address.bucketId, address.key)
    endUpload(editor, address, "aborted", { upload, partsBytes: frozen?.partsBytes })
    return { ...editor.finish(), result: undefined }
  },
})

interface EndedUpload {
  readonly upload: UploadRecord
  /** It is undefined if no feature counts the parts. */
  readonly partsBytes: number | undefined
}

export function endUpload(
  editor: RowEditor,
  address: UploadAddress,
  kind: "parts" | "aborted",
  { upload, partsBytes }: EndedUpload,
): void {
  editor.put("uploads", addressKeyOf(address), undefined)
  editor.countUpload(-1)
  if (needsFreeze(upload)) editor.countParts(-must(partsBytes, "the list is frozen"), upload.countedBy)
  editor.deleteLater({ kind, bucketId: address.bucketId, key: address.key, multipartId: address.multipartId })
}
