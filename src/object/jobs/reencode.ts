/**
 * Re-encoding: brings blocks under the policy that they should have. A job.
 *
 * It walks over all rows when there is a reason: a policy has changed, or devices have come back, so that blocks
 * written on fewer devices can get their full policy. A first walk counts. A second one re-encodes upload by upload: it
 * writes the blocks as new needles, and then one command makes every row that references the upload reference the new
 * blocks. The old blocks become pending deletions.
 *
 * Promises  At any moment a row references whole blocks. An interruption leaves unreferenced needles, which are
 *           rewritten identically or removed.
 * Limits    REENCODE_LIMITS; memory is the slab pool's, and only while plenty of it is free.
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
import { planReencode, reencodedExtent, stretchesOf, type ReencodePlan } from "./reencode-core.js"
import { readNamings } from "../commands/pending-deletion-commands-core.js"
import type { RedundancySource } from "./repair-contract.js"
import { WorkRate, type RateBound } from "./repair-rate-core.js"
import type { ObjectBackend } from "../backend.js"
import type { Uploads } from "../uploads.js"
import { HINTS_PER_COMMAND, recordHints, type MissingShardHint } from "../commands/version-commands-core.js"

export const REENCODE_LIMITS = {
  rowsPerStep: 256,
  /** Blocks of one upload that one step re-encodes concurrently. */
  blocksPerStep: 2,
  /** Uploads that could not be re-encoded are retried after this, with the delay doubling each time … */
  retryMs: 5_000,
  /** … up to this. */
  retryMsMax: 10 * 60_000,
  /** With more of them the walk stops until then. */
  waitingMax: 10_000,
} as const

/** The report of re-encoding. */
export interface ReencodeReport {
  readonly isPaused: boolean
  /** Bytes of blocks. */
  readonly doneBytes: number
  /** Undefined while counting. */
  readonly remainingBytes: number | undefined
  readonly secondsLeft: number | undefined
  /** Uploads that cannot be re-encoded now, because devices or shards are missing. */
  readonly waiting: number
}

/** A walk over all rows. */
interface Walk {
  readonly counts: boolean
  readonly family: number
  readonly from: RowKey
}

/** An upload being re-encoded. */
interface ReencodeTarget {
  readonly name: UploadName
  readonly extent: Extent
  /** The recovery header of the first block. */
  readonly recoveryHeader: Uint8Array | undefined
  readonly policy: Policy
  readonly generation: number
  readonly plan: ReencodePlan
  /** Blocks still to be re-encoded, in order. */
  readonly remaining: number[]
  readonly late: Map<number, readonly number[]>
  readonly hints: MissingShardHint[]
}

/** How blocks should be encoded. */
interface Target {
  readonly policy: Policy
  readonly generation: number
}

/** Rows like `extentRows`, each with its bucket's own policy. */
const encodedRows = query("EncodedRows", (view, family: ExtentFamily, start: RowKey) => {
  const { rows, next } = readExtentRows(view, family, start, REENCODE_LIMITS.rowsPerStep)
  const encoded = rows.map(({ rowKey, row }) => {
    const chosen = policyOfBucket(view, parseBucketId(parseObjectRowKey(rowKey).bucketId))
    return { rowKey, row, chosen }
  })
  return { rows: encoded, next }
})

/** The recovery header of an upload that a row references; undefined if only rows that wait for the collector do. */
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
  /** Uploads that could not be re-encoded in this walk. */
  private readonly waiting = new Set<UploadId>()
  private retryAtMs: number | undefined
  /** Failed attempts since the last change. */
  private retries = 0
  private heldAtChange: UploadId[] = []
  private readonly rate = new WorkRate()
  private countedBytes = 0
  private doneBytes = 0
  private swaps = 0
  private isPaused = false
  /** Changes of bucket policies in progress, or with an unknown outcome. */
  private changes = 0

  private readonly clock: Clock
  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads
  private readonly log: Log

  constructor(
    { clock, metadata, blocks, uploads, log }: ObjectBackend,
    private readonly source: RedundancySource,
    private readonly bound: RateBound,
    private readonly onHints: (hints: readonly MissingShardHint[]) => void,
  ) {
    this.clock = clock
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
    this.log = log
  }

  progress(): string {
    const { doneBytes, remainingBytes } = this.report()
    if (this.isPaused) return "paused"
    if (remainingBytes === undefined) return "counting"
    const waiting = `${this.waiting.size} uploads waiting for devices`
    return `${doneBytes} bytes re-encoded, ${remainingBytes} remaining, ${waiting}`
  }

  report(): ReencodeReport {
    const isCounting = this.walk?.counts === true
    const remainingBytes = this.walk === undefined ? 0 : Math.max(0, this.countedBytes - this.doneBytes)
    return {
      isPaused: this.isPaused,
      doneBytes: this.doneBytes,
      remainingBytes: isCounting ? undefined : remainingBytes,
      secondsLeft: isCounting ? undefined : this.rate.secondsFor(remainingBytes),
      waiting: this.waiting.size + this.heldAtChange.length,
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
   * Changes a bucket's policy: in the control record, which creates a new policy version, and then in the bucket's row.
   * Nothing is re-encoded in between, while the version is new and the policy is not: all needles of one generation
   * have one policy. If it is unknown whether the row was written, nothing is re-encoded until the next start.
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
    if (reason !== this.reason || isRetry || this.haveHeldEnded()) {
      if (this.job) await this.abandon(this.job)
      this.heldAtChange = reason === this.reason ? [] : [...this.uploads.heldNow()]
      this.begin(reason)
    }
    if (this.job) return this.work(this.job, signal)
    if (this.walk === undefined) return "idle"
    if (this.waiting.size >= REENCODE_LIMITS.waitingMax) this.endWalk({ ...this.walk, counts: false })
    else await this.walkFurther(this.walk)
    return "busy"
  }

  /** Uploads in progress at a change may have used the old policy, and their rows may have appeared behind the walk. */
  private haveHeldEnded(): boolean {
    if (this.heldAtChange.length === 0 || this.walk !== undefined || this.job !== undefined) return false
    return !this.heldAtChange.some(uploadId => this.uploads.isHeld(uploadId))
  }

  /** Identifies all changes by which blocks may need re-encoding, or may become possible to re-encode. */
  private reasonNow(): string {
    // With the time of each state: a device may leave and come back between two steps.
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

  /** Walks the next rows; a walk that found something to do is followed by one that does it. */
  private async walkFurther(walk: Walk): Promise<void> {
    const family = EXTENT_FAMILIES[walk.family]
    if (family === undefined) return this.endWalk(walk)
    const generation = this.source.policyVersion()
    const { rows, next } = await this.metadata.ask(encodedRows(family, walk.from))
    // The rows' policies belong to this generation only if no policy changed meanwhile.
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
    // Exceptions to drop are checked only when an upload is processed.
    const plan = planReencode(extent, policy, generation, () => true)
    if (!plan) return
    this.swaps += 1
    this.countedBytes += plan.runs.reduce((sum, run) => sum + bytesOfRun(extent, run), 0)
  }

  /** Starts with an upload if it needs re-encoding. */
  private async take(rowKey: RowKey, extent: Extent, { policy, generation }: Target): Promise<boolean> {
    const { uploadId } = extent
    if (this.waiting.has(uploadId)) return false
    const plan = await this.planFor(extent, policy, generation)
    if (!plan) return false
    if (this.uploads.isHeld(uploadId)) {
      // Checked again as soon as the upload is released.
      if (!this.heldAtChange.includes(uploadId)) this.heldAtChange.push(uploadId)
      return false
    }
    const { bucketId: bucket, key } = parseObjectRowKey(rowKey)
    const bucketId = parseBucketId(bucket)
    const name = { bucketId, key, uploadId }
    // Hold the upload before reading its rows, so that it is not discarded in between.
    this.uploads.hold(uploadId)
    const kept = await recover(
      () => this.metadata.ask(keptExtent(name)),
      error => {
        this.uploads.release(uploadId)
        throw error
      },
    )
    if (kept === undefined) {
      this.uploads.release(uploadId)
      return false
    }
    const remaining = plan.runs.flatMap(({ firstBlock, lastBlock }) =>
      Array.from({ length: lastBlock - firstBlock + 1 }, (_, i) => firstBlock + i),
    )
    this.job = {
      name,
      extent,
      recoveryHeader: kept.recoveryHeader,
      policy,
      generation,
      plan,
      remaining,
      late: new Map(),
      hints: [],
    }
    return true
  }

  /** Repeats the planning with the answers of remote devices. */
  private async planFor(extent: Extent, policy: Policy, generation: number): Promise<ReencodePlan | undefined> {
    const assigned = new Map<number, boolean>()
    for (;;) {
      const pending: Promise<void>[] = []
      const plan = planReencode(extent, policy, generation, block => {
        const answer = assigned.get(block) ?? this.blocks.isAssigned(extent, block)
        if (!(answer instanceof Promise)) return answer
        pending.push(answer.then(isAssigned => void assigned.set(block, isAssigned)))
        return false
      })
      if (pending.length === 0) return plan
      await Promise.all(pending)
    }
  }

  /** Re-encodes the next blocks, or does the swap that completes the upload. */
  private async work(job: ReencodeTarget, signal: AbortSignal): Promise<StepOutcome> {
    try {
      if (job.remaining.length === 0) {
        await this.swap(job)
        return "busy"
      }
      if (this.bound.isOver(this.clock.monotonicMs())) return "throttled"
      const done = await mapBounded(
        job.remaining.slice(0, REENCODE_LIMITS.blocksPerStep),
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
      this.log.debug("reencoding_postponed", { upload: job.name.uploadId, reason: error.message })
      // Rows may reference the new blocks, now or after the next start: remove nothing.
      if (isFailure(error, "indeterminate", "stopping")) this.end(job, "waits")
      else await this.abandon(job)
      return isFailure(error, "deviceFull") ? "throttled" : "busy"
    }
  }

  /** Returns the bytes of the block; 0 if memory is short. */
  private async reencode(job: ReencodeTarget, block: number, signal: AbortSignal): Promise<number> {
    const { name, extent, policy, generation } = job
    const { bucketId, key } = name
    const recoveryHeader = block === 0 ? job.recoveryHeader : undefined
    const request = { extent, block, owner: { bucketId, key }, policy, generation, recoveryHeader }
    const reencoded = await this.blocks.reencode(request, signal)
    if (!reencoded) return 0
    job.remaining.splice(job.remaining.indexOf(block), 1)
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

  /** Removes the new blocks; leftovers are rewritten identically, or resolved after the next start. */
  private async abandon(job: ReencodeTarget): Promise<void> {
    const { extent, policy, generation, plan, remaining } = job
    const written = { ...extent, policy, generation, exceptions: [] }
    // The first block may have failed half-way while the one behind it completed: both were started.
    const untouched = remaining.slice(REENCODE_LIMITS.blocksPerStep)
    const runs = plan.runs.flatMap(run => withoutBlocks(run, untouched))
    try {
      if (runs.length > 0 && !(await this.isNamed(job))) await this.blocks.remove(written, runs)
    } catch (error) {
      this.log.debug("reencoded_blocks_left", { error: String(error) })
    } finally {
      this.end(job, "waits")
    }
  }

  /** Whether a row references blocks of the new generation. Throws if unknown: a swap may have been cut off. */
  private async isNamed({ name, generation }: ReencodeTarget): Promise<boolean> {
    const isNew = (extent: Extent): boolean => stretchesOf(extent).some(stretch => stretch.generation === generation)
    return (await this.metadata.run(readNamings(name))).some(isNew)
  }

  private end(job: ReencodeTarget, outcome: "done" | "waits"): void {
    if (outcome === "waits") this.waiting.add(job.name.uploadId)
    this.uploads.release(job.name.uploadId)
    this.job = undefined
  }
}

const bytesOfRun = (extent: Extent, { firstBlock, lastBlock }: BlockRun): number =>
  Math.min(extent.lengthBytes, (lastBlock + 1) * extent.blockBytes) - firstBlock * extent.blockBytes

function withoutBlocks({ firstBlock, lastBlock }: BlockRun, remaining: readonly number[]): BlockRun[] {
  const next = remaining.find(block => block >= firstBlock && block <= lastBlock) ?? lastBlock + 1
  return next > firstBlock ? [{ firstBlock, lastBlock: next - 1 }] : []
}
