/**
 * Orphans: needles that no row ever came to name, because their process died between "shards durable"
 * and "commit", of an upload or of one that was coded anew. After a start this chore walks the needles
 * of earlier lives once, and has each judged at its row; it never decides by absence. What somebody has in
 * hand when the walk comes by is judged once it is let go. After that it judges what this life is in doubt about.
 *
 * Promises  Only needles of uploads that are durably void, or of generations that their rows do not
 *           name, are removed, and only when no reader is left that began before the judgement. When the
 *           walk has ended, the void marks of dead lives go: nobody can commit what they were written
 *           against any more.
 * Limits    ORPHAN_LIMITS.
 */
import { rowKeyOf } from "../base/ids.js"
import type { Incarnation, RowKey } from "../base/ids.js"
import type { Family } from "../base/families.js"
import { PARTITIONS } from "../base/limits.js"
import { ALL_NEEDLES, needleIdOf, type BlockGroup, type Blocks } from "../block/index.js"
import { needleKeyOf } from "../format/needle.js"
import { objectRowKey, uploadOfRowKey, uploadRowKey } from "../format/row-key.js"
import type { Chore, StepOutcome } from "../life/index.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Tablet } from "../tablet/index.js"
import { BlockJudge } from "./block-judge.js"
import type { ReadPins } from "./read-pins.js"
import { dropRows, judgeUpload } from "./release-commands-core.js"
import { nameOf, Removals } from "./removals.js"
import { incarnationOf, type Uploads } from "./uploads.js"

export const ORPHAN_LIMITS = {
  judgementsPerStep: 64,
  marksPerStep: 256,
  /** Blocks whose uploads are held; with more of them the walk waits. */
  passedOverMax: 10_000,
} as const

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export class Orphans implements Chore {
  readonly name = "orphans"
  /** Where the walk goes on; undefined: it has ended. */
  private next: RowKey | undefined = ALL_NEEDLES.start
  private removed = 0
  private hasMarks = true
  /** Blocks whose uploads were held when the walk met them, by their names. */
  private readonly passedOver = new Map<string, BlockGroup>()
  private readonly judge: BlockJudge
  private readonly removals: Removals

  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    pins: ReadPins,
    private readonly uploads: Uploads,
    private readonly incarnation: Incarnation,
    log: Log,
  ) {
    this.judge = new BlockJudge(tablet, blocks, uploads, log)
    this.removals = new Removals(pins)
  }

  progress(): string {
    const partition = this.next === undefined ? PARTITIONS : partitionOfKey(this.next)
    return `${partition} of ${PARTITIONS} partitions walked, ${this.removed} blocks without an owner removed`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    this.removed += await this.removals.run()
    if (this.removals.isFull) return "throttled"
    if (await this.judgeLetGo(signal)) return "busy"
    if (this.next !== undefined) {
      if (this.passedOver.size >= ORPHAN_LIMITS.passedOverMax) return "throttled"
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
      const isOfThisLife = incarnationOf(group.uploadId) >= this.incarnation
      // The blocks of an upload lie in many partitions: what its row said is known for the next of them.
      if (isOfThisLife || this.removals.has(nameOf(group)) || this.judge.wasLive(group)) continue
      const { judgementsPerStep, passedOverMax } = ORPHAN_LIMITS
      const isFull = this.removals.isFull || this.passedOver.size >= passedOverMax
      if (signal.aborted || judgements >= judgementsPerStep || isFull) return needleKeyOf(needleIdOf(group, 0))
      if (this.uploads.isHeld(group.uploadId)) {
        this.passedOver.set(nameOf(group), group)
        continue
      }
      judgements += 1
      await this.judgeBlock(group)
    }
    return next
  }

  private async judgeBlock(group: BlockGroup): Promise<void> {
    const verdict = await this.judge.judge(group)
    if (verdict.kind !== "void" && verdict.kind !== "stale") return
    // The marks may have been dropped before this one was made.
    this.hasMarks = true
    const { owner } = verdict
    this.removals.add(nameOf(group), this.tablet.committedPosition, () => this.judge.remove(group, owner))
  }

  /** Some of the blocks that were passed over and have been let go since; false where there are none. */
  private async judgeLetGo(signal: AbortSignal): Promise<boolean> {
    let judgements = 0
    for (const [name, { partition, uploadId }] of this.passedOver) {
      if (this.uploads.isHeld(uploadId)) continue
      if (signal.aborted || judgements >= ORPHAN_LIMITS.judgementsPerStep || this.removals.isFull) break
      judgements += 1
      // Its needles may have gone, or lie elsewhere by now.
      const group = this.blocks.surveyOf(partition).find(each => nameOf(each) === name)
      if (group) await this.judgeBlock(group)
      this.passedOver.delete(name)
    }
    return judgements > 0
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
      return true
    })
    return true
  }
}

const partitionOfKey = (key: RowKey): number => (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)
