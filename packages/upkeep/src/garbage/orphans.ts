/**
 * Orphans: needles that no row ever referenced, because their process ended between "shards durable" and "commit" of an
 * upload or a re-encoding. After a start this job walks the needles of earlier processes once, and again after other processes have
 * ended since. Blocks of uploads that
 * are held at that time are resolved once they are released. Another walk can be ordered. Repair adds unreferenced blocks that it finds. Then the
 * job resolves the refused uploads of this process; if several processes share the store, that is a job of its own.
 *
 * Promises  Blocks are removed as `aborted-blocks.ts` describes.
 * Limits    ORPHAN_LIMITS, ABORTED_LIMITS, ABORTED_BRAKE.
 */
import type { RowKey, UploadId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { ALL_NEEDLES, needleIdOf, type BlockGroup, type Blocks } from "@hayloft/engine/block/index.js"
import { needleKeyOf, type NeedleOwner } from "@hayloft/engine/format/needles/needle.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { AbortedBlocks, type PendingUpload, type RemovalConditions } from "./aborted-blocks.js"
import { AbortedBrake } from "./aborted-brake-core.js"
import { OwnershipResolver } from "./ownership-resolver.js"
import { dropRows, type RowAsRead } from "@hayloft/objects/door/rows.js"
import type { RefusedUploads } from "./refused-uploads.js"
import { nameOfBlock, Removals, type BlockName } from "./removals.js"
import type { ObjectBackend, Uploads } from "@hayloft/objects/door/bytes.js"
import type { ReportedRepairer } from "@hayloft/engine/format/nodes/node-report.js"

export const ORPHAN_LIMITS = {
  resolutionsPerStep: 64,
  marksPerStep: 256,
  /** Blocks whose uploads are held; if there are more, the walk waits. */
  passedOverMax: 10_000,
  /** From the start of one walk to that of the next. */
  walkEveryMs: 3_600_000,
} as const

export type OrphanReport = ReportedRepairer["orphans"]

/** Earlier versions marked aborted uploads with rows. */
export const oldMarks = query("OldMarks", (view): readonly RowAsRead[] => {
  const marks: RowAsRead[] = []
  for (const [rowKey, { value }] of view.range("abortedUploads", ALL_ROWS)) {
    marks.push(["abortedUploads", rowKey, value])
    if (marks.length === ORPHAN_LIMITS.marksPerStep) break
  }
  return marks
})

export class Orphans implements Job {
  readonly name = "orphans"
  /** The place where the walk continues; undefined after its end. */
  private next: RowKey | undefined = ALL_NEEDLES.start
  private walked = 0
  /** When the walk began (monotonic clock), and how many processes were over by then; undefined before it. */
  private began: { readonly atMs: number; readonly ended: number | undefined } | undefined
  private orders = 0
  /** The latest order before the walk began. */
  private walkedFor = 0
  private removed = 0
  private reconciliations = 0
  private hasMarks = true
  /** Blocks whose uploads were held when the walk reached them, by name. */
  private readonly passedOver = new Map<string, BlockGroup>()
  private readonly brake = new AbortedBrake()
  private readonly resolver: OwnershipResolver
  private readonly removals: Removals
  private readonly aborted: AbortedBlocks

  private readonly clock: Clock
  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads

  constructor(
    backend: ObjectBackend,
    conditions: RemovalConditions,
    /** It is undefined if refused uploads are a job of their own. */
    private readonly refused: RefusedUploads | undefined,
  ) {
    this.clock = backend.clock
    this.metadata = backend.metadata
    this.blocks = backend.blocks
    this.uploads = backend.uploads
    this.resolver = new OwnershipResolver(backend)
    this.removals = new Removals()
    this.aborted = new AbortedBlocks(backend, conditions, this.resolver, this.removals, this.brake)
  }

  progress(): string {
    const { brake, removed } = this
    if (brake.isOn) return `stopped: ${brake.blocks} aborted blocks or more, above the limit of ${brake.blocksMax}`
    const partition = this.next === undefined ? PARTITIONS : partitionOfKey(this.next)
    const found = `${this.aborted.waiting} aborted blocks wait, ${removed} removed`
    return `${partition} of ${PARTITIONS} partitions scanned, ${found}`
  }

  report(): OrphanReport {
    const { isOn: isStopped, blocks: abortedBlocks, blocksMax: abortedBlocksMax } = this.brake
    return { isStopped, abortedBlocks, abortedBlocksMax, waitingBlocks: this.waitingBlocks(() => true) }
  }

  /** Blocks of these uploads that wait for their removal. */
  waitingBlocks(isMeant: (uploadId: UploadId) => boolean): number {
    return this.aborted.waitingOf(isMeant) + this.removals.waitingOf(isMeant)
  }

  /** Uploads that no row references, as far as the walk has found them. */
  pending(): readonly PendingUpload[] {
    return this.aborted.pending()
  }

  /** Orders a walk that begins after this call; returns the number of the order. */
  order(): number {
    this.orders += 1
    return this.orders
  }

  /** Returns true if a walk that began after the order has met all blocks. */
  hasWalked(order: number): boolean {
    const isOver = this.began !== undefined && this.next === undefined && this.passedOver.size === 0
    return isOver && this.walkedFor >= order
  }

  /** Called after an operator has checked the cause: aborted blocks are removed until the process ends. */
  resume(): void {
    this.brake.release()
  }

  /** Adds a block that no row of the local replica references. Returns false if too many blocks wait already. */
  add(group: BlockGroup, owner: NeedleOwner): boolean {
    return this.aborted.add(group, owner)
  }

  /** Returns true if the block waits for its confirmation or its removal. */
  has(block: BlockName): boolean {
    return this.aborted.has(nameOfBlock(block))
  }

  /** Sets the latest count of all blocks on devices. */
  noteAllBlocks(blocks: number): void {
    this.brake.setAllBlocks(blocks)
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    this.noteReconciliation()
    this.removed += await this.removals.run()
    if (this.removals.isFull) return "throttled"
    if (!this.brake.isOn) {
      const isBusy = await this.stepWalk(signal)
      if (isBusy || (await this.aborted.step(signal))) return "busy"
    }
    if (this.next === undefined && this.removals.count === 0 && (await this.dropMarks())) return "busy"
    return this.refused?.step() ?? "idle"
  }

  /** The retention begins again for everything that no row references. */
  private noteReconciliation(): void {
    const { reconciliations = 0 } = this.metadata.incarnations
    if (reconciliations === this.reconciliations) return
    this.reconciliations = reconciliations
    this.aborted.forget()
    this.passedOver.clear()
    this.began = undefined
  }

  private async stepWalk(signal: AbortSignal): Promise<boolean> {
    if (await this.resolveReleased(signal)) return true
    if (this.isWalkDue()) this.beginWalk()
    if (this.next === undefined || this.isFull) return false
    this.next = await this.walk(this.next, signal)
    if (this.next === undefined) this.noteAllBlocks(this.walked)
    return true
  }

  /** One is ordered, or the latest walk skipped the blocks of processes that have ended since. */
  private isWalkDue(): boolean {
    if (this.began === undefined) return true
    if (this.next === undefined && this.walkedFor < this.orders) return true
    if (this.next !== undefined || this.began.ended === this.metadata.incarnations.ended) return false
    return this.clock.monotonicMs() >= this.began.atMs + ORPHAN_LIMITS.walkEveryMs
  }

  private beginWalk(): void {
    this.began = { atMs: this.clock.monotonicMs(), ended: this.metadata.incarnations.ended }
    this.next = ALL_NEEDLES.start
    this.walked = 0
    this.walkedFor = this.orders
    // Rows of the walk before: a block of an encrypted or re-encoded upload is not live any more.
    this.resolver.forgetLive()
  }

  private get isFull(): boolean {
    return this.aborted.isFull || this.passedOver.size >= ORPHAN_LIMITS.passedOverMax
  }

  /** Walks one page; returns where to continue. */
  private async walk(from: RowKey, signal: AbortSignal): Promise<RowKey | undefined> {
    const { groups, next } = await this.blocks.shardScan(from)
    let resolutions = 0
    for (const group of groups) {
      const isOfLiveProcess = this.uploads.isOfLiveProcess(group.uploadId)
      // An upload has blocks in many partitions: its row's extent is remembered for the next ones.
      const isKnown = isOfLiveProcess || this.aborted.has(nameOfBlock(group)) || this.resolver.wasLive(group)
      if (!isKnown) {
        const isOver = resolutions >= ORPHAN_LIMITS.resolutionsPerStep || this.isFull
        if (signal.aborted || isOver) return needleKeyOf(needleIdOf(group, 0))
        resolutions += 1
        if (this.uploads.isHeld(group.uploadId)) this.passedOver.set(nameOfBlock(group), group)
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

  /** Resolves some skipped blocks whose uploads were released since; returns false if there are none. */
  private async resolveReleased(signal: AbortSignal): Promise<boolean> {
    let resolutions = 0
    for (const [name, { partition, uploadId }] of this.passedOver) {
      if (this.uploads.isHeld(uploadId)) continue
      if (signal.aborted || resolutions >= ORPHAN_LIMITS.resolutionsPerStep || this.aborted.isFull) break
      resolutions += 1
      // Its needles may be gone, or elsewhere by now.
      const group = (await this.blocks.shardScanOf(partition)).find(each => nameOfBlock(each) === name)
      if (group) await this.resolveBlock(group)
      this.passedOver.delete(name)
    }
    return resolutions > 0
  }

  /** Deletes some marks of earlier versions. Returns false if none remain. */
  private async dropMarks(): Promise<boolean> {
    if (!this.hasMarks) return false
    const marks = await this.metadata.ask(oldMarks())
    if (marks.length > 0) await this.metadata.run(dropRows(marks))
    this.hasMarks = marks.length > 0
    return this.hasMarks
  }
}

const partitionOfKey = (key: RowKey): number => (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)
