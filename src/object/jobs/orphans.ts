/**
 * Orphans: needles that no row ever came to name, because their process died between "shards durable"
 * and "commit", of an upload or of one that was coded anew. After a start this job walks the needles
 * of earlier lives once. What somebody has in hand when the walk comes by is looked at once it is let go.
 * Repair hands over what it meets that no row names. After that it judges what this life is in doubt about.
 *
 * Promises  Blocks are removed as `aborted-blocks.ts` says. When the walk has ended, the void marks of dead lives go:
 *           nobody can commit what they were written against any more.
 * Limits    ORPHAN_LIMITS, ABORTED_LIMITS, ABORTED_BRAKE.
 */
import { rowKeyOf } from "../../base/ids.js"
import type { RowKey } from "../../base/ids.js"
import type { Family } from "../../base/families.js"
import { PARTITIONS } from "../../base/limits.js"
import { ALL_NEEDLES, needleIdOf, type BlockGroup, type Blocks } from "../../block/index.js"
import { needleKeyOf, type NeedleOwner } from "../../format/needle.js"
import { objectRowKey, uploadOfRowKey, uploadRowKey } from "../../format/row-key.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { query, type Metadata } from "../../metadata/index.js"
import { AbortedBlocks, type AbortedWaits } from "./aborted-blocks.js"
import { AbortedBrake } from "./aborted-brake-core.js"
import { OwnershipResolver } from "./ownership-resolver.js"
import { dropRows, resolveUpload } from "../commands/pending-deletion-commands-core.js"
import { nameOf, Removals, type BlockName } from "./removals.js"
import { incarnationOf, type Uploads } from "../uploads.js"

export const ORPHAN_LIMITS = {
  resolutionsPerStep: 64,
  marksPerStep: 256,
  /** Blocks whose uploads are held; with more of them the walk waits. */
  passedOverMax: 10_000,
} as const

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export interface OrphanReport {
  /** Too many blocks have no row that names them: none is removed until an operator says so. */
  readonly isStopped: boolean
  /** Aborted blocks that this process found. */
  readonly abortedBlocks: number
  /** With more than these the removal stops. */
  readonly abortedBlocksMax: number
  /** Blocks that wait for their removal. */
  readonly waitingBlocks: number
}

const marksOfEndedProcesses = query("MarksOfEndedProcesses", (view): readonly RowKey[] => {
  const marks: RowKey[] = []
  for (const [rowKey] of view.range("voids", ALL)) {
    if (!view.incarnations.isOver(incarnationOf(uploadOfRowKey(rowKey)))) continue
    marks.push(rowKey)
    if (marks.length === ORPHAN_LIMITS.marksPerStep) break
  }
  return marks
})

export class Orphans implements Job {
  readonly name = "orphans"
  /** Where the walk goes on; undefined: it has ended. */
  private next: RowKey | undefined = ALL_NEEDLES.start
  private walked = 0
  private removed = 0
  private hasMarks = true
  /** Blocks whose uploads were held when the walk met them, by their names. */
  private readonly passedOver = new Map<string, BlockGroup>()
  private readonly brake = new AbortedBrake()
  private readonly resolver: OwnershipResolver
  private readonly removals: Removals
  private readonly aborted: AbortedBlocks

  constructor(
    clock: Clock,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly uploads: Uploads,
    isEveryDeviceIn: () => boolean,
    waits: AbortedWaits,
    log: Log,
  ) {
    const { brake } = this
    this.resolver = new OwnershipResolver(metadata, blocks, uploads, log)
    this.removals = new Removals()
    const { resolver, removals } = this
    this.aborted = new AbortedBlocks(
      clock,
      metadata,
      blocks,
      uploads,
      resolver,
      removals,
      brake,
      isEveryDeviceIn,
      waits,
      log,
    )
  }

  progress(): string {
    const { brake, removed } = this
    if (brake.isOn) return `stopped: ${brake.blocks} aborted blocks or more, above the limit of ${brake.blocksMax}`
    const partition = this.next === undefined ? PARTITIONS : partitionOfKey(this.next)
    const found = `${this.aborted.waiting} aborted blocks wait, ${removed} removed`
    return `${partition} of ${PARTITIONS} partitions walked, ${found}`
  }

  report(): OrphanReport {
    const { isOn: isStopped, blocks: abortedBlocks, blocksMax: abortedBlocksMax } = this.brake
    return { isStopped, abortedBlocks, abortedBlocksMax, waitingBlocks: this.aborted.waiting + this.removals.count }
  }

  /** An operator has looked at why so many blocks are aborted: they are removed, as long as this process lives. */
  resume(): void {
    this.brake.release()
  }

  /** The replica that is read has no row that names the block. False if so many wait that it is not remembered. */
  add(group: BlockGroup, owner: NeedleOwner): boolean {
    return this.aborted.add(group, owner)
  }

  /** The block waits until it is confirmed that no row names it, or until it is removed. */
  has(block: BlockName): boolean {
    return this.aborted.has(nameOf(block))
  }

  /** As `has`, and all replicas have confirmed it. */
  isConfirmed(block: BlockName): boolean {
    return this.aborted.isConfirmed(nameOf(block))
  }

  /** All blocks that devices hold, as they were counted last. */
  noteAllBlocks(blocks: number): void {
    this.brake.setAllBlocks(blocks)
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    this.removed += await this.removals.run()
    if (this.removals.isFull) return "throttled"
    if (!this.brake.isOn) {
      const isBusy = await this.stepWalk(signal)
      if (isBusy || (await this.aborted.step(signal))) return "busy"
    }
    if (this.next === undefined && this.removals.count === 0 && (await this.dropMarks())) return "busy"
    if (await this.resolveDoubt()) return "busy"
    return "idle"
  }

  private async stepWalk(signal: AbortSignal): Promise<boolean> {
    if (await this.resolveReleased(signal)) return true
    if (this.next === undefined || this.isFull) return false
    this.next = await this.walk(this.next, signal)
    if (this.next === undefined) this.noteAllBlocks(this.walked)
    return true
  }

  private get isFull(): boolean {
    return this.aborted.isFull || this.passedOver.size >= ORPHAN_LIMITS.passedOverMax
  }

  /** One page further; where to go on. */
  private async walk(from: RowKey, signal: AbortSignal): Promise<RowKey | undefined> {
    const { groups, next } = await this.blocks.shardScan(from)
    let resolutions = 0
    for (const group of groups) {
      const isOfLiveProcess = this.uploads.isOfLiveProcess(group.uploadId)
      // The blocks of an upload lie in many partitions: what its row said is known for the next of them.
      const isKnown = isOfLiveProcess || this.aborted.has(nameOf(group)) || this.resolver.wasLive(group)
      if (!isKnown) {
        const isOver = resolutions >= ORPHAN_LIMITS.resolutionsPerStep || this.isFull
        if (signal.aborted || isOver) return needleKeyOf(needleIdOf(group, 0))
        resolutions += 1
        if (this.uploads.isHeld(group.uploadId)) this.passedOver.set(nameOf(group), group)
        else await this.resolveBlock(group)
      }
      this.walked += 1
    }
    return next
  }

  private async resolveBlock(group: BlockGroup): Promise<void> {
    const verdict = await this.resolver.resolve(group)
    if (verdict.kind === "unnamed") this.aborted.add(group, verdict.owner)
  }

  /** Some of the blocks that were passed over and have been let go since; false where there are none. */
  private async resolveReleased(signal: AbortSignal): Promise<boolean> {
    let resolutions = 0
    for (const [name, { partition, uploadId }] of this.passedOver) {
      if (this.uploads.isHeld(uploadId)) continue
      if (signal.aborted || resolutions >= ORPHAN_LIMITS.resolutionsPerStep || this.aborted.isFull) break
      resolutions += 1
      // Its needles may have gone, or lie elsewhere by now.
      const group = (await this.blocks.shardScanOf(partition)).find(each => nameOf(each) === name)
      if (group) await this.resolveBlock(group)
      this.passedOver.delete(name)
    }
    return resolutions > 0
  }

  /** Marks of removed uploads, then those of dead lives. False when none is left. */
  private async dropMarks(): Promise<boolean> {
    const { marks } = this.aborted
    const some = [...marks].slice(0, ORPHAN_LIMITS.marksPerStep)
    const rows = some.length > 0 || !this.hasMarks ? some : await this.metadata.ask(marksOfEndedProcesses())
    if (rows.length > 0) await this.metadata.run(dropRows(rows.map((key): [Family, RowKey] => ["voids", key])))
    for (const key of some) marks.delete(key)
    this.hasMarks = rows.length > 0
    return rows.length > 0
  }

  /** One upload of this life whose refusal was not certain; false where there is none. */
  private async resolveDoubt(): Promise<boolean> {
    const doubt = this.uploads.takeDoubt()
    if (doubt === undefined) return false
    const { bucketId, key, extent } = doubt
    try {
      if ((await this.metadata.run(resolveUpload({ bucketId, key, uploadId: extent.uploadId }))) !== "void") return true
    } catch (error) {
      this.uploads.putBack(doubt)
      throw error
    }
    const mark = uploadRowKey(objectRowKey(bucketId, key), extent.uploadId)
    this.removals.add(`${extent.uploadId} ${extent.part}`, async () => {
      await this.blocks.remove(extent)
      await this.metadata.run(dropRows([["voids", mark]]))
      return true
    })
    return true
  }
}

const partitionOfKey = (key: RowKey): number => (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)
