/**
 * Collector: gives back bytes that nothing names any more. A chore; its queue is the release list.
 *
 * Promises  A byte goes only when the decision that released it is committed and every reader that
 *           could still be given it has ended. Each step is idempotent: a crash repeats it. What waits for
 *           a device that has no room even for a deletion holds up nothing else.
 * Limits    COLLECTOR_LIMITS.
 */
import { isFailure } from "../base/failures.js"
import { firstOf } from "../base/first-of.js"
import { rowKeyOf } from "../base/ids.js"
import type { RowKey, UploadId } from "../base/ids.js"
import type { Family } from "../base/families.js"
import type { Blocks } from "../block/index.js"
import { objectRowKey, multipartRowKey, suffixRange } from "../format/row-key.js"
import { decodePart, decodeSegment, type ReleaseRecord } from "../format/records.js"
import type { Extent } from "../format/extent.js"
import type { Chore, StepOutcome } from "../life/index.js"
import type { Tablet } from "../tablet/index.js"
import type { ReadPins } from "./read-pins.js"
import { dropRows, oldestReleases, type Release } from "./release-commands-core.js"

export const COLLECTOR_LIMITS = {
  releasesPerStep: 64,
  /** Part rows that one step expands. */
  partsPerStep: 256,
} as const

type MultipartRelease = Exclude<ReleaseRecord["kind"], "extent" | "blocks">

/** Rows to drop, and the bytes that only they named. */
interface Step {
  readonly rows: readonly (readonly [Family, RowKey])[]
  readonly dead: readonly Extent[]
}

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export class Collector implements Chore {
  readonly name = "collector"
  private released = 0
  /** Behind releases for which a device had no room; those before it are tried again when all have been. */
  private from = ALL.start

  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
  ) {}

  progress(): string {
    return `${this.released} uploads given back`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const oldestPin = this.pins.oldest()
    const due: Release[] = []
    let next: RowKey | undefined
    for (const release of oldestReleases(this.tablet.committed, { ...ALL, start: this.from })) {
      if (release.position > oldestPin) break
      if (due.length === COLLECTOR_LIMITS.releasesPerStep) {
        next = release.rowKey
        break
      }
      due.push(release)
    }
    let isFull = false
    for (const release of due) {
      if (signal.aborted) break
      try {
        if (await this.carryOut(release)) this.released += 1
        else return "busy"
      } catch (error) {
        if (!isFailure(error, "deviceFull")) throw error
        isFull = true
      }
    }
    const isBehind = isFull || this.from !== ALL.start
    this.from = isBehind && next !== undefined ? next : ALL.start
    if (isBehind) return next === undefined ? "throttled" : "busy"
    return due.length > 0 ? "busy" : "idle"
  }

  /** True when nothing of the release is left. */
  private async carryOut({ rowKey, record }: Release): Promise<boolean> {
    if (record.kind === "extent") await this.blocks.remove(record.extent)
    else if (record.kind === "blocks") await this.blocks.remove(record.extent, record.runs)
    else if (!(await this.expand(record))) return false
    await this.tablet.run(dropRows([["releases", rowKey]]))
    return true
  }

  /** One bounded step over the parts, then the segments, of an ended multipart upload; true when none is left. */
  private async expand(record: Extract<ReleaseRecord, { kind: MultipartRelease }>): Promise<boolean> {
    const stem = multipartRowKey(objectRowKey(record.bucketId, record.key), record.multipartId)
    const step = this.partsStep(record.kind, stem) ?? this.segmentStep(record.kind, stem)
    if (!step) return true
    for (const extent of step.dead) await this.blocks.remove(extent)
    await this.tablet.run(dropRows(step.rows))
    return false
  }

  private partsStep(kind: MultipartRelease, stem: RowKey): Step | undefined {
    if (kind === "segments") return undefined
    const kept = kind === "parts" ? this.uploadsInSegments(stem) : new Set<UploadId>()
    const rows: (readonly [Family, RowKey])[] = []
    const dead: Extent[] = []
    for (const [key, row] of this.tablet.committed.range("parts", suffixRange(stem))) {
      if (rows.length === COLLECTOR_LIMITS.partsPerStep) break
      const { extent } = decodePart(row.value)
      if (!kept.has(extent.uploadId)) dead.push(extent)
      rows.push(["parts", key])
    }
    return rows.length > 0 ? { rows, dead } : undefined
  }

  private segmentStep(kind: MultipartRelease, stem: RowKey): Step | undefined {
    if (kind === "parts") return undefined
    const first = firstOf(this.tablet.committed.range("segments", suffixRange(stem)))
    if (!first) return undefined
    const [key, row] = first
    // The parts of an aborted upload have given up the bytes already.
    const dead = kind === "segments" ? decodeSegment(row.value).parts.map(part => part.extent) : []
    return { rows: [["segments", key]], dead }
  }

  private uploadsInSegments(stem: RowKey): ReadonlySet<UploadId> {
    const uploads = new Set<UploadId>()
    for (const [, row] of this.tablet.committed.range("segments", suffixRange(stem))) {
      for (const part of decodeSegment(row.value).parts) uploads.add(part.extent.uploadId)
    }
    return uploads
  }
}
