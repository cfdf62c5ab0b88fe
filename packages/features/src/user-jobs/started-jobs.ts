/**
 * Started jobs: starts, shows and ends the jobs of callers, and works through bulk jobs, each a page at a time in turn. One
 * process of the store does so (see `LeasedJob`); all of them show the jobs.
 *
 * Promises  A job survives the end of its process: the next one goes on where it was. Each item counts once: before a page is
 *           begun, the row notes how many items it has; if its process dies, the page is done again, which changes nothing
 *           that is done, and is counted then. If two processes work on one page, one of them counts it.
 *           A cancelled job ends after the page under way; nothing that was done is undone.
 * Refuses   More than `JOB_LIMITS.underWayMax` jobs at a time, and to cancel what the store itself does.
 * Limits    `JOB_LIMITS`.
 */
import { assert } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure, sentenceOf, type Failure } from "@hayloft/base/failures.js"
import { parseJobId, textOfObjectKey, type JobId } from "@hayloft/base/ids.js"
import type { JobFailure, JobRecord } from "@hayloft/engine/format/job-record.js"
import { mapBounded, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { endedRequest } from "./bulk-request.js"
import type {
  FollowedWork,
  ItemWork,
  JobStarter,
  NewStartedJob,
  OpenWork,
  StartedJob,
  WholeWork,
} from "../operator/index.js"
import type { JobRow } from "./job-commands-core.js"
import { JobRows, NOTHING } from "./job-rows.js"
import { JOB_LIMITS } from "./limits.js"
import { isFollowed, resultOf, shownJob, withFailures, withPlan } from "./shown-core.js"

interface StartedJobSeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Resolves once the devices refuse releases that do not know jobs. */
  readonly prepare: () => Promise<void>
  /** The time by which ended jobs are old: a wall clock that is ahead for a while drops none. Undefined: none is old. */
  readonly dueTimeMs: () => number | undefined
  /** The kinds of jobs that work on rows of the metadata. */
  readonly rowKinds?: ReadonlySet<string>
}

/** The next turn of a job comes later: the job has a rate, or has just failed. */
interface Wait {
  readonly untilMs: number
  readonly isOfRate: boolean
}

interface Sample {
  readonly atMs: number
  readonly done: number
}

/** Only the request itself can be wrong, or its starter not allowed to make it: trying again does not help. */
const endsJob = ({ remedy, kind }: Failure): boolean =>
  (remedy === "fixRequest" || remedy === "signIn") && kind !== "conflict"

/** With several nodes, one does it that also does what it follows. */
export const STARTED_JOBS = "started-jobs"

export class StartedJobs implements Job {
  readonly name = STARTED_JOBS
  private readonly rows: JobRows
  private open: OpenWork = () => Promise.reject(fail("notImplemented", { message: "this process works on no jobs" }))
  private followed: () => readonly FollowedWork[] = () => []
  private wakeWorker: () => void = () => undefined
  private shownProgress = "no jobs under way"
  private readonly samples = new Map<JobId, Sample[]>()
  private readonly waits = new Map<JobId, Wait>()
  /** Attempts of this process that have failed where the job is: at objects of its page, or at what it discards. */
  private readonly attempts = new Map<JobId, { readonly cursor: string; readonly times: number }>()
  /** Work on one whole thing that this process has begun; `begun`: as the row names it. */
  private readonly whole = new Map<JobId, { readonly work: WholeWork; readonly begun: string }>()
  private lastWorked: JobId | undefined
  private followedAtMs = -Infinity
  /** Work without a job at the latest look. */
  private unnoted: readonly FollowedWork[] = []
  private watchers = 0

  constructor(private readonly seams: StartedJobSeams) {
    const { random, metadata, prepare, dueTimeMs } = seams
    this.rows = new JobRows(random, metadata, prepare, dueTimeMs)
  }

  /** `open` makes the work of bulk jobs; `followed` returns the work of the store itself; `wake` wakes the process that works. */
  attach(open: OpenWork, followed: () => readonly FollowedWork[], wake: () => void): void {
    this.open = open
    this.followed = followed
    this.wakeWorker = wake
  }

  private isOfRows({ kind }: Pick<JobRow, "kind">): boolean {
    return this.seams.rowKinds?.has(kind) === true
  }

  progress(): string {
    return this.shownProgress
  }

  /** Throws `invalidArgument`, `limitExceeded`, and what the first look at the items throws. */
  async start({ itemsPerSecond: _, ...job }: NewStartedJob): Promise<StartedJob> {
    const startedMs = this.seams.clock.wallMs()
    const work = await this.open({ ...job, startedMs })
    await work.prepare()
    const row = await this.rows.start({ ...job, startedMs }, false)
    this.seams.log.info("job_started", { job: row.id, target: row.target })
    this.wakeWorker()
    return this.shown(row)
  }

  /** The newest first. */
  async list(): Promise<readonly StartedJob[]> {
    const rows = [...(await this.rows.list())].sort((a, b) => b.startedMs - a.startedMs || (a.id < b.id ? 1 : -1))
    const works = this.followed()
    return rows.map(row => this.shown(row, works))
  }

  /** Throws `noSuchEntity`. */
  async get(id: JobId): Promise<StartedJob> {
    return this.shown(await this.rows.get(id))
  }

  /** The work of the store itself, as this process knows it. */
  works(): readonly FollowedWork[] {
    return this.followed()
  }

  /** A short text that differs for other texts. */
  digest(text: string): string {
    return digestOnce("md5", Buffer.from(text, "utf8"), "hex").slice(0, REVISION_LETTERS)
  }

  /**
   * The jobs once they differ from `revision`, or after `waitMs`. Throws `tooManyInFlight` for more than
   * `JOB_LIMITS.watchersMax` watchers.
   */
  async watch<Shown>(
    read: () => Promise<{ readonly shown: Shown; readonly revision: string }>,
    revision: string | undefined,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Shown> {
    if (this.watchers >= JOB_LIMITS.watchersMax)
      throw fail("tooManyInFlight", { message: "too many requests watch jobs" })
    this.watchers += 1
    try {
      const { clock } = this.seams
      const untilMs = clock.monotonicMs() + Math.min(waitMs, JOB_LIMITS.watchMsMax)
      for (;;) {
        const found = await read()
        const leftMs = untilMs - clock.monotonicMs()
        if (revision === undefined || found.revision !== revision || leftMs <= 0 || signal.aborted) return found.shown
        await clock.sleep(Math.min(leftMs, JOB_LIMITS.watchEveryMs), signal)
      }
    } finally {
      this.watchers -= 1
    }
  }

  /** Throws `noSuchEntity`, and `conflict` for a job that has ended, or cannot be cancelled, with what undoes it. */
  async cancel(id: JobId): Promise<StartedJob> {
    return this.setFlag(id, { isCancelling: true, isPaused: false }, "cancelled")
  }

  /** Throws as `cancel`. */
  async setPaused(id: JobId, isPaused: boolean): Promise<StartedJob> {
    return this.setFlag(id, { isPaused }, isPaused ? "paused" : "resumed")
  }

  private async setFlag(id: JobId, change: Partial<JobRecord>, word: string): Promise<StartedJob> {
    const changed = await this.rows.change(id, row => {
      const { ended, cancelBy } = { ended: row.ended, cancelBy: this.shown(row).cancelBy }
      if (ended !== undefined) throw fail("conflict", { message: `job ${id} has ended: ${ended.result}` })
      if (cancelBy !== undefined) throw fail("conflict", { message: `job ${id} cannot be ${word} here: ${cancelBy}` })
      return change
    })
    this.wakeWorker()
    return changed === undefined ? this.get(id) : this.shown(changed)
  }

  /** The row of work that the store does from now on, or did before the call ended. */
  async follow(work: Named, starter: JobStarter): Promise<StartedJob> {
    const { kind, target } = work
    const startedMs = this.seams.clock.wallMs()
    return this.shown(await this.rows.start({ kind, target, request: "", starter, startedMs, isDryRun: false }, true))
  }

  private shown(row: JobRow, works = this.followed()): StartedJob {
    const followed = isFollowed(row) ? workOf(works, row) : undefined
    return shownJob(row, followed, this.seams.clock.wallMs(), this.isOfRows(row))
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const { clock } = this.seams
    const rows = (await this.rows.list()).filter(({ ended }) => ended === undefined)
    if (clock.monotonicMs() >= this.followedAtMs + JOB_LIMITS.followEveryMs) {
      this.followedAtMs = clock.monotonicMs()
      await this.noteFollowed(rows.filter(isFollowed))
    }
    const bulk = rows.filter(row => !isFollowed(row))
    this.forgetEnded(bulk)
    this.shownProgress = bulk.length === 0 ? "no jobs under way" : `${plural(bulk.length, "job")} under way`
    const ready = bulk.filter(({ isPaused, isCancelling }) => !isPaused || isCancelling)
    if (ready.length === 0) return rows.length === 0 ? "idle" : "throttled"
    const due = ready.filter(row => this.isDue(row))
    const next = due.find(({ id }) => this.lastWorked !== undefined && id > this.lastWorked) ?? due[0]
    if (next === undefined) return "throttled"
    this.lastWorked = next.id
    await this.advance(next, signal)
    return "busy"
  }

  /** A job that is cancelled does not wait for its rate, which may be one item in hours. */
  private isDue({ id, isCancelling }: JobRow): boolean {
    const wait = this.waits.get(id)
    return wait === undefined || (isCancelling && wait.isOfRate) || this.seams.clock.monotonicMs() >= wait.untilMs
  }

  private keepRate({ id }: JobRow, items: number, perSecond: number | undefined): void {
    if (perSecond === undefined) return
    this.waits.set(id, { untilMs: this.seams.clock.monotonicMs() + (items / perSecond) * 1_000, isOfRate: true })
  }

  private forgetEnded(bulk: readonly JobRow[]): void {
    const ids = new Set(bulk.map(({ id }) => id))
    for (const known of [this.samples, this.waits, this.attempts, this.whole])
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id)
  }

  /** One page of one job. A failure that passes is noted, and the job's turn comes again. */
  private async advance(row: JobRow, signal: AbortSignal): Promise<void> {
    try {
      const work = this.whole.get(row.id)?.work ?? (await this.open(row))
      if ("advance" in work) return await this.makeWhole(row, work)
      await this.advanceItems(row, work, signal)
    } catch (error) {
      if (signal.aborted) return
      const failure = asFailure(error)
      const lastError = sentenceOf(failure)
      if (!(await this.isOurs(row.id))) return
      if (endsJob(failure)) {
        await this.discardWhole(row.id)
        return this.end(row.id, row.isCancelling ? "cancelled" : "failed", lastError)
      }
      this.waits.set(row.id, { untilMs: this.seams.clock.monotonicMs() + JOB_LIMITS.retryMs, isOfRate: false })
      await this.rows.change(row.id, ({ ended, lastError: known }) =>
        ended === undefined && known !== lastError ? { lastError } : undefined,
      )
    }
  }

  /** A cancelled job does not wait for what may never pass, such as a full disk or a remote that is away. */
  private async advanceItems(row: JobRow, work: ItemWork<unknown>, signal: AbortSignal): Promise<void> {
    if (row.isCancelling && row.step === undefined) return this.end(row.id, "cancelled")
    try {
      await work.prepare()
      if (row.isCounted && !row.isDryRun) await this.workOn(row, work, signal)
      else await this.count(row, work)
    } catch (error) {
      if (!row.isCancelling || signal.aborted) throw error
      await this.end(row.id, "cancelled", sentenceOf(asFailure(error)))
    }
  }

  /**
   * A piece of work on one whole thing. The row names what this process has begun: if it names something else, that was begun
   * by another process, and is discarded.
   */
  private async makeWhole(row: JobRow, work: WholeWork): Promise<void> {
    const running = this.whole.get(row.id)
    if (running === undefined || running.begun !== row.cursor || row.isCancelling) {
      this.whole.delete(row.id)
      return this.beginWhole(row, await this.open(row))
    }
    const { rows, bytes, isOver } = await work.advance()
    const rate = this.rateOf(row.id, row.counts.matched + rows)
    const advanced = await this.rows.change(row.id, ({ cursor, counts, ended }) => {
      if (ended !== undefined || cursor !== running.begun) return undefined
      const { scanned, matched, matchedBytes } = counts
      const more = { scanned: scanned + rows, matched: matched + rows, matchedBytes: matchedBytes + bytes }
      return { counts: { ...counts, ...more }, rate, lastError: undefined }
    })
    if (advanced === undefined) return void this.whole.delete(row.id)
    this.keepRate(row, rows, itemsPerSecondOf(advanced))
    if (isOver) await this.end(row.id, "done")
  }

  /** False if another process has begun the whole thing of the job meanwhile: the failure is of no interest. */
  private async isOurs(id: JobId): Promise<boolean> {
    const running = this.whole.get(id)
    if (running === undefined || (await this.rows.get(id)).cursor === running.begun) return true
    this.whole.delete(id)
    return false
  }

  /** Anything that cannot be removed now stays as an unfinished upload. */
  private async discardWhole(id: JobId): Promise<void> {
    const running = this.whole.get(id)
    this.whole.delete(id)
    await running?.work.discard(running.begun).catch(() => undefined)
  }

  /** Another process works on the jobs: it discards what this one has begun. */
  async release(): Promise<void> {
    this.whole.clear()
  }

  private async beginWhole(row: JobRow, work: Awaited<ReturnType<OpenWork>>): Promise<void> {
    assert("advance" in work, "the kind of a job stays")
    if (row.cursor !== "") {
      if (await work.isMade()) return this.end(row.id, "done")
      await this.discardFormer(row, work)
    }
    if (row.isCancelling) return this.end(row.id, "cancelled")
    await work.prepare()
    const begun = await work.begin()
    const changed = await this.rows.change(row.id, ({ cursor, ended }) =>
      ended === undefined && cursor === row.cursor
        ? { cursor: begun, counts: NOTHING, lastError: undefined }
        : undefined,
    )
    if (changed === undefined) await work.discard(begun)
    else this.whole.set(row.id, { work, begun })
  }

  /** A cancelled job ends although what was begun cannot be removed: that stays as an unfinished upload. */
  private async discardFormer(row: JobRow, work: WholeWork): Promise<void> {
    try {
      await work.discard(row.cursor)
    } catch (error) {
      if (!row.isCancelling || this.attemptOf(row) < JOB_LIMITS.attemptsMax) throw error
    }
  }

  /** Counts a page. */
  private async count(row: JobRow, work: ItemWork<unknown>): Promise<void> {
    const page = await work.itemsAfter(row.cursor, undefined, JOB_LIMITS.pageRowsMax)
    const rate = this.rateOf(row.id, row.counts.matched + page.items.length)
    const counted = await this.rows.change(row.id, ({ cursor, isCounted, counts, plan }) => {
      if (isCounted || cursor !== row.cursor) return undefined
      return {
        plan: withPlan(plan, page.plan),
        counts: {
          ...counts,
          scanned: counts.scanned + page.scanned,
          matched: counts.matched + page.items.length,
          matchedBytes: counts.matchedBytes + page.bytes,
        },
        ...(page.next === undefined ? { isCounted: true, cursor: "" } : { cursor: page.next }),
        rate,
        lastError: undefined,
      }
    })
    if (counted?.isCounted !== true) return
    this.samples.delete(row.id)
    if (counted.isDryRun) await this.end(row.id, "done")
  }

  /** Works on a page: the one that an earlier process has begun, or the next one. */
  private async workOn(row: JobRow, work: ItemWork<unknown>, signal: AbortSignal): Promise<void> {
    if (row.cursor === END) return this.end(row.id, "done")
    const isRepeated = row.step !== undefined
    const page = await work.itemsAfter(row.cursor, untilOf(row), isRepeated ? Infinity : this.pageMax(row))
    if (page.items.length === 0 && !isRepeated) return this.skip(row, page.next)
    const { items, bytes, scanned, next = END } = page
    // A page that is repeated counts as what it was: items that are done may not be found any more.
    const step = row.step ?? { until: next, scanned, items: items.length, bytes }
    if (!isRepeated && !(await this.begin(row, step))) return
    const failures: JobFailure[] = []
    const failing: JobFailure[] = []
    let [changing, repaired] = [0, 0]
    await mapBounded(items, JOB_LIMITS.itemsConcurrent, async item => {
      signal.throwIfAborted()
      const outcome = await outcomeOfItem(row, () => work.work(item, isRepeated), signal)
      if (outcome === undefined) return
      if (typeof outcome === "string") failures.push({ ...work.describe(item), reason: outcome })
      else if ("isRepaired" in outcome) repaired += 1
      else if ("failing" in outcome) failing.push({ ...work.describe(item), reason: outcome.failing })
      else {
        changing += 1
        failures.push({ ...work.describe(item), reason: outcome.changing })
      }
    })
    const [first] = failing
    if (first !== undefined && !row.isCancelling && this.attemptOf(row) < JOB_LIMITS.attemptsMax)
      throw fail("tooManyInFlight", { message: `${textOfObjectKey(first.key)}: ${first.reason}` })
    failures.push(...failing)
    failures.sort((a, b) => (a.key < b.key ? -1 : 1))
    await this.finish(row, step, { failures, changing, repaired })
  }

  /** Counts an attempt that has failed where the job is. */
  private attemptOf({ id, cursor }: JobRow): number {
    const known = this.attempts.get(id)
    const times = (known?.cursor === cursor ? known.times : 0) + 1
    this.attempts.set(id, { cursor, times })
    return times
  }

  private async begin(row: JobRow, step: NonNullable<JobRecord["step"]>): Promise<boolean> {
    const begun = await this.rows.change(row.id, ({ step: other, cursor }) =>
      other === undefined && cursor === row.cursor ? { step } : undefined,
    )
    return begun !== undefined
  }

  private async finish(
    row: JobRow,
    step: NonNullable<JobRecord["step"]>,
    { failures, changing, repaired }: PageOutcome,
  ): Promise<void> {
    const failed = Math.min(failures.length - changing, step.items)
    const rate = this.rateOf(row.id, row.counts.done + row.counts.failed + step.items)
    const finished = await this.rows.change(row.id, ({ step: now, counts, failures: known }) => {
      // Another process has counted the page.
      if (now?.until !== step.until) return undefined
      const done = counts.done + step.items - failed
      const [allChanging, allRepaired] = [(counts.changing ?? 0) + changing, (counts.repaired ?? 0) + repaired]
      return {
        step: undefined,
        cursor: step.until,
        counts: {
          ...counts,
          done,
          doneBytes: counts.doneBytes + step.bytes,
          failed: counts.failed + failed,
          ...(allChanging > 0 && { changing: allChanging }),
          ...(allRepaired > 0 && { repaired: allRepaired }),
        },
        failures: withFailures(known, failures),
        lastError: undefined,
        rate,
      }
    })
    if (finished === undefined) return
    this.keepRate(row, step.items, itemsPerSecondOf(finished))
    if (finished.cursor === END) await this.end(row.id, finished.isCancelling ? "cancelled" : "done")
  }

  private async skip(row: JobRow, next: string | undefined): Promise<void> {
    if (next === undefined) return this.end(row.id, row.isCancelling ? "cancelled" : "done")
    await this.rows.change(row.id, ({ cursor, step }) =>
      cursor === row.cursor && step === undefined ? { cursor: next } : undefined,
    )
  }

  private async end(id: JobId, state: "done" | "failed" | "cancelled", lastError?: string): Promise<void> {
    const atMs = this.seams.clock.wallMs()
    const ended = await this.rows.change(id, row => {
      if (row.ended !== undefined) return undefined
      const result = lastError ?? resultOf(row, this.isOfRows(row))
      const request = endedRequest(row.request)
      return { state, request, step: undefined, lastError: lastError ?? row.lastError, ended: { atMs, result } }
    })
    if (ended !== undefined) this.seams.log.info("job_ended", { job: id, state, result: ended.ended?.result ?? "" })
  }

  private pageMax(row: JobRow): number {
    const perSecond = itemsPerSecondOf(row) ?? Infinity
    return Math.max(1, Math.min(JOB_LIMITS.pageItemsMax, Math.floor(perSecond)))
  }

  private rateOf(id: JobId, done: number): number {
    const atMs = this.seams.clock.monotonicMs()
    const samples = [...(this.samples.get(id) ?? []), { atMs, done }].filter(
      sample => sample.atMs >= atMs - JOB_LIMITS.rateWindowMs,
    )
    // A few are enough for a rate.
    this.samples.set(
      id,
      samples.length > SAMPLES_MAX ? samples.filter((_, i) => i % 2 === 0 || i === samples.length - 1) : samples,
    )
    const [first] = samples
    if (first === undefined || atMs - first.atMs < 500) return 0
    return ((done - first.done) / (atMs - first.atMs)) * 1_000
  }

  /** On full disks the work is noted at a later look. */
  private async followIfPossible(work: Named): Promise<void> {
    const starter: JobStarter = { kind: "store", id: "", name: "" }
    await unlessFull(
      () => this.follow(work, starter),
      () => undefined,
    )
  }

  /** Notes work of the store that has begun, and that has ended. */
  private async noteFollowed(rows: readonly JobRow[]): Promise<void> {
    const works = this.followed()
    const unnoted = works.filter(work => work.isNoted && !rows.some(row => isOf(work, row)))
    for (const work of unnoted) {
      // A call notes what it has begun itself, within moments.
      if (this.unnoted.some(before => isOf(before, work))) await this.followIfPossible(work)
    }
    this.unnoted = unnoted
    for (const row of rows) {
      if (workOf(works, row) !== undefined) continue
      // A call notes its work before the work shows; a clock that was ahead then does not make it wait longer.
      if (Math.abs(this.seams.clock.wallMs() - row.startedMs) < FOLLOWED_GRACE_MS) continue
      const result = "it is over: nothing of it is left to do"
      await this.rows.change(row.id, ({ ended }) =>
        ended === undefined ? { state: "done", ended: { atMs: this.seams.clock.wallMs(), result } } : undefined,
      )
    }
  }
}

/** The cursor behind the last page. No key begins with it. */
const END = "\xff\xff end"
const SAMPLES_MAX = 64
const REVISION_LETTERS = 16
const FOLLOWED_GRACE_MS = 5_000

/** The outcomes of a page's items, except for those that are done. */
interface PageOutcome {
  /** Failed items, and those that kept changing. */
  readonly failures: JobRecord["failures"]
  readonly changing: number
  readonly repaired: number
}

type Named = Pick<FollowedWork, "kind" | "target">

const isOf = (a: Named, b: Named): boolean => a.kind === b.kind && a.target === b.target

const workOf = (works: readonly FollowedWork[], row: Named): FollowedWork | undefined =>
  works.find(work => isOf(work, row))

/** An item of a cancelled job that fails now has failed: it is not tried again. */
async function outcomeOfItem<Outcome>(
  { isCancelling }: JobRow,
  work: () => Promise<Outcome>,
  signal: AbortSignal,
): Promise<Outcome | string> {
  try {
    return await work()
  } catch (error) {
    const failure = asFailure(error)
    if (!isCancelling || signal.aborted || endsJob(failure)) throw error
    return sentenceOf(failure)
  }
}

/** Returns undefined if the step goes as far as it can. */
const untilOf = ({ step }: JobRow): string | undefined => (step?.until === END ? undefined : step?.until)

/** The rate limit that the request of a bulk job names. */
function itemsPerSecondOf({ request }: Pick<JobRow, "request">): number | undefined {
  const value: unknown = JSON.parse(request)
  if (typeof value !== "object" || value === null || !("itemsPerSecond" in value)) return undefined
  return typeof value.itemsPerSecond === "number" ? value.itemsPerSecond : undefined
}

/** Throws `noSuchEntity` for a text that is no id. */
export function jobIdOf(text: string): JobId {
  try {
    return parseJobId(text)
  } catch (error) {
    if (!isFailure(error)) throw error
    throw fail("noSuchEntity", { message: `there is no job ${text}` })
  }
}
