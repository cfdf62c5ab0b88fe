/**
 * Re-encoding: brings blocks under the policy that they should have. A job.
 *
 * It walks over all rows when there is a reason: a policy has changed, or devices have come back, so
 * that blocks which were written with fewer can be coded as they should be. First it counts; then it
 * codes upload after upload: its blocks anew, under new needles, and then one command that makes every
 * row that names the upload name those instead. The old needles go the way of released bytes.
 *
 * Promises  At any moment a row names blocks that are whole. What is cut off leaves needles that nothing
 *           names, which are written again alike or removed.
 * Limits    RECODE_LIMITS; memory is the slab pool's, and only while plenty of it is free.
 */
import { isFailure } from "../../base/failures.js"
import type { RowKey, UploadId } from "../../base/ids.js"
import { parseBucketId } from "../../base/ids.js"
import { recover } from "../../base/soon.js"
import { shardCount, shardsNeeded, type Policy } from "../../base/policy.js"
import { blockShape, type BlockRun, type Blocks } from "../../block/index.js"
import type { Extent } from "../../format/extent.js"
import { parseObjectRowKey } from "../../format/row-key.js"
import { mapBounded, type Job, type StepOutcome } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { query, type Metadata } from "../../metadata/index.js"
import {
  ALL_OBJECT_ROWS,
  EXTENT_FAMILIES,
  extentsOf,
  readExtentRows,
  type ExtentFamily,
} from "../queries/extent-rows.js"
import { policyOfBucket } from "../commands/bucket-commands-core.js"
import { recoveryHeaderOf, namingsOf, type UploadName } from "../queries/named-extents-core.js"
import { isKept, swapExtent } from "../commands/reencode-commands-core.js"
import type { ReencodeReport } from "./reencode-contract.js"
import { planReencode, reencodedExtent, stretchesOf, type ReencodePlan } from "./reencode-core.js"
import { readNamings } from "../commands/pending-deletion-commands-core.js"
import type { RedundancySource } from "./repair-contract.js"
import { WorkRate, type RateBound } from "./repair-rate-core.js"
import type { Uploads } from "../uploads.js"
import { HINTS_PER_COMMAND, recordHints, type MissingShardHint } from "../commands/version-commands-core.js"

export const REENCODE_LIMITS = {
  rowsPerStep: 256,
  /** Blocks of one upload that are coded in one step, at once. */
  blocksPerStep: 2,
  /** Uploads that could not be coded are tried again after this, and then after twice as long each time … */
  retryMs: 5_000,
  /** … up to this. */
  retryMsMax: 10 * 60_000,
  /** With more of them the walk is given up until then. */
  waitingMax: 10_000,
} as const

/** A walk over all rows. */
interface Walk {
  readonly counts: boolean
  readonly family: number
  readonly from: RowKey
}

/** One upload that is being coded anew. */
interface ReencodeTarget {
  readonly name: UploadName
  readonly extent: Extent
  /** The recovery header of the first block. */
  readonly recoveryHeader: Uint8Array | undefined
  readonly policy: Policy
  readonly generation: number
  readonly plan: ReencodePlan
  /** Blocks still to be coded, in order. */
  readonly left: number[]
  readonly late: Map<number, readonly number[]>
  readonly hints: MissingShardHint[]
}

/** How blocks should be encoded. */
interface Target {
  readonly policy: Policy
  readonly generation: number
}

/** Rows as `extentRows` gives them, each with the policy that its bucket chose. */
const encodedRows = query("EncodedRows", (view, family: ExtentFamily, start: RowKey) => {
  const { rows, next } = readExtentRows(view, family, start, REENCODE_LIMITS.rowsPerStep)
  const encoded = rows.map(({ rowKey, row }) => {
    const chosen = policyOfBucket(view, parseBucketId(parseObjectRowKey(rowKey).bucketId))
    return { rowKey, row, chosen }
  })
  return { rows: encoded, next }
})

/** What a row that stays says of an upload; undefined if there is none. */
const keptExtent = query("KeptExtent", (view, name: UploadName) => {
  for (const naming of namingsOf(view, name))
    if (isKept(view, name, naming)) return { recoveryHeader: recoveryHeaderOf(view, name, naming) }
  return undefined
})

export class Reencode implements Job {
  readonly name = "reencode"
  private reason: string | undefined
  private walk: Walk | undefined
  private job: ReencodeTarget | undefined
  /** Uploads that could not be coded in this walk. */
  private readonly waiting = new Set<UploadId>()
  private retryAtMs: number | undefined
  /** How often in vain, since something changed. */
  private retries = 0
  private underWay: UploadId[] = []
  private readonly rate = new WorkRate()
  private countedBytes = 0
  private doneBytes = 0
  private swaps = 0
  private isPaused = false
  /** Changes of buckets' policies under way, or of which nobody knows whether they were made. */
  private changes = 0

  constructor(
    private readonly clock: Clock,
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly uploads: Uploads,
    private readonly source: RedundancySource,
    private readonly bound: RateBound,
    private readonly onHints: (hints: readonly MissingShardHint[]) => void,
    private readonly log: Log,
  ) {}

  progress(): string {
    const { doneBytes, remainingBytes } = this.report()
    if (this.isPaused) return "paused"
    if (remainingBytes === undefined) return "counting"
    return `${doneBytes} bytes coded anew, ${remainingBytes} left, ${this.waiting.size} uploads waiting for devices`
  }

  report(): ReencodeReport {
    const isCounting = this.walk?.counts === true
    const remainingBytes = this.walk === undefined ? 0 : Math.max(0, this.countedBytes - this.doneBytes)
    return {
      isPaused: this.isPaused,
      doneBytes: this.doneBytes,
      remainingBytes: isCounting ? undefined : remainingBytes,
      secondsLeft: isCounting ? undefined : this.rate.secondsFor(remainingBytes),
      waiting: this.waiting.size + this.underWay.length,
    }
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.source.wake()
  }

  /**
   * Gives a bucket another policy: in the control record, which makes a new policy version, and then in the
   * bucket's row. Nothing is coded in between, when the version is new and the policy is not: needles of one
   * generation are always of one policy. Where nobody can tell whether the row was written, nothing is coded
   * until the next start.
   */
  async duringChange<Result>(change: () => Promise<Result>): Promise<Result> {
    this.changes += 1
    try {
      const result = await change()
      this.changes -= 1
      return result
    } catch (error) {
      if (!isFailure(error, "indeterminate")) this.changes -= 1
      throw error
    }
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (this.isPaused) return "idle"
    if (this.changes > 0) return "throttled"
    const reason = this.reasonNow()
    const isRetry = this.retryAtMs !== undefined && this.clock.monotonicMs() >= this.retryAtMs
    if (reason !== this.reason || isRetry || this.hasComeIn()) {
      if (this.job) await this.giveUp(this.job)
      this.underWay = reason === this.reason ? [] : [...this.uploads.heldNow()]
      this.begin(reason)
    }
    if (this.job) return this.work(this.job, signal)
    if (this.walk === undefined) return "idle"
    if (this.waiting.size >= REENCODE_LIMITS.waitingMax) this.endWalk({ ...this.walk, counts: false })
    else await this.walkFurther(this.walk)
    return "busy"
  }

  /** What was on its way in when things changed may have been written as they were before, and named behind the walk. */
  private hasComeIn(): boolean {
    if (this.underWay.length === 0 || this.walk !== undefined || this.job !== undefined) return false
    return !this.underWay.some(uploadId => this.uploads.isHeld(uploadId))
  }

  /** Anything by which blocks may be other than they should be, or may now become what they could not. */
  private reasonNow(): string {
    // Since when, too: a device may have gone and be back by the time of the next step.
    const devices = [...this.source.states()].map(([id, { state, stateSinceMs }]) => `${id} ${state} ${stateSinceMs}`)
    const { current, previous } = this.source.layouts
    return [this.source.policyVersion(), current.version, previous?.version, ...devices.sort()].join(" ")
  }

  private begin(reason: string): void {
    if (reason !== this.reason) this.retries = 0
    this.reason = reason
    this.retryAtMs = undefined
    this.walk = { counts: true, family: 0, from: ALL_OBJECT_ROWS.start }
    this.waiting.clear()
    this.countedBytes = 0
    this.doneBytes = 0
    this.swaps = 0
  }

  /** Some rows further; a walk that found something to do is followed by one that does it. */
  private async walkFurther(walk: Walk): Promise<void> {
    const family = EXTENT_FAMILIES[walk.family]
    if (family === undefined) return this.endWalk(walk)
    const generation = this.source.policyVersion()
    const { rows, next } = await this.metadata.ask(encodedRows(family, walk.from))
    // The policies of the rows are those of this generation only if none was changed meanwhile.
    if (this.changes > 0 || this.source.policyVersion() !== generation) return
    for (const { rowKey, row, chosen } of rows) {
      const target = { policy: chosen ?? this.source.policy(), generation }
      for (const extent of extentsOf(family, row)) {
        if (walk.counts) this.count(extent, target)
        else if (await this.take(rowKey, extent, target)) {
          this.walk = { ...walk, from: rowKey }
          return
        }
      }
    }
    const isEnd = next === undefined
    this.walk = isEnd ? { ...walk, family: walk.family + 1, from: ALL_OBJECT_ROWS.start } : { ...walk, from: next }
  }

  private endWalk({ counts }: Walk): void {
    const hasWork = this.countedBytes > 0 || this.swaps > 0
    this.walk = counts && hasWork ? { counts: false, family: 0, from: ALL_OBJECT_ROWS.start } : undefined
    this.swaps = 0
    this.rate.begin(this.clock.monotonicMs())
    if (this.walk !== undefined || this.waiting.size === 0) return
    const { retryMs, retryMsMax } = REENCODE_LIMITS
    this.retryAtMs = this.clock.monotonicMs() + Math.min(retryMs * 2 ** this.retries, retryMsMax)
    this.retries += 1
  }

  private count(extent: Extent, { policy, generation }: Target): void {
    // Whether there is something to forget is looked at when it would be forgotten.
    const plan = planReencode(extent, policy, generation, () => true)
    if (!plan) return
    this.swaps += 1
    this.countedBytes += plan.runs.reduce((sum, run) => sum + bytesOfRun(extent, run), 0)
  }

  /** Begins with an upload, if there is something to do about it. */
  private async take(rowKey: RowKey, extent: Extent, { policy, generation }: Target): Promise<boolean> {
    const { uploadId } = extent
    if (this.waiting.has(uploadId)) return false
    const plan = await this.planFor(extent, policy, generation)
    if (!plan) return false
    if (this.uploads.isHeld(uploadId)) {
      // Looked at again as soon as it is let go.
      if (!this.underWay.includes(uploadId)) this.underWay.push(uploadId)
      return false
    }
    const { bucketId: bucket, key } = parseObjectRowKey(rowKey)
    const bucketId = parseBucketId(bucket)
    const name = { bucketId, key, uploadId }
    // Held before the rows are asked, so that nobody gives the upload up in between.
    this.uploads.hold(uploadId)
    const kept = await recover(
      () => this.metadata.ask(keptExtent(name)),
      error => {
        this.uploads.letGo(uploadId)
        throw error
      },
    )
    if (kept === undefined) {
      this.uploads.letGo(uploadId)
      return false
    }
    const left = plan.runs.flatMap(({ firstBlock, lastBlock }) =>
      Array.from({ length: lastBlock - firstBlock + 1 }, (_, i) => firstBlock + i),
    )
    this.job = {
      name,
      extent,
      recoveryHeader: kept.recoveryHeader,
      policy,
      generation,
      plan,
      left,
      late: new Map(),
      hints: [],
    }
    return true
  }

  /** Asks again what devices that are reached later have answered meanwhile. */
  private async planFor(extent: Extent, policy: Policy, generation: number): Promise<ReencodePlan | undefined> {
    const assigned = new Map<number, boolean>()
    for (;;) {
      const asked: Promise<void>[] = []
      const plan = planReencode(extent, policy, generation, block => {
        const answer = assigned.get(block) ?? this.blocks.isAssigned(extent, block)
        if (!(answer instanceof Promise)) return answer
        asked.push(answer.then(isAssigned => void assigned.set(block, isAssigned)))
        return false
      })
      if (asked.length === 0) return plan
      await Promise.all(asked)
    }
  }

  /** Some blocks further, or the swap that ends the job. */
  private async work(job: ReencodeTarget, signal: AbortSignal): Promise<StepOutcome> {
    try {
      if (job.left.length === 0) {
        await this.swap(job)
        return "busy"
      }
      if (this.bound.isOver(this.clock.monotonicMs())) return "throttled"
      const done = await mapBounded(
        job.left.slice(0, REENCODE_LIMITS.blocksPerStep),
        REENCODE_LIMITS.blocksPerStep,
        block => this.reencode(job, block, signal),
      )
      const bytes = done.reduce((sum, each) => sum + each, 0)
      this.doneBytes += bytes
      this.rate.add(bytes, this.clock.monotonicMs())
      this.bound.spend((bytes * shardCount(job.policy)) / shardsNeeded(job.policy), this.clock.monotonicMs())
      return done.includes(0) ? "throttled" : "busy"
    } catch (error) {
      if (!isFailure(error)) throw error
      this.log.debug("an upload is not coded anew now", { upload: job.name.uploadId, reason: error.message })
      // The rows may name the new blocks, or come to: nothing of them is taken back.
      if (isFailure(error, "indeterminate", "stopping")) this.end(job, "waits")
      else await this.giveUp(job)
      return isFailure(error, "deviceFull") ? "throttled" : "busy"
    }
  }

  /** Bytes of the block; 0 where memory is short. */
  private async reencode(job: ReencodeTarget, block: number, signal: AbortSignal): Promise<number> {
    const { name, extent, policy, generation } = job
    const { bucketId, key } = name
    const recoveryHeader = block === 0 ? job.recoveryHeader : undefined
    const request = { extent, block, owner: { bucketId, key }, policy, generation, recoveryHeader }
    const reencoded = await this.blocks.reencode(request, signal)
    if (!reencoded) return 0
    job.left.splice(job.left.indexOf(block), 1)
    if (reencoded.missingSlots.length > 0) job.late.set(block, reencoded.missingSlots)
    job.hints.push(...reencoded.hints)
    return blockShape(extent, block).lengthBytes
  }

  private async swap(job: ReencodeTarget): Promise<void> {
    const { name, extent, policy, generation, plan, late, hints } = job
    for (let at = 0; at < hints.length; at += HINTS_PER_COMMAND) {
      await this.metadata.run(recordHints(hints.slice(at, at + HINTS_PER_COMMAND)))
    }
    const to = reencodedExtent(extent, policy, generation, plan, late)
    await this.metadata.run(swapExtent({ ...name, from: extent, to, replaced: plan.runs }))
    this.end(job, "done")
    this.onHints(hints)
  }

  /** Takes back what was written; what cannot be is written again alike, or judged after the next start. */
  private async giveUp(job: ReencodeTarget): Promise<void> {
    const { extent, policy, generation, plan, left } = job
    const written = { ...extent, policy, generation, exceptions: [] }
    // A block at the front may have failed half-way while the one behind it was done: both have begun.
    const untouched = left.slice(REENCODE_LIMITS.blocksPerStep)
    const runs = plan.runs.flatMap(run => withoutBlocks(run, untouched))
    try {
      if (runs.length > 0 && !(await this.isNamed(job))) await this.blocks.remove(written, runs)
    } catch (error) {
      this.log.debug("blocks that were coded anew in vain are left for later", { error: String(error) })
    } finally {
      this.end(job, "waits")
    }
  }

  /** Whether some row names blocks of the job's generation. Throws where nobody can tell: a swap may have been cut off. */
  private async isNamed({ name, generation }: ReencodeTarget): Promise<boolean> {
    const isNew = (extent: Extent): boolean => stretchesOf(extent).some(stretch => stretch.generation === generation)
    return (await this.metadata.run(readNamings(name))).some(isNew)
  }

  private end(job: ReencodeTarget, outcome: "done" | "waits"): void {
    if (outcome === "waits") this.waiting.add(job.name.uploadId)
    this.uploads.letGo(job.name.uploadId)
    this.job = undefined
  }
}

const bytesOfRun = (extent: Extent, { firstBlock, lastBlock }: BlockRun): number =>
  Math.min(extent.lengthBytes, (lastBlock + 1) * extent.blockBytes) - firstBlock * extent.blockBytes

function withoutBlocks({ firstBlock, lastBlock }: BlockRun, left: readonly number[]): BlockRun[] {
  const next = left.find(block => block >= firstBlock && block <= lastBlock) ?? lastBlock + 1
  return next > firstBlock ? [{ firstBlock, lastBlock: next - 1 }] : []
}
