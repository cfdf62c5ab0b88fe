/**
 * The plan for one object key: the versions to write, oldest first, the evidence for each, and the versions that
 * cannot be recovered. Pure.
 *
 * A version in a complete snapshot is certain; one in an incomplete snapshot is probable, and so is a candidate, which
 * only needles attest. Of several candidates the newest complete one counts; all count if each is a separate version.
 * A candidate without anything newer than the snapshot never replaces a version in the snapshot.
 * Uploads to different nodes, or to different threads of one process, have no order: the chosen one is then no more than one
 * of those that may be the newest, and the others are reported.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { OFFSET_PART } from "@hayloft/base/limits.js"
import { idOfVersion } from "@hayloft/engine/format/objects/packing-rows.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"
import type { ExtentRange } from "@hayloft/engine/block/index.js"
import { shownOfRecord, versionIdOfHead, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { candidatesOf, type Candidate } from "./candidates-core.js"
import type { KnownVersion } from "./key-rows-core.js"
import {
  areOrdered,
  wholeOf,
  withNote,
  writerIn,
  type BodyRange,
  type KeyFacts,
  type KeyPlan,
  type Lost,
  type PlannedContent,
  type PlannedPart,
  type PlannedVersion,
  type RescueReportEntry,
} from "./plan.js"

const NOT_NEWER = "not written: the key has a version, and there is no evidence that this upload was completed"

type Writer = ReturnType<typeof writerIn>
const notChosen = (writer: Writer): string =>
  `not written: another ${writer} has stored the key too, and nothing shows which of the uploads is newer`
const isChosen = (writer: Writer): string =>
  `another ${writer} has stored the key too, and its upload, which is listed, may be newer`
const orderUnknown = (writer: Writer): string =>
  `its place among the versions that other ${writer}s have stored since the snapshot is not known`

const isPlanned = <Other extends Lost>(planned: PlannedVersion | Other): planned is PlannedVersion =>
  "certainty" in planned
const isLost = (planned: PlannedVersion | Lost): planned is Lost => !isPlanned(planned)

export function planKey(facts: KeyFacts): KeyPlan {
  const named = (facts.known?.versions ?? []).map(version => plannedOfRow(version, facts))
  const candidates = candidatesOf(facts)
  const leftOut = named.length === 0 ? [] : candidates.filter(({ isStale }) => isStale)
  const open = candidates.filter(candidate => !leftOut.includes(candidate))
  const isEach = facts.versioning === "enabled"
  const whole = open.filter(({ planned }) => isPlanned(planned))
  const chosen = isEach ? whole : whole.slice(-1)
  const rivals = rivalsOf(whole, facts)
  const writer = writerIn(facts)
  // A version that was overwritten, or certainly deleted, may be missing.
  const isGone = ({ lacksShards, isNull }: LostVersion): boolean =>
    lacksShards && (facts.isAllHere || (isNull && !isEach && chosen.length > 0))
  const known = named.filter(planned => isPlanned(planned) || !isGone(planned))
  // An incomplete candidate that is older than the written one has been overwritten.
  const isReported = ({ newest }: Candidate): boolean => {
    const [last] = isEach ? [] : chosen
    return last === undefined || newest > last.newest || !areOrdered(newest, last.newest, facts)
  }
  const lost = open.filter(candidate => !isPlanned(candidate.planned) && isReported(candidate))
  const note = isEach ? orderUnknown(writer) : isChosen(writer)
  const written = chosen.map(({ planned }) => (rivals.length === 0 ? planned : annotated(planned, note)))
  return {
    versions: [...known, ...written].filter(isPlanned),
    incomplete: [...known, ...lost.map(({ planned }) => planned)].filter(isLost),
    leftOut: [
      ...leftOut.map(({ planned }) => leftOutFor(NOT_NEWER, planned)),
      ...(isEach ? [] : rivals.map(({ planned }) => leftOutFor(notChosen(writer), planned))),
    ],
    superseded: open.length - chosen.length - lost.length - (isEach ? 0 : rivals.length),
    deleted: named.length - known.length,
  }
}

/**
 * Returns the newest of the uploads of each node or thread, but the one with the last id, and without those that are
 * certainly older than it.
 */
function rivalsOf(whole: readonly Candidate[], facts: KeyFacts): readonly Candidate[] {
  const last = whole.at(-1)
  if (last === undefined) return []
  const newest = new Map(whole.map(candidate => [incarnationOf(candidate.newest), candidate]))
  return [...newest.values()].filter(candidate => !areOrdered(candidate.newest, last.newest, facts))
}

const leftOutFor = (note: string, { sizeBytes, reportEntry }: PlannedVersion | Lost): Lost => ({
  sizeBytes,
  reportEntry: withNote(reportEntry, note),
})

const annotated = (planned: Candidate["planned"], note: string): Candidate["planned"] => ({
  ...planned,
  reportEntry: withNote(planned.reportEntry, note),
})

/** A version that cannot be recovered, and whether missing shards are the reason. */
interface LostVersion extends Lost {
  readonly lacksShards: boolean
  readonly isNull: boolean
}

interface Missing {
  readonly reason: string
  readonly lacksShards: boolean
}

function plannedOfRow(version: KnownVersion, facts: KeyFacts): PlannedVersion | LostVersion {
  const { record, details } = version
  const { head } = record
  const reportEntry = reportEntryOf(record)
  const content = contentOf(version, facts)
  if ("reason" in content) {
    const { isNull, sizeBytes } = head
    return { sizeBytes, reportEntry: withNote(reportEntry, content.reason), lacksShards: content.lacksShards, isNull }
  }
  const { checksumAlgorithm: algorithm, checksumType: type } = head
  return {
    certainty: facts.isSnapshotComplete ? "certain" : "probable",
    content,
    isNull: head.isNull,
    details,
    noteOf: undefined,
    lock: record.lock,
    storageClass: head.storageClass,
    restore: record.restore,
    expiresAtSeconds: record.expiresAtSeconds,
    largeObject: record.largeObject,
    sealing: sealingOf(record, content),
    checksum: algorithm && type ? { algorithm, type, value: record.checksumValue } : undefined,
    md5: head.parts > 0 || head.isMarker ? undefined : head.md5,
    sizeBytes: head.sizeBytes,
    reportEntry,
  }
}

/**
 * The new store binds it to the new version. At rest, bytes from before may not be encrypted, or may have been since the
 * snapshot.
 */
function sealingOf({ sealing }: VersionRecord, content: PlannedContent): PlannedVersion["sealing"] {
  if (content.kind === "single" && content.body.extent.isSealed === undefined) return undefined
  if (sealing === undefined) return hasSealedBody(content) ? "noted" : undefined
  const { key, secret, salt } = sealing
  return { key, secret, salt }
}

function hasSealedBody(content: PlannedContent): boolean {
  if (content.kind === "single") return content.body.extent.isSealed === true
  return content.kind === "multipart" && content.parts.some(({ body }) => body.extent.isSealed)
}

const noRow = (reason: string): Missing => ({ reason, lacksShards: false })
const noShards = (reason: string): Missing => ({ reason, lacksShards: true })

/** The content of a row's version, or what is missing. */
function contentOf({ record, payload, parts, ranges }: KnownVersion, facts: KeyFacts): PlannedContent | Missing {
  const { head, content } = record
  switch (content.kind) {
    case "none":
      return { kind: "marker" }
    case "inline":
      if (payload) return { kind: "inline", bytes: payload }
      return packedContent(record, facts) ?? noRow("its payload is not in the snapshot")
    case "extent": {
      const { extent } = content
      const body = facts.bodyOf(extent.uploadId, extent)
      if (body.kind === "whole") return { kind: "single", body }
      return packedContent(record, facts) ?? noShards(body.reason)
    }
    case "segments": {
      if (content.byOffset !== undefined) {
        const found = rangesContent(record, ranges, facts)
        return "reason" in found ? (packedContent(record, facts) ?? movedContent(record, facts) ?? found) : found
      }
      if (parts.length !== head.parts) return noRow(`the snapshot contains ${parts.length} of its ${head.parts} parts`)
      const found: PlannedPart[] = []
      for (const { partNumber, md5, checksumValue, extent } of parts) {
        const body = facts.bodyOf(extent.uploadId, extent)
        if (body.kind === "incomplete") return noShards(`part ${partNumber}: ${body.reason}`)
        found.push({ partNumber, body, md5, checksum: checksumValue })
      }
      return { kind: "multipart", parts: found }
    }
  }
}

/** The bytes in a pack that the object got after the snapshot; undefined: in none. */
function packedContent(record: VersionRecord, { packed = [] }: KeyFacts): PlannedContent | undefined {
  const version = hexOf(idOfVersion(record.head))
  const found = packed.find(each => each.version === version && each.lengthBytes === record.head.sizeBytes)
  return found && record.sealing === undefined ? { kind: "packed", range: found } : undefined
}

/** The bytes of its own that the object got in place of those that it referenced, after the snapshot; undefined: there are none. */
function movedContent({ head, content, sealing }: VersionRecord, facts: KeyFacts): PlannedContent | undefined {
  if (content.kind !== "segments" || sealing !== undefined) return undefined
  for (const { uploadId, part, born } of facts.uploads) {
    if (part !== OFFSET_PART || born?.multipartId !== content.multipartId) continue
    const body = facts.bodyOf(uploadId, undefined)
    if (body.kind === "incomplete" || body.extent.isSealed || body.extent.lengthBytes !== head.sizeBytes) continue
    return head.parts === 0 ? { kind: "single", body } : { kind: "ranges", ranges: [wholeOf(body)] }
  }
  return undefined
}

function rangesContent(
  { head: { sizeBytes, parts } }: VersionRecord,
  ranges: readonly ExtentRange[],
  facts: KeyFacts,
): PlannedContent | Missing {
  const known = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
  if (known !== sizeBytes) return noRow(`the snapshot contains ${known} of its ${sizeBytes} bytes`)
  if (ranges.some(({ extent }) => extent.isSealed)) return noRow("it has appends, and is encrypted")
  const found: BodyRange[] = []
  for (const { extent, ...range } of ranges) {
    const body = facts.bodyOf(extent.uploadId, extent)
    if (body.kind === "incomplete") return noShards(`appended bytes: ${body.reason}`)
    found.push({ body, ...range })
  }
  const [range] = found
  // Clients see a single upload.
  if (range !== undefined && found.length === 1 && parts === 0) return { kind: "packed", range }
  return { kind: "ranges", ranges: found }
}

const reportEntryOf = ({ head, largeObject }: VersionRecord): RescueReportEntry => ({
  versionId: versionIdOfHead(head),
  ...(head.isMarker ? {} : { etag: shownOfRecord({ head, ...(largeObject && { largeObject }) }).etag }),
  modifiedMs: head.modifiedMs,
  notes: [],
})
