/**
 * Collector: deletes bytes that no row references any more. A job; it works on the pending deletions.
 *
 * Promises  A byte is deleted only after the decision that unreferenced it is committed and every reader that could
 *           still use it has ended: the retention decides when. Each step is idempotent: it is repeated after a
 *           crash. A pending deletion that waits, for the retention, for a device that is out of reach or has no space
 *           even for a deletion, for a metadata replica, or because a row that it needs is damaged, does not delay others.
 *           Segments that other objects reference stay until the last reference is gone. Before segments with digests are
 *           deleted, their references are closed: none is added while their bytes go.
 *           Unused parts of a completed upload are recognised by absence: every replica is queried.
 * Limits    COLLECTOR_LIMITS.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import type { RowKey, UploadId } from "@hayloft/base/ids.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import { decisionIdOf, objectRowKey, multipartRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodePart, decodeSegment, type PendingDeletionRecord } from "@hayloft/engine/format/records.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { query, type Metadata, type RowView } from "@hayloft/engine/metadata/index.js"
import type { DuePositions, ByteRetention } from "@hayloft/objects/index.js"
import { familiesOfSegments } from "@hayloft/objects/door/index.js"
import {
  dropDigests,
  dropSource,
  isReferable,
  keepReferenced,
  referencesOf,
  pendingDeletionsFrom,
  type PendingDeletion,
} from "@hayloft/objects/door/bytes.js"
import { sourcesOf, type SegmentsName, dropRows, type RowAsRead } from "@hayloft/objects/door/rows.js"

export const COLLECTOR_LIMITS = {
  pendingDeletionsPerStep: 64,
  /** Part rows that one step expands. */
  partsPerStep: 256,
  /** Deletions that wait for damaged rows, and are counted. */
  damagedMax: 1_000,
} as const

type MultipartPendingDeletion = Exclude<PendingDeletionRecord["kind"], "extent" | "blocks">

/** The deletion is complete, or one step of it is, or it waits for a device or a metadata replica. */
type Outcome = "done" | "more" | "waits"

/** Rows to drop, and the bytes that only these rows reference. */
interface Step {
  readonly rows: readonly RowAsRead[]
  readonly dead: readonly Extent[]
  /** Instead: a segment with bytes of others. */
  readonly source?: RowAsRead
  /** Instead: digests of blocks, which the index may still have. */
  readonly digests?: RowAsRead
}

/** From `start`: one more than a step handles. */
export const oldestPendingDeletions = query(
  "OldestPendingDeletions",
  (view, start: RowKey): readonly PendingDeletion[] => {
    const pendingDeletions: PendingDeletion[] = []
    for (const deletion of pendingDeletionsFrom(view, { ...ALL_ROWS, start })) {
      pendingDeletions.push(deletion)
      if (pendingDeletions.length > COLLECTOR_LIMITS.pendingDeletionsPerStep) break
    }
    return pendingDeletions
  },
)

/** The position of the oldest pending deletion. */
export const firstPendingDeletion = query(
  "FirstPendingDeletion",
  (view): number | undefined => firstOf(pendingDeletionsFrom(view, ALL_ROWS))?.position,
)

function readUploadsInSegments(view: RowView, stem: RowKey): ReadonlySet<UploadId> {
  const uploads = new Set<UploadId>()
  for (const [, row] of view.range("segments", suffixRange(stem))) {
    for (const part of decodeSegment(row.value).parts) uploads.add(part.extent.uploadId)
  }
  return uploads
}

export const uploadsInSegments = query("UploadsInSegments", readUploadsInSegments)

/** The first parts of an upload, and the uploads that the segments of a completed one reference. */
export const partsOfPendingDeletion = query("PartsOfPendingDeletion", (view, stem: RowKey, isCompleted: boolean) => {
  const parts: { readonly row: RowAsRead; readonly extent: Extent }[] = []
  for (const [key, { value }] of view.range("parts", suffixRange(stem))) {
    if (parts.length === COLLECTOR_LIMITS.partsPerStep) break
    parts.push({ row: ["parts", key, value], extent: decodePart(value).extent })
  }
  return { parts, used: isCompleted ? readUploadsInSegments(view, stem) : new Set<UploadId>() }
})

export const firstSegment = query("FirstSegment", (view, stem: RowKey) => {
  const first = firstOf(view.range("segments", suffixRange(stem)))
  if (first === undefined) return undefined
  const [key, { value }] = first
  const row: RowAsRead = ["segments", key, value]
  return { row, segment: decodeSegment(value) }
})

/** The first rows that features have of segments. */
export const firstOfFeatures = query("FirstOfFeatures", (view, stem: RowKey) => {
  const rows: RowAsRead[] = []
  for (const family of familiesOfSegments()) {
    for (const [key, { value }] of view.range(family, suffixRange(stem))) {
      rows.push([family, key, value])
      if (rows.length === COLLECTOR_LIMITS.partsPerStep) return rows
    }
  }
  return rows
})

export const firstDigests = query("FirstDigests", (view, stem: RowKey): RowAsRead | undefined => {
  const first = firstOf(view.range("blockDigests", suffixRange(stem)))
  return first && ["blockDigests", first[0], first[1].value]
})

const segmentsNameOf = ({ key, multipartId }: SegmentsName): SegmentsName => ({ key, multipartId })

/** Returns where to go on after these deletions: the first one that may be due; undefined: there are no more. */
function nextToCollect(pendingDeletions: readonly PendingDeletion[], due: DuePositions): RowKey | undefined {
  const { pendingDeletionsPerStep } = COLLECTOR_LIMITS
  const further = pendingDeletions[pendingDeletionsPerStep]
  if (further === undefined || due.isDue(further.position)) return further?.rowKey
  const after = due.after(further.position)
  return after === undefined ? undefined : rowKeyOf(decisionIdOf(parsePosition(after)))
}

export class Collector implements Job {
  readonly name = "collector"
  private deleted = 0
  /** Behind deletions that wait; those are retried after all others. */
  private from = ALL_ROWS.start
  /** For some of the deletions before `from` a device had no space. */
  private wasFull = false
  /** Deletions that wait because rows that they need are damaged. */
  private readonly damaged = new Set<RowKey>()

  constructor(
    private readonly metadata: Metadata,
    private readonly blocks: Pick<Blocks, "remove">,
    private readonly retention: ByteRetention,
  ) {}

  progress(): string {
    const { deleted, damaged } = this
    const waiting = `${damaged.size} wait for damaged rows: hayloft dedup verify names those of references`
    return `${plural(deleted, "upload")} deleted${damaged.size === 0 ? "" : `, ${waiting}`}`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    // Deletions first: a reader that begins from now on gets rows that reference none of these bytes.
    const pendingDeletions = await this.metadata.ask(oldestPendingDeletions(this.from))
    const due = await this.retention.now()
    const page = pendingDeletions.slice(0, COLLECTOR_LIMITS.pendingDeletionsPerStep)
    const ready = page.filter(({ position }) => due.isDue(position))
    let [isFull, isWaiting] = [false, false]
    for (const deletion of ready) {
      if (signal.aborted) break
      try {
        const outcome = await unlessFull(
          () => this.carryOut(deletion),
          () => "full" as const,
        )
        if (outcome === "more") return "busy"
        if (outcome === "full") {
          isFull = true
          continue
        }
        this.damaged.delete(deletion.rowKey)
        if (outcome === "done") this.deleted += 1
        else isWaiting = true
      } catch (error) {
        if (!isFailure(error, "corruptRecord")) throw error
        isWaiting = true
        if (this.damaged.size < COLLECTOR_LIMITS.damagedMax) this.damaged.add(deletion.rowKey)
      }
    }
    const isBehind = isFull || isWaiting || ready.length < page.length || this.from !== ALL_ROWS.start
    const next = nextToCollect(pendingDeletions, due)
    const isOver = !isBehind || next === undefined
    const wasFull = this.wasFull || isFull
    this.from = isOver ? ALL_ROWS.start : next
    this.wasFull = !isOver && wasFull
    if (!isOver) return "busy"
    if (wasFull) return "throttled"
    return ready.length > 0 && !isWaiting ? "busy" : "idle"
  }

  private async carryOut({ rowKey, value, record }: PendingDeletion): Promise<Outcome> {
    if (record.kind === "segments" && (await this.metadata.ask(isReferable(record.bucketId, segmentsNameOf(record))))) {
      // Whatever references the segments deletes them later.
      if (await this.metadata.run(keepReferenced(["pendingDeletions", rowKey, value]))) return "done"
    }
    const outcome = await this.deleteBytes(record)
    if (outcome !== "done") return outcome
    await this.metadata.run(dropRows([["pendingDeletions", rowKey, value]]))
    return "done"
  }

  private async deleteBytes(record: PendingDeletionRecord): Promise<Outcome> {
    if (record.kind !== "extent" && record.kind !== "blocks") return this.expand(record)
    const runs = record.kind === "blocks" ? record.runs : undefined
    return (await this.blocks.remove(record.extent, runs)) ? "done" : "waits"
  }

  /** One bounded step over the parts, then the segments, of an ended multipart upload. */
  private async expand(record: Extract<PendingDeletionRecord, { kind: MultipartPendingDeletion }>): Promise<Outcome> {
    const stem = multipartRowKey(objectRowKey(record.bucketId, record.key), record.multipartId)
    const step = (await this.partsStep(record.kind, stem)) ?? (await this.segmentStep(record.kind, stem))
    if (step === "waits") return "waits"
    if (!step) return "done"
    if (step.source !== undefined) {
      await this.metadata.run(dropSource(record.bucketId, step.source))
      return "more"
    }
    if (step.digests !== undefined) {
      await this.metadata.run(dropDigests(record.bucketId, step.digests))
      return "more"
    }
    for (const extent of step.dead) if (!(await this.blocks.remove(extent))) return "waits"
    await this.metadata.run(dropRows(step.rows))
    return "more"
  }

  /** Parts whose bytes a segment references lose only their rows. Others lose both, if all replicas agree. */
  private async partsStep(kind: MultipartPendingDeletion, stem: RowKey): Promise<Step | "waits" | undefined> {
    if (kind === "segments") return undefined
    const isCompleted = kind === "parts"
    const { parts, used } = await this.metadata.ask(partsOfPendingDeletion(stem, isCompleted))
    const isUsed = ({ extent }: { readonly extent: Extent }): boolean => used.has(extent.uploadId)
    const rows = parts.filter(isUsed).map(({ row }) => row)
    const unused = parts.filter(part => !isUsed(part))
    if (unused.length === 0) return rows.length > 0 ? { rows, dead: [] } : undefined
    const usedAnywhere = isCompleted ? await this.uploadsInSegmentsAnywhere(stem) : used
    if (usedAnywhere === undefined) return rows.length > 0 ? { rows, dead: [] } : "waits"
    const dead = unused.flatMap(({ extent }) => (usedAnywhere.has(extent.uploadId) ? [] : [extent]))
    return { rows: [...rows, ...unused.map(({ row }) => row)], dead }
  }

  private async segmentStep(kind: MultipartPendingDeletion, stem: RowKey): Promise<Step | undefined> {
    if (kind === "parts") return undefined
    const first = await this.metadata.ask(firstSegment(stem))
    if (!first) return this.rowsStep(stem)
    const { row, segment } = first
    if (sourcesOf(segment).length > 0) return { rows: [], dead: [], source: row }
    // The bytes of an aborted upload were already deleted with its parts.
    const dead = kind === "segments" ? segment.parts.map(part => part.extent) : []
    return { rows: [row], dead }
  }

  /** Rows of features and digests have no bytes, and references are gone. */
  private async rowsStep(stem: RowKey): Promise<Step | undefined> {
    const rows = await this.metadata.ask(firstOfFeatures(stem))
    if (rows.length > 0) return { rows, dead: [] }
    const digests = await this.metadata.ask(firstDigests(stem))
    if (digests !== undefined) return { rows: [], dead: [], digests }
    const references = await this.metadata.ask(referencesOf(stem))
    return references && { rows: [references.row], dead: [] }
  }

  /** In the rows of all replicas; undefined while they cannot be queried. */
  private async uploadsInSegmentsAnywhere(stem: RowKey): Promise<ReadonlySet<UploadId> | undefined> {
    const uploads = await this.metadata.askEveryReplica(-Infinity, uploadsInSegments(stem))
    return uploads && new Set(uploads.flatMap(each => [...each]))
  }
}
