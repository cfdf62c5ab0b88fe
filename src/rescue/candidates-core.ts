/**
 * Candidates: versions of one object key that only needles attest. Pure.
 *
 * Uploads that a row references, or that were aborted, are not candidates. If the snapshot is complete, or covers the
 * key, neither are uploads that were resolved before it began: they were deleted, overwritten or aborted. Parts of a
 * multipart upload belong together; of each part number the newest counts. Snapshot rows of an upload that had not
 * ended by then are used as well.
 */
import { must } from "../base/assert.js"
import { hexOf } from "../base/bytes.js"
import type { MultipartId, UploadId } from "../base/ids.js"
import { isDecidedBelow } from "../format/metadata-backup.js"
import type { PartRecord } from "../format/records.js"
import { plainBytesOf } from "../format/sealing.js"
import { idOfBytes } from "../format/packing-rows.js"
import { incarnationOf } from "../format/upload-id.js"
import { packDetails } from "../object/index.js"
import type { UnfinishedUpload } from "./key-rows-core.js"
import type { CatalogedUpload } from "./needle-catalog.js"
import {
  withNote,
  type KeyFacts,
  type Lost,
  type PlannedPart,
  type PlannedVersion,
  type RescueReportEntry,
} from "./plan.js"

export interface Candidate {
  /** The newest of its uploads. */
  readonly newest: UploadId
  /** None of its uploads is newer than the snapshot. */
  readonly isStale: boolean
  readonly planned: PlannedVersion | Lost
}

const ONLY_NEEDLES = "no snapshot contains it"
const NO_NOTE = "its type and metadata are lost"

/** In the order of their newest uploads. */
export function candidatesOf(facts: KeyFacts): readonly Candidate[] {
  const open = openUploads(facts)
  const singles = open.filter(({ part }) => part === 0).map(upload => singleCandidate(upload, facts))
  const parts = open.filter(({ part }) => part > 0)
  const found = [...singles, ...multipartCandidates(parts, facts), ...packedCandidates(singles, facts)]
  return found.sort((a, b) => (a.newest < b.newest ? -1 : 1))
}

/** Objects that only the directory of a pack attests, which was written after their bytes. A complete snapshot knows them. */
function packedCandidates(singles: readonly Candidate[], facts: KeyFacts): readonly Candidate[] {
  const { packed = [], known, isSnapshotComplete } = facts
  if (isSnapshotComplete) return []
  const ids = (known?.versions ?? []).map(({ record }) => hexOf(idOfBytes(record)))
  const whole = singles.filter(({ planned }) => "certainty" in planned).map(({ newest }): string => newest)
  const there = new Set([...ids, ...whole])
  return packed.flatMap((range, i): readonly Candidate[] => {
    const { before, body, header, lengthBytes: sizeBytes } = range
    // An object may have been packed again.
    if (there.has(before) || packed.findIndex(each => each.before === before) !== i) return []
    const newest = body.extent.uploadId
    const { contentType, userMetadata, lock, storageClass } = header
    const details = packDetails({ headers: contentType === "" ? {} : { contentType }, userMetadata, tags: [] })
    const unknown = { noteOf: undefined, checksum: undefined, sealing: undefined }
    const planned: PlannedVersion = {
      ...{ ...probable(facts), ...unknown, details, lock, storageClass, sizeBytes },
      content: { kind: "appended", ranges: [range] },
      reportEntry: { uploadId: newest, notes: [ONLY_NEEDLES, "it was in a pack"] },
    }
    return [{ newest, isStale: false, planned }]
  })
}

function openUploads({ known, uploads, isSnapshotComplete, decidedBelow }: KeyFacts): readonly CatalogedUpload[] {
  const mark = isSnapshotComplete || known ? decidedBelow : undefined
  return uploads.filter(({ uploadId }) => {
    if (known?.named.has(uploadId) || known?.aborted.has(uploadId)) return false
    return mark === undefined || !isDecidedBelow(uploadId, mark)
  })
}

function singleCandidate({ uploadId, born, sealed }: CatalogedUpload, facts: KeyFacts): Candidate {
  const body = facts.bodyOf(uploadId, undefined)
  const reportEntry: RescueReportEntry = { uploadId, notes: [ONLY_NEEDLES, ...(born ? [] : [NO_NOTE])] }
  const shared = { newest: uploadId, isStale: false }
  if (body.kind === "incomplete") {
    const sizeBytes = born?.plannedLengthBytes ?? sealed?.lengthBytes
    const planned = { sizeBytes, reportEntry: withNote(reportEntry, body.reason) }
    return { ...shared, planned }
  }
  const sizeBytes = plainBytesOf(body.extent)
  const sealing = body.extent.isSealed && ("noted" as const)
  const unknown = { details: undefined, noteOf: uploadId, lock: undefined, checksum: undefined, sealing }
  return {
    ...shared,
    planned: {
      ...probable(facts),
      ...unknown,
      storageClass: undefined,
      content: { kind: "single", body },
      sizeBytes,
      reportEntry,
    },
  }
}

const probable = ({ versioning }: KeyFacts) =>
  ({ certainty: "probable", isNull: versioning !== "enabled", md5: undefined }) as const

interface PartMatch {
  readonly uploadId: UploadId
  /** Its recovery header was found. */
  readonly isBorn: boolean
}

/** The parts of one multipart upload. */
class PartsFound {
  private readonly parts = new Map<number, PartMatch>()
  private readonly rows: ReadonlyMap<UploadId, PartRecord>
  /** Numbers of parts that were uploaded to several nodes since the snapshot. */
  private readonly unordered = new Set<number>()
  private isStale = true

  constructor(
    /** Undefined if there is no recovery header. */
    private readonly multipartId: MultipartId | undefined,
    private readonly unfinished: UnfinishedUpload | undefined,
    private readonly isShared: boolean,
  ) {
    this.rows = new Map((unfinished?.parts ?? []).map(row => [row.extent.uploadId, row]))
    for (const { partNumber, extent } of this.rows.values()) {
      this.parts.set(partNumber, { uploadId: extent.uploadId, isBorn: false })
    }
  }

  get isEmpty(): boolean {
    return this.parts.size === 0
  }

  add({ uploadId, part, born }: CatalogedUpload): void {
    this.isStale = false
    const before = this.parts.get(part)?.uploadId
    if (before !== undefined && !this.isNewer(uploadId, before, part)) return
    this.parts.set(part, { uploadId, isBorn: born !== undefined })
  }

  private isNewer(uploadId: UploadId, before: UploadId, part: number): boolean {
    if (!this.isShared || incarnationOf(uploadId) === incarnationOf(before)) return uploadId > before
    // The snapshot contains neither this upload nor its deletion: it was still to come.
    if (this.rows.has(before)) return true
    this.unordered.add(part)
    return uploadId > before
  }

  candidate(facts: KeyFacts): Candidate {
    const uploads = [...this.parts.values()].map(({ uploadId }) => uploadId).sort()
    const newest = must(uploads.at(-1), "there are parts")
    const { multipartId, unfinished, isStale } = this
    const first = this.parts.get(1)
    const reportEntry: RescueReportEntry = {
      ...(multipartId === undefined ? {} : { multipartId }),
      notes: [
        ONLY_NEEDLES,
        ...(unfinished || first?.isBorn ? [] : [NO_NOTE]),
        ...(multipartId === undefined ? ["its parts were assembled by their numbers alone"] : []),
        ...Array.from(this.unordered, part => `part ${part} was uploaded to several nodes; another one may be newer`),
      ],
    }
    const parts = this.find(facts)
    if (typeof parts === "string") {
      return { newest, isStale, planned: { sizeBytes: undefined, reportEntry: withNote(reportEntry, parts) } }
    }
    const declared = unfinished?.upload.checksum
    const planned: PlannedVersion = {
      ...probable(facts),
      content: { kind: "multipart", parts },
      details: unfinished?.upload.details,
      noteOf: first?.uploadId,
      lock: unfinished?.upload.lock,
      storageClass: unfinished && (unfinished.upload.storageClass ?? "STANDARD"),
      sealing: unfinished?.upload.sealing ?? (parts.some(({ body }) => body.extent.isSealed) ? "noted" : undefined),
      checksum: declared && { ...declared, value: undefined },
      sizeBytes: parts.reduce((sum, { body }) => sum + plainBytesOf(body.extent), 0),
      reportEntry: withNote(reportEntry, "parts after the last one may be missing"),
    }
    return { newest, isStale, planned }
  }

  /** Returns all parts in order, or the reason why they are incomplete. */
  private find(facts: KeyFacts): readonly PlannedPart[] | string {
    const found: PlannedPart[] = []
    for (const partNumber of [...this.parts.keys()].sort((a, b) => a - b)) {
      if (partNumber !== found.length + 1) return `part ${found.length + 1} is missing`
      const { uploadId } = must(this.parts.get(partNumber), "the part is there")
      const row = this.rows.get(uploadId)
      const body = facts.bodyOf(uploadId, row?.extent)
      if (body.kind === "incomplete") return `part ${partNumber}: ${body.reason}`
      found.push({ partNumber, body, md5: row?.md5, checksum: row?.checksumValue })
    }
    return found
  }
}

function multipartCandidates(uploads: readonly CatalogedUpload[], facts: KeyFacts): readonly Candidate[] {
  const versions = facts.known?.versions ?? []
  const ended = new Set(
    versions.flatMap(({ record: { content } }) => (content.kind === "segments" ? [content.multipartId] : [])),
  )
  const groups = new Map<MultipartId, PartsFound>()
  for (const unfinished of facts.known?.unfinished ?? []) {
    groups.set(unfinished.multipartId, new PartsFound(unfinished.multipartId, unfinished, facts.isShared))
  }
  for (const upload of uploads) {
    const id = upload.born?.multipartId
    if (id === undefined || ended.has(id)) continue
    const group = groups.get(id) ?? new PartsFound(id, undefined, facts.isShared)
    groups.set(id, group)
    group.add(upload)
  }
  const orphans = uploads.filter(({ born }) => born?.multipartId === undefined)
  // A part without a recovery header can still belong to the only multipart upload of its key.
  const found = groups.size === 0 ? [new PartsFound(undefined, undefined, facts.isShared)] : [...groups.values()]
  const [only] = found.length === 1 ? found : []
  if (only) for (const upload of orphans) only.add(upload)
  const whole = found.filter(group => !group.isEmpty).map(group => group.candidate(facts))
  return [...whole, ...(only ? [] : orphans.map(lostPart))]
}

const lostPart = ({ uploadId, part }: CatalogedUpload): Candidate => ({
  newest: uploadId,
  isStale: false,
  planned: {
    sizeBytes: undefined,
    reportEntry: { uploadId, notes: [`part ${part} of an unknown multipart upload`] },
  },
})
