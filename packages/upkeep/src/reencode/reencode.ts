/**
 * Re-encoding: brings blocks under the policy that they should have. A job.
 *
 * It walks over all rows when there is a reason: a policy has changed, devices have come back, so that blocks written
 * on fewer devices can get their full policy, or notes of processes: versions have moved to another class, or all is
 * committed that was written under a former policy. Notes wait for the end of a walk that is under way, and start the next
 * one; the other reasons restart it. A first walk counts. A second one re-encodes upload by upload: it
 * announces the new needles with an intent row, writes them, and then one command makes every row that references the
 * upload reference the new blocks. The old blocks become pending deletions.
 *
 * Promises  At any moment a row references whole blocks. An interruption leaves unreferenced needles and their intent;
 *           the next walk of any process gives it up, which makes them pending deletions.
 * Limits    REENCODE_LIMITS; memory is the slab pool's, and only while plenty of it is free.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { outcomeAfter } from "@hayloft/base/space/full-disk-core.js"
import type { RowKey, UploadId } from "@hayloft/base/ids.js"
import { parseBucketId } from "@hayloft/base/ids.js"
import { plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { policyOfOpenEnd, shardCount, shardsNeeded, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { blockShape, type BlockRun, type Blocks } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { isWaitedOut, mapBounded, PassFailed, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import { ALL_OBJECT_ROWS, HINTS_PER_COMMAND, recordHints, type MissingShardHint } from "@hayloft/objects/door/rows.js"
import {
  EXTENT_FAMILIES,
  extentsOf,
  isOpenEnd,
  readExtentRows,
  type ExtentFamily,
  policyOfBucket,
  recoveryHeaderOf,
  namingsOf,
  type UploadName,
  beginReencoding,
  giveUpReencoding,
  isKept,
  leftIntents,
  type RowPlace,
  swapExtent,
  forgetNotes,
  reencodeNotes,
  type ReencodeNotes,
  type ObjectBackend,
  type Uploads,
} from "@hayloft/objects/door/bytes.js"
import { planReencode, reencodedExtent, type ReencodePlan } from "./reencode-core.js"
import type { RedundancySource } from "../repair/repair-contract.js"
import type { ClassMap, RateBound } from "@hayloft/objects/door/index.js"
import { WorkRate } from "../repair/repair-rate-core.js"
import { classesOfRows } from "./row-classes.js"
import { PoliciesOfRows } from "./policies-of-rows.js"

export const REENCODE_LIMITS = {
  rowsPerStep: 256,
  /** Blocks of one upload that one step re-encodes concurrently. */
  blocksPerStep: 2,
  /** Uploads that could not be re-encoded are retried after this, with the delay doubling each time … */
  retryMs: 5_000,
  /** … up to this. */
  retryMsMax: 10 * 60_000,
  /** From the end of a walk until the next one for new notes: rules may move versions all day. */
  notesWaitMs: 60_000,
  /** With more of them the walk stops until then. */
  waitingMax: 10_000,
  notesPerCommand: 100,
} as const

/** The report of re-encoding. */
export interface ReencodeReport {
  readonly isPaused: boolean
  /** It is not known yet whether anything remains: after a start, and while the rows are walked for the first time. */
  readonly isCounting: boolean
  /** Bytes of blocks. */
  readonly doneBytes: number
  /** It is undefined while counting. */
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
  /** The size of the next page: it begins small, since the next upload ends it, and doubles. */
  readonly rows: number
}

const WALK_START = { family: 0, from: ALL_OBJECT_ROWS.start, rows: 1 } as const

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

/** Rows like `extentRows`, each with its bucket's own policy, and with what its storage class depends on if `withClasses`. */
export const encodedRows = query(
  "EncodedRows",
  (
    view,
    family: ExtentFamily,
    start: RowKey,
    { max, withClasses }: { readonly max: number; readonly withClasses: boolean },
  ) => {
    const { rows, next } = readExtentRows(view, family, start, max)
    const classes = withClasses ? classesOfRows(view, family, rows) : undefined
    const encoded = rows.map(({ rowKey, row }, i) => {
      const chosen = policyOfBucket(view, parseBucketId(parseObjectRowKey(rowKey).bucketId))
      return { rowKey, row, chosen, ofClass: classes?.[i] ?? "STANDARD" }
    })
    return { rows: encoded, next }
  },
)

/** The recovery header of an upload that a row references; undefined if only rows that wait for the collector do. */
export const keptExtent = query("KeptExtent", (view, name: UploadName) => {
  for (const naming of namingsOf(view, name))
    if (isKept(view, name, naming)) return { recoveryHeader: recoveryHeaderOf(view, name, naming) }
  return undefined
})

export class Reencode implements Job {
  readonly name = "reencode"
  private reason: string | undefined
  private walk: Walk | undefined
  /** The notes when the walk began. */
  private walkedFor: ReadonlySet<string> = new Set()
  /** When it looks for new ones. */
  private notesFromMs = 0
  /** Nothing is left to look for since the walk: only this process leaves notes, and only of moves. */
  private isTidy = false
  /** The row from which to look for intents that no process works on; undefined: there are none. */
  private intentsFrom: RowKey | undefined
  private job: ReencodeTarget | undefined
  /** Uploads that could not be re-encoded in this walk. */
  private readonly waiting = new Set<UploadId>()
  /** The first reason of this walk that the job does not wait out. */
  private lasting: string | undefined
  private retryAtMs: number | undefined
  /** Failed attempts since the last change. */
  private retries = 0
  private heldAtChange: UploadId[] = []
  private readonly rate = new WorkRate()
  private countedBytes = 0
  private doneBytes = 0
  /** Re-encoded bytes of the present job that its swap completes. */
  private swapBytes = 0
  private swaps = 0
  private isPaused = false
  /** Changes of bucket policies that have ended, with whatever outcome. */
  private changes = 0

  private readonly policies: PoliciesOfRows
  private readonly clock: Clock
  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads
  private readonly log: Log

  constructor(
    { clock, metadata, blocks, uploads, log }: ObjectBackend,
    private readonly source: RedundancySource,
    private readonly classes: Pick<ClassMap, "policyOf" | "isAnyMapped">,
    private readonly bound: RateBound,
    private readonly onHints: (hints: readonly MissingShardHint[]) => void,
    /** Other processes of the store use the same metadata. */
    private readonly isShared: boolean,
  ) {
    this.clock = clock
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
    this.log = log
    this.policies = new PoliciesOfRows(metadata, classes)
  }

  progress(): string {
    const { doneBytes, remainingBytes } = this.report()
    if (this.isPaused) return "paused"
    if (remainingBytes === undefined) return "counting"
    const waiting = `${plural(this.waiting.size, "upload")} waiting for devices`
    return `${sizeText(doneBytes)} re-encoded, ${sizeText(remainingBytes)} remaining, ${waiting}`
  }

  report(): ReencodeReport {
    const isCounting = this.walk?.counts === true
    const remainingBytes = this.walk === undefined ? 0 : Math.max(0, this.countedBytes - this.doneBytes)
    return {
      isPaused: this.isPaused,
      isCounting: isCounting || this.reason === undefined,
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

  /** A bucket's policy was changed, or may have been: everything is checked again. */
  policyChanged(): void {
    this.changes += 1
    this.source.wake()
  }

  /** Another process re-encodes from now on: it would wait for the intent as long as this process runs. */
  async release(): Promise<void> {
    const { job } = this
    if (job === undefined) return
    await this.metadata.run(giveUpReencoding(job.name))
    this.end(job, "waits")
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (this.isPaused) return "idle"
    const reason = this.reasonNow()
    const isRetry = this.retryAtMs !== undefined && this.clock.monotonicMs() >= this.retryAtMs
    if (reason !== this.reason || isRetry || this.haveHeldEnded()) {
      if (this.job) await this.abandon(this.job)
      this.heldAtChange = reason === this.reason ? [] : [...this.uploads.heldNow()]
      await this.begin(reason)
    }
    if (this.job) return this.work(this.job, signal)
    if (this.walk === undefined) return this.followNotes(reason)
    if (this.intentsFrom !== undefined) {
      await this.giveUpLeft(this.intentsFrom)
      return "busy"
    }
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
    const buckets = this.source.bucketPolicies().map(({ name, policy }) => `${name} ${textOfPolicy(policy)}`)
    const versions = [this.source.policyVersion(), this.changes, current.version, previous?.version]
    return [...versions, ...devices.sort(), ...buckets.sort()].join(" ")
  }

  /** A walk that begins after a note finds what the note announces. */
  private async followNotes(reason: string): Promise<StepOutcome> {
    if (this.isTidy || this.clock.monotonicMs() < this.notesFromMs) return "idle"
    const { moves, lateWrites, left }: ReencodeNotes = await this.metadata.ask(reencodeNotes())
    // While no class is mapped, moves change no policy.
    const { isAnyMapped } = this.classes
    if ([...(isAnyMapped ? moves : []), ...lateWrites].some(id => !this.walkedFor.has(id))) {
      await this.begin(reason)
      return "busy"
    }
    // Another process, whose last walk may be older, would have to walk for what is still waiting.
    if (left.length > 0 && this.waiting.size === 0 && this.heldAtChange.length === 0)
      await this.metadata.run(forgetNotes(left.slice(0, REENCODE_LIMITS.notesPerCommand)))
    this.isTidy = !this.isShared && !isAnyMapped && left.length === 0
    return "idle"
  }

  private async begin(reason: string): Promise<void> {
    const { moves, lateWrites } = await this.metadata.ask(reencodeNotes())
    this.walkedFor = new Set([...moves, ...lateWrites])
    this.isTidy = false
    if (reason !== this.reason) this.retries = 0
    this.reason = reason
    this.retryAtMs = undefined
    this.walk = { counts: true, ...WALK_START }
    this.intentsFrom = ALL_OBJECT_ROWS.start
    this.waiting.clear()
    this.lasting = undefined
    this.countedBytes = 0
    this.doneBytes = 0
    this.swaps = 0
  }

  /** Gives up what processes that are over, or this one with an unknown outcome, have left. */
  private async giveUpLeft(from: RowKey): Promise<void> {
    const { left, next } = await this.metadata.ask(leftIntents(from, REENCODE_LIMITS.rowsPerStep))
    // One that is held is being encrypted by this process.
    for (const name of left) if (!this.uploads.isHeld(name.uploadId)) await this.giveUp(name)
    this.intentsFrom = next
  }

  /** The new blocks become a pending deletion, now or in a later walk. */
  private async giveUp(name: UploadName): Promise<void> {
    try {
      await this.metadata.run(giveUpReencoding(name))
    } catch (error) {
      if (!isFailure(error)) throw error
      this.log.debug("reencoded_blocks_left", { upload: name.uploadId, reason: error.message })
    }
  }

  /** Walks the next rows; a walk that found something to do is followed by one that does it. */
  private async walkFurther(walk: Walk): Promise<void> {
    const family = EXTENT_FAMILIES[walk.family]
    if (family === undefined) return this.endWalk(walk)
    const paging = { max: walk.rows, withClasses: this.classes.isAnyMapped }
    const { rows, next } = await this.metadata.ask(encodedRows(family, walk.from, paging))
    this.policies.nextStep()
    for (const { rowKey, row, chosen, ofClass } of rows) {
      const ofRow = await this.policies.of(ofClass, chosen ?? this.source.policy())
      if (ofRow === undefined) continue
      const policy = isOpenEnd(family, row) ? policyOfOpenEnd(ofRow) : ofRow
      for (const extent of extentsOf(family, row)) {
        if (walk.counts) this.count(extent, policy)
        else if (await this.take({ family, rowKey }, extent, policy)) {
          this.walk = { ...walk, from: rowKey, rows: 1 }
          return
        }
      }
    }
    const rowsMax = Math.min(2 * walk.rows, REENCODE_LIMITS.rowsPerStep)
    if (next !== undefined) this.walk = { ...walk, from: next, rows: rowsMax }
    else this.walk = { ...walk, family: walk.family + 1, from: ALL_OBJECT_ROWS.start }
  }

  private endWalk({ counts }: Walk): void {
    const hasWork = this.countedBytes > 0 || this.swaps > 0
    this.walk = counts && hasWork ? { counts: false, ...WALK_START } : undefined
    this.swaps = 0
    this.rate.begin(this.clock.monotonicMs())
    this.notesFromMs = this.clock.monotonicMs() + REENCODE_LIMITS.notesWaitMs
    if (this.walk !== undefined || this.waiting.size === 0) return
    const { retryMs, retryMsMax } = REENCODE_LIMITS
    const restMs = Math.min(retryMs * 2 ** this.retries, retryMsMax)
    this.retryAtMs = this.clock.monotonicMs() + (this.lasting === undefined ? restMs : 0)
    this.retries += 1
    if (this.lasting === undefined) return
    throw new PassFailed(`${plural(this.waiting.size, "upload")} could not be re-encoded: ${this.lasting}`, restMs)
  }

  private count(extent: Extent, policy: Policy): void {
    // Exceptions to drop are checked only when an upload is processed.
    const plan = planReencode(extent, policy, () => true)
    if (!plan) return
    this.swaps += 1
    this.countedBytes += plan.runs.reduce((sum, run) => sum + bytesOfRun(extent, run), 0)
  }

  /** Starts with an upload if it needs re-encoding. */
  private async take(foundIn: RowPlace, extent: Extent, policy: Policy): Promise<boolean> {
    const { uploadId } = extent
    if (this.waiting.has(uploadId)) return false
    const plan = await this.planFor(extent, policy)
    if (!plan) return false
    if (this.uploads.isHeld(uploadId)) {
      // Checked again as soon as the upload is released.
      if (!this.heldAtChange.includes(uploadId)) this.heldAtChange.push(uploadId)
      return false
    }
    const { bucketId: bucket, key } = parseObjectRowKey(foundIn.rowKey)
    const bucketId = parseBucketId(bucket)
    const name = { bucketId, key, uploadId, foundIn }
    // Hold the upload before reading its rows, so that it is not discarded in between.
    this.uploads.hold(uploadId)
    try {
      const begun = await this.announce(name, extent, policy, plan)
      if (begun) this.job = { name, extent, policy, plan, ...begun, ...noProgress(plan) }
    } catch (error) {
      if (!isFailure(error)) throw error
      this.postponed(name, error)
      this.waiting.add(uploadId)
    } finally {
      if (this.job === undefined) this.uploads.release(uploadId)
    }
    return this.job !== undefined
  }

  /** Returns undefined if rows reference the upload no longer, or in another place. */
  private async announce(name: UploadName, from: Extent, policy: Policy, { runs }: ReencodePlan) {
    const kept = await this.metadata.ask(keptExtent(name))
    if (kept === undefined) return undefined
    const begin = { ...name, from, policy, runs, generationFloor: this.source.policyVersion() }
    const generation = await this.metadata.run(beginReencoding(begin))
    return generation === undefined ? undefined : { ...kept, generation }
  }

  private postponed({ uploadId }: UploadName, failure: Failure): void {
    const { message } = failure
    if (!isWaitedOut(failure)) this.lasting ??= message
    this.log.debug("reencoding_postponed", { upload: uploadId, reason: message })
  }

  /** Repeats the planning with the answers of remote devices. */
  private async planFor(extent: Extent, policy: Policy): Promise<ReencodePlan | undefined> {
    const assigned = new Map<number, boolean>()
    for (;;) {
      const pending: Promise<void>[] = []
      const plan = planReencode(extent, policy, block => {
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
      // The last ones count once the rows say where the bytes are: until then they have their former redundancy.
      if (job.remaining.length === 0) this.swapBytes = bytes
      else this.doneBytes += bytes
      this.rate.add(bytes, this.clock.monotonicMs())
      this.bound.spend((bytes * shardCount(job.policy)) / shardsNeeded(job.policy), this.clock.monotonicMs())
      return done.includes(0) ? "throttled" : "busy"
    } catch (error) {
      if (!isFailure(error)) throw error
      this.postponed(job.name, error)
      await this.abandon(job)
      return outcomeAfter(error)
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
    await this.metadata.run(swapExtent({ ...name, generation, from: extent, to, replaced: plan.runs }))
    this.doneBytes += this.swapBytes
    this.end(job, "done")
    this.onHints(hints)
  }

  private async abandon(job: ReencodeTarget): Promise<void> {
    try {
      await this.giveUp(job.name)
    } finally {
      this.end(job, "waits")
    }
  }

  private end(job: ReencodeTarget, outcome: "done" | "waits"): void {
    if (outcome === "waits") this.waiting.add(job.name.uploadId)
    this.uploads.release(job.name.uploadId)
    this.swapBytes = 0
    this.job = undefined
  }
}

const bytesOfRun = (extent: Extent, { firstBlock, lastBlock }: BlockRun): number =>
  Math.min(extent.lengthBytes, (lastBlock + 1) * extent.blockBytes) - firstBlock * extent.blockBytes

const noProgress = ({ runs }: ReencodePlan): Pick<ReencodeTarget, "remaining" | "late" | "hints"> => ({
  remaining: runs.flatMap(({ firstBlock, lastBlock }) =>
    Array.from({ length: lastBlock - firstBlock + 1 }, (_, i) => firstBlock + i),
  ),
  late: new Map(),
  hints: [],
})
