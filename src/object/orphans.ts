/**
 * Orphans: needles that no row ever came to name, because their process died between "shards durable"
 * and "commit". After a start this chore walks the needles of earlier lives once, and has each upload
 * judged at its row; it never decides by absence.
 *
 * Promises  Only needles of uploads that are durably void are removed, and only when no reader is left
 *           that began before the judgement. When the walk has ended, the void marks of dead lives go:
 *           nobody can commit what they were written against any more.
 * Limits    ORPHAN_LIMITS.
 */
import { isFailure, type Failure } from "../base/failures.js"
import { parsePartitionId, rowKeyOf } from "../base/ids.js"
import type { Incarnation, RowKey, UploadId } from "../base/ids.js"
import type { Family } from "../base/families.js"
import { PARTITIONS } from "../base/limits.js"
import type { Blocks, HeldUpload } from "../block/index.js"
import { uploadOfRowKey } from "../format/row-key.js"
import type { Chore, StepOutcome } from "../life/index.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Tablet } from "../tablet/index.js"
import type { ReadPins } from "./read-pins.js"
import { dropRows, judgeUpload, type Judgement } from "./release-commands-core.js"
import { incarnationOf } from "./uploads.js"

export const ORPHAN_LIMITS = {
  /** Of all partitions most are empty on a small store. */
  partitionsPerStep: 256,
  judgementsPerStep: 64,
  /** The blocks of an upload lie in many partitions: its verdict is kept for the next of them. */
  verdictsKept: 10_000,
  /** Void needles that wait for readers; beyond, the walk waits with them. */
  waitingMax: 1_000,
  marksPerStep: 256,
} as const

interface Waiting {
  readonly held: HeldUpload
  /** Readers that began before this position may have been given the row that named it. */
  readonly position: number
}

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export class Orphans implements Chore {
  readonly name = "orphans"
  private partition = 0
  private removed = 0
  /** In the order in which they were asked for last. */
  private readonly verdicts = new Map<UploadId, Judgement>()
  private waiting: Waiting[] = []

  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
    private readonly incarnation: Incarnation,
    private readonly log: Log,
  ) {}

  progress(): string {
    return `${this.partition} of ${PARTITIONS} partitions walked, ${this.removed} uploads without an owner removed`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    await this.removeWaiting()
    if (this.waiting.length >= ORPHAN_LIMITS.waitingMax) return "throttled"
    if (this.partition < PARTITIONS) {
      await this.walk(signal)
      return "busy"
    }
    if (this.waiting.length > 0) return "throttled"
    return (await this.dropMarks()) ? "busy" : "done"
  }

  /** Some partitions further. A partition is begun again where it was left. */
  private async walk(signal: AbortSignal): Promise<void> {
    let judgements = 0
    for (let walked = 0; walked < ORPHAN_LIMITS.partitionsPerStep && this.partition < PARTITIONS; walked += 1) {
      for (const held of this.blocks.heldIn(parsePartitionId(this.partition))) {
        if (incarnationOf(held.uploadId) >= this.incarnation || this.isWaitedFor(held)) continue
        if (signal.aborted || judgements >= ORPHAN_LIMITS.judgementsPerStep) return
        if (!this.verdicts.has(held.uploadId)) judgements += 1
        if ((await this.judge(held)) === "void") this.waiting.push({ held, position: this.tablet.committedPosition })
      }
      this.partition += 1
    }
  }

  private isWaitedFor(held: HeldUpload): boolean {
    return this.waiting.some(waiting => waiting.held.uploadId === held.uploadId && sameNeedles(waiting.held, held))
  }

  private async judge(held: HeldUpload): Promise<Judgement> {
    const { uploadId } = held
    const verdict = this.verdicts.get(uploadId) ?? (await this.ask(held))
    this.verdicts.delete(uploadId)
    this.verdicts.set(uploadId, verdict)
    const [oldest] = this.verdicts.keys()
    if (this.verdicts.size > ORPHAN_LIMITS.verdictsKept && oldest !== undefined) this.verdicts.delete(oldest)
    return verdict
  }

  /** Where it cannot be said whose the needles are, they stay. */
  private async ask(held: HeldUpload): Promise<Judgement> {
    try {
      const { bucketId, key } = await this.blocks.ownerOf(held)
      return await this.tablet.run(judgeUpload({ bucketId, key, uploadId: held.uploadId }))
    } catch (error) {
      if (!isFailure(error, "corruptNeedle")) throw error
      this.log.warn("an upload without a readable needle is left where it is", reasonOf(error))
      return "live"
    }
  }

  private async removeWaiting(): Promise<void> {
    const oldestPin = this.pins.oldest()
    const free = this.waiting.filter(({ position }) => position <= oldestPin)
    for (const waiting of free) {
      await this.blocks.removeHeld(waiting.held)
      this.waiting = this.waiting.filter(other => other !== waiting)
      this.removed += 1
    }
  }

  /** False when none is left. */
  private async dropMarks(): Promise<boolean> {
    const marks: (readonly [Family, RowKey])[] = []
    for (const [rowKey] of this.tablet.committed.range("voids", ALL)) {
      if (incarnationOf(uploadOfRowKey(rowKey)) >= this.incarnation) continue
      marks.push(["voids", rowKey])
      if (marks.length === ORPHAN_LIMITS.marksPerStep) break
    }
    if (marks.length > 0) await this.tablet.run(dropRows(marks))
    return marks.length > 0
  }
}

const sameNeedles = (a: HeldUpload, b: HeldUpload): boolean =>
  a.needles[0]?.[1].partition === b.needles[0]?.[1].partition

const reasonOf = (failure: Failure) => ({ uploadId: String(failure.details["uploadId"]) })
