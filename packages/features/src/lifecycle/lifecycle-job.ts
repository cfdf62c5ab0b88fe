/**
 * Lifecycle: once a day it goes over the buckets that have rules, and over all multipart uploads, and removes what is
 * due, or moves it to another storage class. Over buckets with expiring objects it goes more often. It is a job; every
 * node of a store runs it, and they share the slices of each pass (`pass-core.ts`).
 *
 * Promises  Nothing is removed or moved but by the rules, or the expiry of the object, as they are when that is decided.
 *           A pass that was interrupted goes on where it was; a slice whose process has ended is done again. Nothing is
 *           due while the store's clock is unknown, and no wall clock that jumps ahead makes anything due. After a start
 *           that has set the store's clock ahead, nothing is removed for a while, so that a wrong wall clock can be
 *           corrected.
 * Limits    LIFECYCLE_LIMITS.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import { ALL_UPLOADS, NOTHING_REMOVED } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import type { LifecycleCounts, LifecyclePass, LifecycleSlice } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { mapBounded, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import { type Core, endFrozen, shownDueTimeMs, type StoreDays, useClass } from "@hayloft/objects/door/index.js"
import { mappedArchives } from "../storage-classes/index.js"
import { expireLatest, expireNoncurrent, expireUpload } from "./expire-commands-core.js"
import { setStorageClass } from "./move-commands-core.js"
import {
  endSlice,
  isOver,
  lifecyclePasses,
  rowsOfPass,
  sumOfCounts,
  takeOverSlice,
  takeSlice,
  type PassOfBucket,
} from "./pass-core.js"
import { dueUploads, dueVersions, type DueKey, type DueSlice, type DueUpload, type LifecycleTime } from "./walk-core.js"

const LIFECYCLE_LIMITS = {
  /** Rows that one slice reads: an engine over SQL gets them with one statement. */
  rowsPerSlice: 2_000,
  /** Keys or uploads of one slice with something due; it ends before the next. */
  duePerSlice: 500,
  /** Commands that remove or move at the same time: they share commits. */
  removalsAtOnce: 64,
  /** Buckets that a process goes over until it reads again how far each pass is: others may have gone over them. */
  bucketsPerLook: 100,
  /** Buckets with expiring objects: after the end of a pass, the next one begins after this … */
  expiryEveryMs: 5 * 60_000,
  /** … and after so many times what their last passes have taken together. */
  expiryRestTimes: 20,
  /** With days up to this long, which are for trying rules out, the job looks every second. */
  shortDayMs: 3_600_000,
} as const

/** An upload that is being completed meanwhile stays. */
function unlessCompleted(error: unknown): false {
  if (isFailure(error, "conflict", "noSuchUpload")) return false
  throw error
}

export interface LifecycleReport {
  readonly abandonedDays: number
  readonly dayMs: number
  /** By this process since it began. */
  readonly removed: LifecycleCounts
  /** Buckets with rules or expiring objects. */
  readonly buckets: number
  /** Passes of today, or of an earlier day, that have not ended. */
  readonly unfinished: number
  /** When the last pass ended by the store's clock; undefined: none has. */
  readonly lastEndedMs: number | undefined
}

interface LifecycleSeams extends Pick<Core, "metadata" | "log" | "random"> {
  readonly classes: Pick<Core["classes"], "policyOf" | "use">
  readonly clock: Pick<Core["clock"], "wallMs">
  readonly storeClock: Pick<Core["storeClock"], "shownMs" | "isDoubtful">
}

interface SliceOfBucket extends LifecycleSlice {
  readonly bucketId: BucketId
}

export class Lifecycle implements Job {
  readonly name = "lifecycle"
  private removed = NOTHING_REMOVED
  private passes: readonly PassOfBucket[] = []
  /** The passes that go on or begin, in a random order: nodes begin with different buckets. */
  private readonly open: PassOfBucket[] = []
  /** When they were read. */
  private readAt: LifecycleTime | undefined
  /** Between passes over a bucket with expiring objects. */
  private restMs: number = LIFECYCLE_LIMITS.expiryEveryMs
  /** The bucket that this process is going over, and its pass as it left it. */
  private current: { readonly bucketId: BucketId; readonly pass: LifecyclePass } | undefined
  /** Buckets whose rows could not be read, and the day. */
  private readonly unreadable = new Map<BucketId, number>()

  constructor(
    private readonly seams: LifecycleSeams,
    private readonly settings: StoreDays,
  ) {}

  progress(): string {
    const { versions, hidden, markers, uploads, moved } = this.removed
    const { unfinished } = this.report()
    const removed = `${versions} versions, ${markers} delete markers and ${uploads} uploads removed, ${hidden} objects hidden`
    const gone = moved === 0 ? removed : `${removed}, ${moved} versions moved to another storage class`
    if (this.seams.storeClock.isDoubtful) return `waits, because the store's clock was set ahead at the start; ${gone}`
    return unfinished === 0 ? gone : `${unfinished} passes under way; ${gone}`
  }

  report(): LifecycleReport {
    const ends = this.passes.flatMap(({ pass }) => pass?.endedMs ?? [])
    return {
      ...this.settings,
      removed: this.removed,
      buckets: this.passes.filter(({ bucketId }) => bucketId !== ALL_UPLOADS).length,
      unfinished: this.passes.filter(each => this.isUnfinished(each)).length,
      lastEndedMs: ends.length === 0 ? undefined : Math.max(...ends),
    }
  }

  /** Also a pass that is about to begin. */
  private isUnfinished({ pass }: PassOfBucket): boolean {
    return pass?.endedMs === undefined || (this.readAt !== undefined && isOver(pass, this.readAt))
  }

  /** The time by which rules are judged, also while the store's clock is doubtful: a preview removes nothing. Undefined: it is unknown. */
  time(): (LifecycleTime & StoreDays) | undefined {
    const { clock, storeClock } = this.seams
    const nowMs = shownDueTimeMs({ clock, storeClock: { shownMs: storeClock.shownMs, isDoubtful: false } })
    return nowMs === undefined ? undefined : { ...this.settings, nowMs, archives: mappedArchives(this.seams.classes) }
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const idle = this.settings.dayMs <= LIFECYCLE_LIMITS.shortDayMs ? "throttled" : "idle"
    const time = this.time()
    if (time === undefined || this.seams.storeClock.isDoubtful) return idle
    if (this.current !== undefined) {
      const { bucketId, pass } = this.current
      this.current = undefined
      if (pass.next !== undefined) return this.nextSlice(bucketId, pass, time, signal)
    }
    // Another process may have gone over it meanwhile: then its slice is not taken.
    const chosen = this.open.pop() ?? (await this.look(time))
    if (chosen === undefined) return idle
    const [left] = chosen.left
    if (left !== undefined) return this.leftSlice({ bucketId: chosen.bucketId, ...left }, time, signal)
    return this.nextSlice(chosen.bucketId, chosen.pass, time, signal)
  }

  /** Reads how far each pass is. Returns one with something to do: slices that are left come first. */
  private async look(time: LifecycleTime): Promise<PassOfBucket | undefined> {
    this.passes = await this.seams.metadata.ask(lifecyclePasses())
    this.readAt = time
    this.restMs = restOf(this.passes)
    const day = Math.floor(time.nowMs / time.dayMs)
    const readable = this.passes.filter(({ bucketId }) => this.unreadable.get(bucketId) !== day)
    const left = readable.find(pass => pass.left.length > 0)
    if (left !== undefined) return left
    const open = readable.filter(({ pass }) => isOver(pass, time, this.restMs) || pass?.next !== undefined)
    while (open.length > 0 && this.open.length < LIFECYCLE_LIMITS.bucketsPerLook) {
      this.open.push(...open.splice(this.seams.random.below(open.length), 1))
    }
    return this.open.pop()
  }

  private async nextSlice(
    bucketId: BucketId,
    pass: LifecyclePass | undefined,
    time: LifecycleTime & StoreDays,
    signal: AbortSignal,
  ): Promise<StepOutcome> {
    const rows = rowsOfPass(bucketId)
    const { restMs } = this
    const start = (isOver(pass, time, restMs) ? undefined : pass?.next) ?? rows.start
    const found = await this.find({ bucketId, start, end: undefined }, time)
    if (found === undefined) return "busy"
    const isTaken = found.due.length > 0
    const take = { bucketId, time, isTaken, restMs, start, end: found.next }
    const taken = await this.seams.metadata.run(takeSlice(take))
    // Another process was faster: its next slice is chosen in the next step.
    if (taken === undefined) return "busy"
    this.current = { bucketId, pass: taken }
    if (isTaken) await this.finish(take, found, time, signal)
    else this.noteEnd(bucketId, taken)
    return "busy"
  }

  /** A slice that this process has begun before, or one that is over. */
  private async leftSlice(
    slice: SliceOfBucket,
    time: LifecycleTime & StoreDays,
    signal: AbortSignal,
  ): Promise<StepOutcome> {
    if (!(await this.seams.metadata.run(takeOverSlice(slice)))) return "busy"
    for (let rest = slice; !signal.aborted;) {
      const found = await this.find(rest, time)
      if (found === undefined) return "busy"
      const removed = await this.remove(rest.bucketId, found, time, signal)
      if (found.next === undefined) {
        await this.end(slice, removed, time, signal)
        break
      }
      rest = { ...rest, start: found.next }
    }
    return "busy"
  }

  /**
   * Returns what is due in a slice. Returns undefined if its rows cannot be read: the bucket waits for the next day.
   */
  private async find(
    { bucketId, start, end }: SliceOfBucket,
    time: LifecycleTime & StoreDays,
  ): Promise<Found | undefined> {
    const { metadata, log } = this.seams
    const { rowsPerSlice: rowsMax, duePerSlice: dueMax } = LIFECYCLE_LIMITS
    const bounds = { start, end: end ?? rowsOfPass(bucketId).end, rowsMax, dueMax }
    try {
      return bucketId === ALL_UPLOADS
        ? { kind: "uploads", ...(await metadata.ask(dueUploads(bounds, time))) }
        : { kind: "versions", ...(await metadata.ask(dueVersions(bucketId, bounds, time))) }
    } catch (error) {
      if (!isFailure(error, "corruptRecord", "corruptRow")) throw error
      this.unreadable.set(bucketId, Math.floor(time.nowMs / time.dayMs))
      log.error("lifecycle_unreadable", { bucket_id: bucketId, error: String(error) })
      return undefined
    }
  }

  private async finish(slice: SliceOfBucket, found: Found, time: LifecycleTime & StoreDays, signal: AbortSignal) {
    await this.end(slice, await this.remove(slice.bucketId, found, time, signal), time, signal)
  }

  /** A slice that was interrupted stays taken: it is done again. */
  private async end(slice: SliceOfBucket, removed: LifecycleCounts, time: LifecycleTime, signal: AbortSignal) {
    if (signal.aborted) return
    const { bucketId, start } = slice
    const pass = await this.seams.metadata.run(endSlice({ bucketId, start, nowMs: time.nowMs, removed }))
    if (pass !== undefined) this.noteEnd(bucketId, pass)
  }

  private noteEnd(bucketId: BucketId, { startedMs, endedMs, removed }: LifecyclePass): void {
    if (endedMs === undefined) return
    const { versions, bytes, hidden, markers, uploads, moved, movedBytes } = removed
    if (versions + hidden + markers + uploads + moved === 0) return
    this.seams.log.info("lifecycle_pass", {
      bucket_id: bucketId,
      seconds: Math.round((endedMs - startedMs) / 1000),
      versions,
      bytes,
      hidden,
      markers,
      uploads,
      ...(moved > 0 && { moved, moved_bytes: movedBytes }),
    })
  }

  private async remove(
    bucketId: BucketId,
    found: Found,
    time: LifecycleTime & StoreDays,
    signal: AbortSignal,
  ): Promise<LifecycleCounts> {
    const { removalsAtOnce } = LIFECYCLE_LIMITS
    const counts =
      found.kind === "uploads"
        ? await mapBounded(found.due, removalsAtOnce, upload =>
            this.unlessUnreadable(upload.bucketId, () => this.removeUpload(upload, time, signal)),
          )
        : await mapBounded(found.due, removalsAtOnce, key =>
            this.unlessUnreadable(bucketId, () => this.removeOf(bucketId, key, time, signal)),
          )
    const removed = counts.reduce(sumOfCounts, NOTHING_REMOVED)
    this.removed = sumOfCounts(this.removed, removed)
    return removed
  }

  /** One object whose rows cannot be read, or change all the time, holds up no others: it has its turn tomorrow. */
  private async unlessUnreadable(bucketId: BucketId, remove: () => Promise<LifecycleCounts>): Promise<LifecycleCounts> {
    try {
      return await remove()
    } catch (error) {
      if (!isFailure(error, "corruptRecord", "corruptRow", "conflict")) throw error
      this.seams.log.error("lifecycle_object_skipped", { bucket_id: bucketId, error: String(error) })
      return NOTHING_REMOVED
    }
  }

  private async removeUpload(
    upload: DueUpload,
    time: LifecycleTime & StoreDays,
    signal: AbortSignal,
  ): Promise<LifecycleCounts> {
    if (signal.aborted) return NOTHING_REMOVED
    const { metadata } = this.seams
    const expired = await metadata.run(expireUpload(upload, time))
    const isGone =
      expired === "frozen first"
        ? await endFrozen(metadata, upload, false, frozen => expireUpload(upload, time, frozen)).catch(unlessCompleted)
        : expired
    return { ...NOTHING_REMOVED, uploads: Number(isGone) }
  }

  /** Older versions first: once the latest is hidden, it is one of them. It moves before it is hidden. */
  private async removeOf(
    bucketId: BucketId,
    { key, isLatestDue, from: first, moves }: DueKey,
    time: LifecycleTime,
    signal: AbortSignal,
  ): Promise<LifecycleCounts> {
    const { metadata, random } = this.seams
    let removed = NOTHING_REMOVED
    for (let from = first; from !== undefined && !signal.aborted;) {
      const expired = await metadata.run(expireNoncurrent({ bucketId, key, from }, time))
      removed = sumOfCounts(removed, expired.removed)
      from = expired.next
    }
    // Any class will do: earlier releases know none.
    if (moves.length > 0) await useClass(this.seams.classes, "STANDARD_IA")
    for (const versionId of moves) {
      if (signal.aborted) return removed
      removed = sumOfCounts(removed, await metadata.run(setStorageClass({ bucketId, key, versionId }, time)))
    }
    if (!isLatestDue || signal.aborted) return removed
    return sumOfCounts(removed, await metadata.run(expireLatest({ bucketId, key, random: random.bytes(8) }, time)))
  }
}

/** Passes over buckets with expiring objects take no more than a share of the time. */
function restOf(passes: readonly PassOfBucket[]): number {
  const { expiryEveryMs, expiryRestTimes } = LIFECYCLE_LIMITS
  const took = passes.reduce((sum, { pass }) => {
    const isTimed = pass?.expires !== undefined && pass.endedMs !== undefined
    return isTimed ? sum + Math.max(0, pass.endedMs - pass.startedMs) : sum
  }, 0)
  return Math.max(expiryEveryMs, expiryRestTimes * took)
}

type Found = ({ readonly kind: "uploads" } & DueSlice<DueUpload>) | ({ readonly kind: "versions" } & DueSlice<DueKey>)
