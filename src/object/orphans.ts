/**
 * Orphans: needles that no row ever came to name, because their process died between "shards durable"
 * and "commit". After a start this chore walks the needles of earlier lives once, and has each upload
 * judged at its row; it never decides by absence. After that it judges what this life is in doubt about.
 *
 * Promises  Only needles of uploads that are durably void are removed, and only when no reader is left
 *           that began before the judgement. When the walk has ended, the void marks of dead lives go:
 *           nobody can commit what they were written against any more.
 * Limits    ORPHAN_LIMITS.
 */
import { isFailure, type Failure } from "../base/failures.js"
import { rowKeyOf } from "../base/ids.js"
import type { Incarnation, RowKey, UploadId } from "../base/ids.js"
import type { Family } from "../base/families.js"
import { PARTITIONS } from "../base/limits.js"
import { ALL_NEEDLES, needleIdOf, type BlockGroup, type Blocks } from "../block/index.js"
import { needleKeyOf } from "../format/needle.js"
import { objectRowKey, uploadOfRowKey, uploadRowKey } from "../format/row-key.js"
import type { Chore, StepOutcome } from "../life/index.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Tablet } from "../tablet/index.js"
import type { ReadPins } from "./read-pins.js"
import { dropRows, judgeUpload, type Judgement } from "./release-commands-core.js"
import { Removals } from "./removals.js"
import { incarnationOf, type Uploads } from "./uploads.js"

export const ORPHAN_LIMITS = {
  judgementsPerStep: 64,
  /** The blocks of an upload lie in many partitions: its verdict is kept for the next of them. */
  verdictsKept: 10_000,
  marksPerStep: 256,
} as const

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export class Orphans implements Chore {
  readonly name = "orphans"
  /** Where the walk goes on; undefined: it has ended. */
  private next: RowKey | undefined = ALL_NEEDLES.start
  private removed = 0
  private hasMarks = true
  /** In the order in which they were asked for last. */
  private readonly verdicts = new Map<UploadId, Judgement>()
  private readonly removals: Removals

  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    pins: ReadPins,
    private readonly uploads: Uploads,
    private readonly incarnation: Incarnation,
    private readonly log: Log,
  ) {
    this.removals = new Removals(pins)
  }

  progress(): string {
    const partition = this.next === undefined ? PARTITIONS : partitionOfKey(this.next)
    return `${partition} of ${PARTITIONS} partitions walked, ${this.removed} blocks without an owner removed`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    this.removed += await this.removals.run()
    if (this.removals.isFull) return "throttled"
    if (this.next !== undefined) {
      this.next = await this.walk(this.next, signal)
      return "busy"
    }
    if (this.removals.count === 0 && this.hasMarks) {
      this.hasMarks = await this.dropMarks()
      return "busy"
    }
    return (await this.judgeDoubt()) ? "busy" : "idle"
  }

  /** One page further; where to go on. */
  private async walk(from: RowKey, signal: AbortSignal): Promise<RowKey | undefined> {
    const { groups, next } = this.blocks.survey(from)
    let judgements = 0
    for (const group of groups) {
      if (incarnationOf(group.uploadId) >= this.incarnation || this.removals.has(nameOf(group))) continue
      const isOver = signal.aborted || judgements >= ORPHAN_LIMITS.judgementsPerStep || this.removals.isFull
      if (isOver) return needleKeyOf(needleIdOf(group, 0))
      if (!this.verdicts.has(group.uploadId)) judgements += 1
      if ((await this.judge(group)) !== "void") continue
      this.removals.add(nameOf(group), this.tablet.committedPosition, () => this.blocks.removeGroups([group]))
    }
    return next
  }

  private async judge(group: BlockGroup): Promise<Judgement> {
    const { uploadId } = group
    const verdict = this.verdicts.get(uploadId) ?? (await this.ask(group))
    this.verdicts.delete(uploadId)
    this.verdicts.set(uploadId, verdict)
    const [oldest] = this.verdicts.keys()
    if (this.verdicts.size > ORPHAN_LIMITS.verdictsKept && oldest !== undefined) this.verdicts.delete(oldest)
    return verdict
  }

  /** Where it cannot be said whose the needles are, they stay. */
  private async ask(group: BlockGroup): Promise<Judgement> {
    try {
      const { bucketId, key } = (await this.blocks.headerOf(group)).owner
      return await this.tablet.run(judgeUpload({ bucketId, key, uploadId: group.uploadId }))
    } catch (error) {
      if (!isFailure(error, "corruptNeedle")) throw error
      this.log.warn("an upload without a readable needle is left where it is", reasonOf(error))
      return "live"
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

  /** One upload of this life whose refusal was not certain; false where there is none. */
  private async judgeDoubt(): Promise<boolean> {
    const doubt = this.uploads.takeDoubt()
    if (doubt === undefined) return false
    const { bucketId, key, extent } = doubt
    try {
      if ((await this.tablet.run(judgeUpload({ bucketId, key, uploadId: extent.uploadId }))) !== "void") return true
    } catch (error) {
      this.uploads.putBack(doubt)
      throw error
    }
    const mark = uploadRowKey(objectRowKey(bucketId, key), extent.uploadId)
    this.removals.add(`${extent.uploadId} ${extent.part}`, this.tablet.committedPosition, async () => {
      await this.blocks.remove(extent)
      await this.tablet.run(dropRows([["voids", mark]]))
    })
    return true
  }
}

const nameOf = ({ uploadId, part, block, generation }: BlockGroup): string =>
  `${uploadId} ${part} ${block} ${generation}`

const partitionOfKey = (key: RowKey): number => (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)

const reasonOf = (failure: Failure) => ({ uploadId: String(failure.details["uploadId"]) })
