/**
 * Candidates: versions of one object key that are known only from needles, not from rows. Pure.
 *
 * Uploads that a row references, or that were aborted, are not candidates. If the snapshot is complete, or covers the
 * key, neither are uploads that were resolved before it began: they were deleted, overwritten or aborted. Parts of a
 * multipart upload belong together; of each part number the newest counts. Snapshot rows of an upload that had not
 * ended by then are used as well.
 */
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import type { MultipartId, UploadId } from "@hayloft/base/ids.js"
import { OFFSET_PART } from "@hayloft/base/limits.js"
import { isDecidedBelow } from "@hayloft/engine/format/metadata-backup.js"
import type { PartRecord } from "@hayloft/engine/format/records.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { idOfVersion } from "@hayloft/engine/format/objects/packing-rows.js"
import { packFoundDetails } from "@hayloft/objects/index.js"
import type { UnfinishedUpload } from "./key-rows-core.js"
import type { CatalogedUpload } from "./needle-catalog.js"
import {
  areOrdered,
  withNote,
  writerIn,
  type KeyFacts,
  type Lost,
  type PackedBody,
  type PlannedPart,
  type PlannedVersion,
  type RescueReportEntry,
} from "./plan.js"

export interface Candidate {
  /** The newest of its uploads. */
  readonly newest: UploadId
  /** None of its uploads is newer than the snapshot. */
  readonly isStale: boolean
  /** The version of a candidate in a pack: see `idOfVersion`. */
  readonly version?: string
  readonly planned: PlannedVersion | Lost
}

const ONLY_NEEDLES = "no snapshot contains it"
const NO_NOTE = "its type and metadata are lost"

/** In the order of their newest uploads, and those in packs in that of their versions. */
export function candidatesOf(facts: KeyFacts): readonly Candidate[] {
  const open = openUploads(facts)
  const singles = open.filter(({ part }) => part === 0).map(upload => singleCandidate(upload, facts))
  const groups = packGroupsOf(facts).filter(group => !isThere(group, singles, facts))
  const packed = new Set(groups.flatMap(({ ranges }) => ranges.flatMap(({ upload = [] }) => upload)))
  const moved = movedUploads(open, facts, groups)
  const parts = open.filter(upload => upload.part > 0 && !moved.has(upload.uploadId))
  const found = [
    // The rest of the bytes that a packed object had before is no candidate.
    ...singles.filter(({ newest, planned }) => "certainty" in planned || !packed.has(newest)),
    ...open.filter(({ uploadId }) => moved.get(uploadId) === "candidate").map(upload => movedCandidate(upload, facts)),
    ...multipartCandidates(parts, facts),
    ...groups.map(group => packedCandidate(group, facts)),
  ]
  return found.sort((a, b) => {
    if (a.newest !== b.newest) return a.newest < b.newest ? -1 : 1
    return (a.version ?? AFTER) < (b.version ?? AFTER) ? -1 : 1
  })
}

/** Later than any version. */
const AFTER = "~"

/** A version that directories of packs attest; it may have been packed several times. */
interface PackGroup {
  readonly version: string
  readonly ranges: readonly PackedBody[]
  /** Stands for its upload: that, if it is known, and no later one than those of newer versions. */
  readonly place: UploadId
}

/** In the order of their versions. */
function packGroupsOf({ packed = [] }: KeyFacts): readonly PackGroup[] {
  const byVersion = new Map<string, PackedBody[]>()
  for (const range of packed) byVersion.set(range.version, [...(byVersion.get(range.version) ?? []), range])
  const groups: PackGroup[] = []
  for (const version of [...byVersion.keys()].sort().reverse()) {
    const ranges = byVersion.get(version) ?? []
    const uploads = ranges.map(({ upload, body }) => upload ?? body.extent.uploadId)
    const newer = groups.at(-1)
    const [place] = [...uploads, ...(newer ? [newer.place] : [])].sort()
    groups.push({ version, ranges, place: must(place, "a group has ranges") })
  }
  return groups.reverse()
}

const isKnown = ({ version }: Pick<PackedBody, "version">, { known }: KeyFacts): boolean =>
  known?.versions.some(({ record }) => hexOf(idOfVersion(record.head)) === version) === true

/** A complete snapshot knows all versions; others may be among the rows, or among the uploads, with all bytes. */
function isThere(group: PackGroup, singles: readonly Candidate[], facts: KeyFacts): boolean {
  if (facts.isSnapshotComplete || isKnown(group, facts)) return true
  return singles.some(
    ({ newest, planned }) => "certainty" in planned && group.ranges.some(({ upload }) => upload === newest),
  )
}

/** An object that only the directory of a pack attests, which was written after its bytes. */
function packedCandidate({ version, ranges, place }: PackGroup, facts: KeyFacts): Candidate {
  const range = must(ranges[0], "a group has ranges")
  const { contentType, userMetadata, lock, storageClass } = range.header
  const details = packFoundDetails({ headers: contentType === "" ? {} : { contentType }, userMetadata, tags: [] })
  const unknown = { noteOf: undefined, checksum: undefined, sealing: undefined }
  const planned: PlannedVersion = {
    ...probable(facts),
    ...unknown,
    details,
    lock,
    storageClass,
    sizeBytes: range.lengthBytes,
    content: { kind: "packed", range },
    reportEntry: { uploadId: range.body.extent.uploadId, notes: [ONLY_NEEDLES, "it was in a pack"] },
  }
  return { newest: place, isStale: false, version, planned }
}

/**
 * Bytes that an object got in place of those that it referenced: one body, with the id of its segments. "other": the object
 * itself is a version of the snapshot, or a candidate. Bodies of objects that grew look the same, but are several.
 */
function movedUploads(
  uploads: readonly CatalogedUpload[],
  facts: KeyFacts,
  groups: readonly PackGroup[],
): ReadonlyMap<UploadId, "candidate" | "other"> {
  const { packed = [], known } = facts
  const ended = (known?.versions ?? []).flatMap(({ record: { content } }) =>
    content.kind === "segments" ? [content.multipartId] : [],
  )
  const attested = packed.filter(range => isKnown(range, facts) || groups.some(({ ranges }) => ranges.includes(range)))
  const elsewhere = new Set([...ended, ...attested.map(({ segments }) => segments)])
  const ofSegments = uploads.filter(({ part }) => part === OFFSET_PART)
  const hasGrown = ofSegments.some(({ born }) => born?.multipartId === undefined)
  const found = new Map<UploadId, "candidate" | "other">()
  for (const { uploadId, born, sealed } of ofSegments) {
    const id = born?.multipartId
    const isAlone = uploads.filter(each => each.born?.multipartId === id).length === 1
    if (id !== undefined && elsewhere.has(id)) found.set(uploadId, "other")
    else if (!hasGrown && isAlone && sealed === undefined) found.set(uploadId, "candidate")
  }
  return found
}

function movedCandidate(upload: CatalogedUpload, facts: KeyFacts): Candidate {
  const { planned, ...candidate } = singleCandidate(upload, facts)
  const reportEntry = withNote(planned.reportEntry, "its bytes were moved; what was appended to it may be missing")
  return { ...candidate, planned: { ...planned, reportEntry } }
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
  /** Numbers of parts that were uploaded to several nodes, or threads, since the snapshot. */
  private readonly unordered = new Set<number>()
  private isStale = true

  constructor(
    /** The id is undefined if there is no recovery header. */
    private readonly multipartId: MultipartId | undefined,
    private readonly unfinished: UnfinishedUpload | undefined,
    private readonly facts: Pick<KeyFacts, "isShared">,
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
    if (areOrdered(uploadId, before, this.facts)) return uploadId > before
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
    const writer = writerIn(facts)
    const reportEntry: RescueReportEntry = {
      ...(multipartId === undefined ? {} : { multipartId }),
      notes: [
        ONLY_NEEDLES,
        ...(unfinished || first?.isBorn ? [] : [NO_NOTE]),
        ...(multipartId === undefined ? ["its parts were assembled by their numbers alone"] : []),
        ...Array.from(
          this.unordered,
          part => `part ${part} was uploaded to several ${writer}s; another one may be newer`,
        ),
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
    groups.set(unfinished.multipartId, new PartsFound(unfinished.multipartId, unfinished, facts))
  }
  for (const upload of uploads) {
    const id = upload.born?.multipartId
    if (id === undefined || ended.has(id)) continue
    const group = groups.get(id) ?? new PartsFound(id, undefined, facts)
    groups.set(id, group)
    group.add(upload)
  }
  const orphans = uploads.filter(({ born }) => born?.multipartId === undefined)
  // A part without a recovery header can still belong to the only multipart upload of its key.
  const found = groups.size === 0 ? [new PartsFound(undefined, undefined, facts)] : [...groups.values()]
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
